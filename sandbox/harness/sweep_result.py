"""What a sweep has found: one channel under growing load, its table, its sentences, its chart, its file."""

from __future__ import annotations

import html
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.errors import BadArgument
from sandbox.harness.knee import KEEPS_UP, LEAST, Point, limit_of
from sandbox.harness.store import plain
from sandbox.harness.words import duration, html_table, text_table

if TYPE_CHECKING:
    import pandas as pd

    from sandbox.charts.chart import Chart

FORMAT = 1
CENSORED = "censored"
#: how many times the unloaded p90 a sustained rate's p90 may be
TIMES = 5.0


@dataclass(frozen=True, eq=False)
class Sweep:
    """One channel under growing load. Print it, let a notebook show it, or draw several with `charts.load.load`.

    unloaded   the run in which no operation meets another
    points     every other run, in the order in which they were made
    knee       the largest sustained rate found (operations/s, as offered); None when not even the lowest was
    beyond     the lowest rate that was too much; None when the highest one was still sustained
    times      a sustained rate's p90 is at most so many times the unloaded one
    """

    channel: str
    style: str
    verb: str
    workload: dict[str, Any]
    unloaded: Point
    points: tuple[Point, ...]
    knee: Point | None
    beyond: Point | None
    times: float = TIMES
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def limit(self) -> float:
        """ns that the p90 of a sustained rate may reach."""
        return limit_of(self.unloaded.p90 or 0.0, self.times)

    @property
    def in_order(self) -> list[Point]:
        """The points by offered rate."""
        return sorted(self.points, key=lambda point: point.offered)

    def sentences(self) -> list[str]:
        """The knee in words, what ended it, and what was not measured well."""
        rule = (
            f"Sustained: at least {KEEPS_UP:.0%} of the offered rate is achieved and p90 stays within {self.times:g} x "
            f"the unloaded p90 ({duration(self.unloaded.p90)}), or {duration(LEAST)} where that is more."
        )
        doubtful = [point for point in (self.unloaded, *self.points) if point.notes]
        if not doubtful:
            return [self._verdict(), rule]
        doubt = f"{len(doubtful)} of {len(self.points) + 1} runs were not valid, such as: {doubtful[0].notes[0]}."
        return [self._verdict(), rule, doubt]

    def _verdict(self) -> str:
        name = f"{self.channel}, {self.verb}"
        if self.knee is None:
            return f"{name}: no knee found; not even {self.points[0].offered:,.0f}/s was sustained."
        at = f"p50 {duration(self.knee.p50)}, p90 {duration(self.knee.p90)}"
        if self.beyond is None:
            return f"{name}: no knee up to {self.knee.offered:,.0f}/s ({at}), the highest rate tried."
        why = self.beyond.why_not(self.limit)
        doubt = " - in a run that was not valid: it may be the machine and not the channel"
        past = f"at {self.beyond.offered:,.0f}/s {why}{doubt if self.beyond.notes else ''}"
        return f"{name}: the knee is at {self.knee.offered:,.0f}/s ({at}); {past}."

    def chart(self) -> Chart:
        """Response time and achieved rate against offered rate, the knee marked."""
        from sandbox.charts.load import load

        return load([self])

    def to_frame(self) -> pd.DataFrame:
        """One row a run: rates in operations/s, latencies in ms, whether it was sustained."""
        import pandas as pd

        rows = [
            {
                "run": "unloaded" if point is self.unloaded else "load",
                **{name: getattr(point, name) for name in ("offered", "achieved", "samples", "censored")},
                "p50_ms": point.p50 / 1e6 if point.p50 is not None else float("nan"),
                "p90_ms": point.p90 / 1e6 if point.p90 is not None else float("nan"),
                "sustained": point.sustained(self.limit),
            }
            for point in (self.unloaded, *self.in_order)
        ]
        return pd.DataFrame(rows)

    def save(self, path: str | Path) -> Path:
        """Write all figures as one ``.json`` file; `load_sweep` reads it again."""
        path = Path(path).with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = plain(_told({"format": FORMAT, **asdict(self)}))
        path.write_text(json.dumps(stored, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return path

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns = ["offered/s", "achieved/s", "p50", "p90", "samples", "censored", ""]
        rows = [_row(point, "unloaded") for point in (self.unloaded,)]
        for point in self.in_order:
            mark = "knee" if point == self.knee else point.why_not(self.limit)
            rows.append(_row(point, mark))
        return columns, rows

    def __str__(self) -> str:
        return "\n".join([text_table(*self._table()), "", *self.sentences()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in self.sentences())
        return lines + self.chart()._repr_html_() + html_table(*self._table())


def _row(point: Point, mark: str) -> list[str]:
    times = [duration(point.p50), duration(point.p90)]
    return [f"{point.offered:,.0f}", f"{point.achieved:,.0f}", *times, str(point.samples), str(point.censored), mark]


def load_sweep(path: str | Path) -> Sweep:
    """The sweep that was saved in a file; `BadArgument` for any other file or another format."""
    try:
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
        if stored.pop("format") == FORMAT:
            return msgspec.convert(_untold(stored), Sweep)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadArgument("sweep file", expected="one that Sweep.save wrote", got=f"{path}: {error}") from None
    raise BadArgument("sweep file", expected=f"format {FORMAT}", got=str(path), hint="Sweep again with this version.")


def _told(value: Any) -> Any:
    """JSON knows no infinite numbers: a censored percentile is a word there."""
    if isinstance(value, dict):
        return {name: _told(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_told(inner) for inner in value]
    return CENSORED if isinstance(value, float) and math.isinf(value) else value


def _untold(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _untold(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_untold(inner) for inner in value]
    return math.inf if value == CENSORED else value
