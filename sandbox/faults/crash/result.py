"""What came of it: the channel's own source, line by line, with what happens where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.channel import Channel
from sandbox.exchange.schema import Verb
from sandbox.faults.crash.judging import Fate, Verdict
from sandbox.faults.crash.load import verbs
from sandbox.faults.crash.points import Kill
from sandbox.faults.crash.source import Names, line_of
from sandbox.faults.crash.trial import Ending

if TYPE_CHECKING:
    import pandas as pd


_COLUMNS = [
    *("point", "who", "file", "line", "source", "effect", "when", "occurrence", "in_recovery"),
    *("fate", "breaks_promise", "what"),
]


@dataclass(frozen=True)
class Point:
    """One kill and what became of it."""

    kill: Kill
    verdict: Verdict
    ending: Ending


@dataclass(frozen=True)
class Line:
    """One line of the source.

    effects  what it does there, such as "os.rename"; empty for a line that only leads to effects elsewhere
    points   every kill at one of its effects, or at one that it leads to
    """

    file: str
    name: str
    number: int
    text: str
    effects: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def fates(self) -> tuple[Fate, ...]:
        """What happens there, in the order of `Fate`; "safe" only if it is nothing else."""
        found = {fate for point in self.points for fate in point.verdict.fates}
        return tuple(fate for fate in Fate if fate in found and fate is not Fate.SAFE) or (Fate.SAFE,)

    @property
    def breaks_promise(self) -> bool:
        """Whether any of it is more than the channel's declaration allows."""
        return any(point.verdict.broken for point in self.points)


@dataclass(frozen=True, repr=False)
class CrashMap:
    """See `crash_map`. Shows itself in a notebook and as text; `save` writes a page, `to_frame` is for tests.

    named     how the channel was asked for, if that was by name
    verbs     what was said
    unharmed  the verdicts on some runs in which nobody was killed
    missed    kills that did not come about, although the effect had been seen before: of these nothing is known
    """

    channel: Channel
    named: str
    verbs: tuple[Verb, ...]
    settle: str
    unharmed: tuple[Verdict, ...]
    points: tuple[Point, ...]
    missed: tuple[Kill, ...]
    names: Names

    @property
    def title(self) -> str:
        """The channel's title."""
        return self.channel.title()

    @property
    def breaks_promise(self) -> list[Point]:
        """The points at which something happens that the channel's declaration does not allow."""
        return [point for point in self.points if point.verdict.broken]

    @property
    def sound(self) -> bool:
        """Whether every kill has come about and is survived as the channel declares, as are runs without any."""
        return not (self.breaks_promise or self.missed or any(verdict.broken for verdict in self.unharmed))

    @cached_property
    def lines(self) -> list[Line]:
        """The lines that have effects, file by file; `leading` has those that lead there."""
        return self._lines([{(p.kill.spot.file, p.kill.spot.line)} for p in self.points])

    @cached_property
    def leading(self) -> list[Line]:
        """The lines that have no effect themselves, but call what has."""
        own = {(line.file, line.number) for line in self.lines}
        return self._lines([set(point.kill.spot.via) - own for point in self.points])

    def of(self, fate: Fate | str) -> list[Point]:
        """The points with a fate."""
        return [point for point in self.points if Fate(fate) in point.verdict.fates]

    def _lines(self, places: Sequence[set[tuple[str, int]]]) -> list[Line]:
        points: dict[tuple[str, int], list[Point]] = {}
        for point, at in zip(self.points, places, strict=True):
            for place in at:
                points.setdefault(place, []).append(point)
        found = []
        for (file, number), there in points.items():
            acts = dict.fromkeys(p.kill.spot.act for p in there if p.kill.spot[:2] == (file, number))
            name = self.names.of(file)
            found.append(Line(file, name, number, line_of(file, number), tuple(acts), tuple(there)))
        return sorted(found, key=lambda line: (line.name, line.number))

    def command(self, point: Point) -> str:
        """What to type to see one point again."""
        if not self.named:
            policy = "" if self.settle == "after" else ', settle="before"'
            some = f", verbs={list(map(str, self.verbs))}" if self.verbs != verbs(self.channel) else ""
            return f'crash_map(channel{some}{policy}, only="{point.kill.id}")'
        policy = "" if self.settle == "after" else " --settle before"
        policy += f" --verbs {' '.join(self.verbs)}" if self.verbs != verbs(self.channel) else ""
        knobs = "".join(f" -k {name}={value}" for name, value in self._knobs())
        return f"python -m sandbox crash {self.named}{knobs}{policy} --point {point.kill.id}"

    def _knobs(self) -> list[tuple[str, Any]]:
        """The knobs that are not as they come."""
        usual = vars(type(self.channel)())
        return [(name, value) for name, value in vars(self.channel).items() if usual.get(name) != value]

    def to_frame(self) -> pd.DataFrame:
        """One row a point."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for point in self.points:
            kill, spot = point.kill, point.kill.spot
            rows.append(
                {
                    "point": kill.id,
                    "who": kill.who,
                    "file": self.names.of(spot.file),
                    "line": spot.line,
                    "source": line_of(spot.file, spot.line).strip(),
                    "effect": spot.act,
                    "when": "after" if kill.strike.after else "before",
                    "occurrence": kill.which,
                    "in_recovery": kill.successor or kill.again,
                    "fate": ", ".join(point.verdict.fates),
                    "breaks_promise": bool(point.verdict.broken),
                    "what": str(point.verdict),
                }
            )
        return pd.DataFrame(rows, columns=_COLUMNS)

    def __str__(self) -> str:
        from sandbox.faults.crash.page import as_text

        return as_text(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from sandbox.faults.crash.page import as_html

        return as_html(self)

    def save(self, path: str | Path) -> Path:
        """Write it as a page of its own."""
        from sandbox.faults.crash.page import as_page

        path = Path(path)
        path.write_text(as_page(self), encoding="utf-8")
        return path
