"""The matrix of failures: fault x channel, what it did or the reason why it cannot be, in each cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.faults.verdict import Verdict
from sandbox.harness.history import History
from sandbox.harness.words import html_table, plural, text_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from sandbox.charts.chart import Chart
    from sandbox.faults.power_cut import PowerCut

#: the faults whose runs are shown against the clock
TELLING = ("kill_receiver_worked", "kill_server", "partition")
NOT_MEASURED = "not measured"
BREAKS, DECLARED = "BREAKS ITS PROMISE", "as declared"
COUNTS = ("lost", "twice", "indefinite", "refused", "set aside", "stuck", "never sent", "billed wrongly", "failed")
COLUMNS = (
    *("fault", "kind", "channel", "verb", "run", "answer", "promise", "intended", "done"),
    *(*COUNTS, "indefinite and done", "work", "senders", "witnesses"),
)
KEY = (
    "all billed (created, read): each has its effect   lost: acknowledged, and no effect   twice: one more effect\n"
    "indefinite: its sender does not know   refused: its sender knows that it was not done   stuck: nobody works on it"
)


@dataclass(frozen=True)
class Cell:
    """One cell: what happened in each of its runs, what was seen by tracing, or the reason why there is neither.

    fault, title, kind   of the fault;  channel, style: of the channel
    why_not   the channel cannot have this fault, and this is why;  trouble: it could not be measured, and this is why
    options   what the command line needs beside the name, e.g. ``--faults mine.py``
    traced    what was seen of it by tracing, in the row of the power cut, which has no runs
    history   of its most telling run, where it was run here (a matrix that was loaded has none)
    """

    fault: str
    title: str
    kind: str
    verb: Verb
    channel: str
    style: str
    name: str
    why_not: str = ""
    trouble: str = ""
    verdicts: tuple[Verdict, ...] = ()
    options: str = ""
    traced: PowerCut | None = None
    history: History | None = field(default=None, compare=False, repr=False)

    @property
    def kept(self) -> bool:
        """Whether the channel held what it declares, in every run and where it was traced."""
        return all(verdict.kept for verdict in self.verdicts) and not (self.traced and self.traced.lie)

    @property
    def seen(self) -> bool:
        """Whether there is a run or a trace of it, not only a reason."""
        return bool(self.verdicts or self.traced)

    @property
    def happened(self) -> str:
        """What happened to the operations; where runs differ, in how many of how many. What a trace has shown."""
        if self.traced:
            return self.traced.answer
        groups = Counter(verdict.kinds for verdict in self.verdicts).most_common()
        said = [_counted(kinds, [v for v in self.verdicts if v.kinds == kinds]) for kinds, _ in groups]
        if len(said) < 2:
            return "".join(said)
        return "; ".join(f"{text} (in {n} of {len(self.verdicts)})" for text, (_, n) in zip(said, groups, strict=True))

    @property
    def availability(self) -> str:
        """Of the work, over all runs: the worst of it; "" where there is no run."""
        found = [verdict.worked for verdict in self.verdicts]
        if not all(each.recovered for each in found):
            away = sum(not each.recovered for each in found)
            return "did not recover" + (f" (in {away} of {len(found)})" if away < len(found) else "")
        return str(max(found, key=lambda each: each.after)) if found else ""

    @property
    def promise(self) -> str:
        """Held or broken; "" where there is neither run nor trace."""
        return (DECLARED if self.kept else BREAKS) if self.seen else ""

    @property
    def below(self) -> str:
        """What is said below what happened: how long nothing went, or what is declared."""
        return f"declared: accepted by {self.traced.declared}" if self.traced else self.availability

    @property
    def text(self) -> str:
        """All of it or the reason, never empty."""
        if not self.seen:
            return f"{NOT_MEASURED}: {self.trouble}" if self.trouble else self.why_not or "no reason was given"
        parts = [self.happened, self.below]
        return ", ".join(parts if self.kept else [BREAKS, *parts])

    @property
    def command(self) -> str:
        """What runs this cell again, or traces it."""
        if self.traced:
            return f"python -m sandbox faults --power-cut --channels {self.name.partition('/')[2]}"
        return f"python -m sandbox faults --cell {self.name}{self.options}"


@dataclass(frozen=True, eq=False)
class FaultMatrix:
    """All cells. Print it, or let a notebook show it."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    #: as a section of a report: see `sandbox.harness.sections`
    name: ClassVar[str] = "faults"
    title: ClassVar[str] = "What happens when something breaks"
    page: ClassVar[str] = "faults.html"

    @property
    def faults(self) -> dict[str, Cell]:
        """Name of each fault -> a cell of it (for its title and kind), in order."""
        found: dict[str, Cell] = {}
        for cell in self.cells:
            found.setdefault(cell.fault, cell)
        return found

    @property
    def channels(self) -> list[str]:
        """The channels, in order."""
        return list(dict.fromkeys(cell.channel for cell in self.cells))

    def of(self, fault: str, channel: str) -> Cell:
        """The cell of one fault and channel."""
        return next(cell for cell in self.cells if (cell.fault, cell.channel) == (fault, channel))

    def cell(self, name: str) -> Cell:
        """One cell by its name; an unknown name says which is nearest."""
        import difflib

        found = {cell.name: cell for cell in self.cells}
        if name not in found:
            near = difflib.get_close_matches(name, found, 1, cutoff=0.3)
            hint = f"Did you mean {near[0]!r}?" if near else ""
            raise BadArgument("cell", expected="FAULT/CHANNEL", got=name, hint=hint)
        return found[name]

    @property
    def measured(self) -> list[Cell]:
        """The cells that have runs."""
        return [cell for cell in self.cells if cell.verdicts]

    @property
    def seen(self) -> list[Cell]:
        """Those, and what was seen by tracing."""
        return [cell for cell in self.cells if cell.seen]

    @property
    def broken(self) -> list[Cell]:
        """The cells in which a channel did not hold what it declares."""
        return [cell for cell in self.cells if not cell.kept]

    @property
    def valid(self) -> bool:
        """Whether every cell that there is was measured."""
        return not any(cell.trouble for cell in self.cells)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Fault x channel, in words."""
        rows = [[shown.title, *(self.of(name, c).text for c in self.channels)] for name, shown in self.faults.items()]
        return ["fault", *self.channels], rows

    def sentences(self) -> list[str]:
        """What the matrix says, counted; no score of a style."""
        lines = [_tally(channel, [c for c in self.measured if c.channel == channel]) for channel in self.channels]
        lines += [f"{cell.name} BREAKS ITS PROMISE: {'; '.join(_breaches(cell))}." for cell in self.broken]
        if self.seen and not self.broken:
            lines.append(f"Each channel held what it declares in all of {plural(len(self.seen), 'cell')}.")
        lines += [f"{cell.name} was not measured, so this is not valid: {cell.trouble}." for cell in self.troubled]
        return [line for line in lines if line]

    @property
    def troubled(self) -> list[Cell]:
        """The cells that could not be measured."""
        return [cell for cell in self.cells if cell.trouble]

    def charts(self) -> list[Chart]:
        """The heat map, and what happened when in those rows of `TELLING` that were run here."""
        from sandbox.charts.faults import fault_map
        from sandbox.charts.timeline import timeline

        charts = [fault_map(self)]
        for fault in TELLING:
            runs = [cell.history for cell in self.cells if cell.fault == fault and cell.history is not None]
            if runs:
                title = f"{self.faults[fault].title.capitalize()}: every operation, and the fault"
                charts.append(replace(timeline(*runs), name=f"timeline_{fault}", title=title))
        return charts

    def rows(self) -> Iterator[tuple[str | float | int | None, ...]]:
        """One row a run, one for a cell without runs; with the columns of `COLUMNS`."""
        return (row for cell in self.cells for row in rows_of(cell))

    def to_frame(self) -> pd.DataFrame:
        """The same for pandas."""
        import pandas as pd

        return pd.DataFrame(list(self.rows()), columns=list(COLUMNS))

    def save(self, folder: str | Path) -> Path:
        """Write page, chart, figures and the evidence of every cell; `sandbox.load` reads it again. See `store`."""
        from sandbox.faults.store import save_matrix

        return save_matrix(self, folder)

    def __str__(self) -> str:
        parts = []
        for channel in self.channels:
            rows = [[self.of(name, channel).title, self.of(name, channel).text] for name in self.faults]
            parts.append(text_table([channel, "what happened"], rows))
        return "\n\n".join([*parts, KEY, "\n".join([*self.sentences(), *self.notes])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        import html

        lines = "".join(f"<li>{html.escape(line)}</li>" for line in (*self.sentences(), *self.notes))
        return html_table(*self.table(), caption=KEY) + f"<ul>{lines}</ul>"


def rows_of(cell: Cell) -> Iterator[tuple[str | float | int | None, ...]]:
    """All figures of a cell, run by run; None where there are none."""
    head = (cell.title, cell.kind, cell.channel, str(cell.verb))
    if not cell.verdicts:
        yield (*head, None, cell.happened or cell.text, cell.promise or None, *(None,) * (len(COLUMNS) - len(head) - 3))
    for number, v in enumerate(cell.verdicts, start=1):
        text, promise = _counted(v.kinds, [v]), DECLARED if v.kept else BREAKS
        counts = (v.counts.get(word, 0) for word in COUNTS)
        ends = (v.done_anyway, str(v.worked), str(v.served), v.witnesses)
        yield (*head, number, text, promise, v.intended, v.done, *counts, *ends)


def _counted(kinds: Sequence[str], verdicts: Sequence[Verdict]) -> str:
    """What happened in runs that are alike, with numbers, or from which to which number."""
    said = []
    for kind in kinds:
        numbers = {verdict.counts[kind] for verdict in verdicts if kind in verdict.counts}
        if not numbers:
            said.append(kind)
            continue
        low, high = min(numbers), max(numbers)
        said.append(f"{low:,} {kind}" if low == high else f"{low:,}-{high:,} {kind}")
    return ", ".join(said) or "not all done"


def _breaches(cell: Cell) -> list[str]:
    lie = [cell.traced.lie] if cell.traced else []
    return list(dict.fromkeys([*lie, *(text for verdict in cell.verdicts for text in verdict.broken)]))


def _tally(channel: str, cells: Sequence[Cell]) -> str:
    """A channel's cells, counted: how many lose, repeat, and so on."""
    if not cells:
        return ""
    counted = Counter(kind for cell in cells for kind in {kind for v in cell.verdicts for kind in v.kinds})
    away = sum(any(not v.worked.recovered or v.worked.after for v in cell.verdicts) for cell in cells)
    parts = [f"{counted[kind]} {kind}" for kind in sorted(counted, key=lambda kind: (-counted[kind], kind))]
    of = plural(len(cells), "fault")
    return f"{channel}, of {of}: {', '.join(parts)}; {away} with a time in which it did not go on."
