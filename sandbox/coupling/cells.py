"""The matrix of coupling: change x channel x order x (plain, practised), its answer or its reason in each cell."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.coupling.change import Facet, Order
from sandbox.coupling.edits import Edits
from sandbox.coupling.trial import Trial
from sandbox.coupling.verdict import Answer, Verdict
from sandbox.errors import BadArgument
from sandbox.harness.words import html_table, plural, text_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from sandbox.charts.chart import Chart

#: answers after which the business is as it was meant
HOLDS = (Answer.WORKS, Answer.DELAYED)
NOT_MEASURED = "not measured"
COLUMNS = (
    *("change", "facet", "channel", "order", "practice", "answer", "right", "wrong", "missing", "unnoticed"),
    *("noticed by", "after ms", "meant", "found", "sender lines", "receiver lines", "medium statements"),
)


@dataclass(frozen=True)
class Cell:
    """One cell: an answer, or the reason why there is none.

    change, title, facet   of the change;  channel, style: of the channel
    why_not   there is no such trial, and this is why;  trouble: it could not be measured, and this is why
    edits     what had to be edited where, to roll it out
    unit      of the books: bytes, GB; "" where sums say nothing (states)
    options   what the command line needs beside the name, e.g. ``--changes mine.py``
    trial     with its history, where it was run here (a matrix that was loaded has none)
    """

    change: str
    title: str
    facet: Facet
    channel: str
    style: str
    order: Order
    practised: bool
    name: str
    why_not: str = ""
    trouble: str = ""
    verdict: Verdict | None = None
    edits: Edits | None = None
    unit: str = ""
    options: str = ""
    trial: Trial | None = field(default=None, compare=False, repr=False)

    @property
    def answer(self) -> Answer | None:
        """What became of the business; None where there is no verdict."""
        return self.verdict.answer if self.verdict else None

    @property
    def holds(self) -> bool:
        """Whether the business is as it was meant, at once or later."""
        return self.answer in HOLDS

    @property
    def text(self) -> str:
        """The answer or the reason, never empty."""
        if self.verdict is not None:
            return str(self.verdict.answer)
        return f"{NOT_MEASURED}: {self.trouble}" if self.trouble else self.why_not or "no reason was given"

    @property
    def command(self) -> str:
        """What runs this cell again."""
        return f"python -m sandbox coupling --cell {shlex.quote(self.name)}{self.options}"


@dataclass(frozen=True, eq=False)
class Matrix:
    """All cells. Print it, or let a notebook show it."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    #: as a section of a report: see `sandbox.harness.sections`
    name: ClassVar[str] = "coupling"
    title: ClassVar[str] = "What breaks when one side changes"
    page: ClassVar[str] = "coupling.html"

    @property
    def changes(self) -> dict[str, Cell]:
        """Name of each change -> a cell of it (for its title and facet), in order."""
        found: dict[str, Cell] = {}
        for cell in self.cells:
            found.setdefault(cell.change, cell)
        return found

    @property
    def channels(self) -> list[str]:
        """The channels, in order."""
        return list(dict.fromkeys(cell.channel for cell in self.cells))

    def of(self, change: str, channel: str, practised: bool) -> list[Cell]:
        """The cells of one change and channel, order by order."""
        return [c for c in self.cells if (c.change, c.channel, c.practised) == (change, channel, practised)]

    def cell(self, name: str) -> Cell:
        """One cell by its name; an unknown name says which is nearest."""
        import difflib

        found = {cell.name: cell for cell in self.cells}
        if name not in found:
            near = difflib.get_close_matches(name, found, 1, cutoff=0.3)
            hint = f"Did you mean {near[0]!r}?" if near else ""
            raise BadArgument("cell", expected="CHANGE/CHANNEL/ORDER[/practice]", got=name, hint=hint)
        return found[name]

    def answering(self, answer: Answer, practised: bool | None = None) -> list[Cell]:
        """The cells with one answer."""
        return [c for c in self.cells if c.answer is answer and practised in (None, c.practised)]

    @property
    def unmeasured(self) -> list[Cell]:
        """The cells that could not be measured."""
        return [cell for cell in self.cells if cell.trouble]

    @property
    def valid(self) -> bool:
        """Whether every cell that there is was measured."""
        return not self.unmeasured

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Change x channel; in each field its three orders, without the best practice and (behind a bar) with it."""
        rows = [
            [
                shown.title,
                *(" | ".join(self.letters(name, channel, p) for p in (False, True)) for channel in self.channels),
            ]
            for name, shown in self.changes.items()
        ]
        return ["change", *self.channels], rows

    def letters(self, change: str, channel: str, practised: bool) -> str:
        """The answers of one field, a letter for each order."""
        cells = self.of(change, channel, practised)
        return "".join(LETTERS.get(cell.answer, "?" if cell.trouble else "-") for cell in cells)

    def sentences(self) -> list[str]:
        """What the matrix says, counted; no score of a style."""
        return [*_tallies(self), *([_trouble(self)] if self.unmeasured else [])]

    def silent(self) -> str:
        """The silently wrong cells, each with what is on the books and the command that runs it."""
        wrong = self.answering(Answer.SILENT)
        if not wrong:
            return "No cell is silently wrong."
        lines = [f"{plural(len(wrong), 'cell')} silently wrong: the books are wrong, and nobody was told."]
        for cell in wrong:
            lines += [f"  {cell.name}: {in_business_terms(cell)}", f"      {cell.command}"]
        return "\n".join(lines)

    def charts(self) -> list[Chart]:
        """The heat maps and the can-I-deploy grid."""
        from sandbox.charts.coupling import coupling_map
        from sandbox.charts.deploy import deploy_grid

        return [coupling_map(self, practised=False), coupling_map(self, practised=True), deploy_grid(self)]

    def chart(self, name: str) -> Chart:
        """One chart by its name; an unknown name says which there are."""
        found = {chart.name: chart for chart in self.charts()}
        if name not in found:
            raise BadArgument("chart", expected="one of " + ", ".join(found), got=name)
        return found[name]

    def rows(self) -> Iterator[tuple[str | float | int | None, ...]]:
        """One row a cell, with the columns of `COLUMNS`."""
        return (row_of(cell) for cell in self.cells)

    def to_frame(self) -> pd.DataFrame:
        """The same for pandas."""
        import pandas as pd

        return pd.DataFrame(list(self.rows()), columns=list(COLUMNS))

    def save(self, folder: str | Path) -> Path:
        """Write page, charts, figures and the evidence of every cell; `sandbox.load` reads it again. See `store`."""
        from sandbox.coupling.store import save_matrix

        return save_matrix(self, folder)

    def __str__(self) -> str:
        from sandbox.coupling.views import compatibility_table, deploy_table

        parts = [text_table(*self.table()), KEY, ""]
        parts += [f"Can I deploy?\n{text_table(*deploy_table(self, False))}", ""]
        parts += [f"Compatibility that each style really has\n{text_table(*compatibility_table(self))}", ""]
        return "\n".join([*parts, *self.sentences(), *self.notes, "", self.silent()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        import html

        lines = "".join(f"<li>{html.escape(line)}</li>" for line in (*self.sentences(), *self.notes))
        silent = f"<pre>{html.escape(self.silent())}</pre>"
        return html_table(*self.table(), caption=KEY) + f"<ul>{lines}</ul>" + silent


LETTERS: dict[Answer | None, str] = {Answer.WORKS: ".", Answer.DELAYED: "d", Answer.LOUD: "L", Answer.SILENT: "W"}
MANY = {
    Answer.WORKS: "work",
    Answer.DELAYED: "are delayed",
    Answer.LOUD: "fail loudly",
    Answer.SILENT: "are silently wrong",
}
KEY = (
    "Three letters, one for each order: sender first, receiver first, backlog; behind the bar with the best practice.\n"
    ". works   d delayed   L fails loudly   W silently wrong   - there is no such trial   ? could not be measured"
)


def row_of(cell: Cell) -> tuple[str | float | int | None, ...]:
    """All figures of a cell; None where there are none."""
    head = (cell.title, str(cell.facet), cell.channel, str(cell.order), "yes" if cell.practised else "no", cell.text)
    lines = cell.edits.figures() if cell.edits is not None else (None, None, None)
    if cell.verdict is None:
        return (*head, *(None,) * 8, *lines)
    v = cell.verdict
    who = ", ".join(f"{name} {number}" for name, number in v.noticed_by.items()) or "nobody"
    after = None if v.after is None else round(v.after * 1e3, 2)
    return (*head, v.right, v.wrong, v.missing, v.unnoticed, who, after, v.meant, v.found, *lines)


def in_business_terms(cell: Cell) -> str:
    """What is on the books and what should be; "" where there is no verdict."""
    verdict = cell.verdict
    if verdict is None:
        return ""
    text = f"{verdict.right} of {verdict.operations} right, {verdict.wrong} wrong, {verdict.missing} missing"
    return f"{text}; {_sums(verdict, cell.unit)}" if cell.unit else text


def _sums(verdict: Verdict, unit: str) -> str:
    meant, found = verdict.meant, verdict.found
    if meant == found:
        return f"the sum is right{' by luck' if verdict.wrong or verdict.missing else ''}: {meant:,} {unit}"
    ratio = ""
    if found and meant > found and meant % found == 0:
        ratio = f", too little by a factor of {meant // found:,}"
    elif meant and found > meant and found % meant == 0:
        ratio = f", too much by a factor of {found // meant:,}"
    return f"meant {meant:,} {unit}, found {found:,}{ratio}"


def _tallies(matrix: Matrix) -> list[str]:
    said = []
    for practised, how in ((False, "As everybody does it"), (True, "With the best practice")):
        cells = [cell for cell in matrix.cells if cell.practised is practised]
        answers = Counter(cell.answer for cell in cells if cell.answer)
        if answers:
            parts = [f"{answers[answer]} {said_of}" for answer, said_of in MANY.items()]
            said.append(f"{how}, of {plural(sum(answers.values()), 'cell')}: {', '.join(parts)}.")
    return said


def _trouble(matrix: Matrix) -> str:
    names: Sequence[str] = [f"{cell.name} ({cell.trouble})" for cell in matrix.unmeasured]
    return f"{plural(len(names), 'cell')} not measured, so the matrix is not valid: {'; '.join(names)}."
