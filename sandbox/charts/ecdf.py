"""The whole distribution of response times: for every time, the share of operations that were done by then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import NOT_QUOTED, SPAN, by_verb, counted, in_ms, listed, ms, origin, shortened
from sandbox.charts.placing import label_lines
from sandbox.charts.style import Look, looks, millisecond_axis
from sandbox.exchange.schema import Verb
from sandbox.harness.comparison import Cell
from sandbox.harness.measure import BEYOND

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.comparison import Comparison
    from sandbox.harness.result import Result

    Array = np.ndarray[Any, Any]

TITLE = "Share of operations done by a given time"
LEFT = 1.05
HIGH = 2.9
#: shares that the table and the alternative text give
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
COLUMNS = ("verb", "channel", *(f"{share * 100:g} % ms" for share in SHARES), "slowest ms", "samples", "censored")
NOTE = 'Time by which that share of all operations was done. "-": too few samples to quote.'


@dataclass(frozen=True)
class Line:
    """One channel's latencies of one verb: sorted, in ns; `censored` of them never came."""

    verb: Verb
    channel: str
    style: str
    ns: Array
    censored: int
    floor: float | None

    @property
    def count(self) -> int:
        """All samples, censored ones included."""
        return len(self.ns) + self.censored

    def quoted(self, share: float) -> float | None:
        """When that share of all samples was done, ns; None if too few lie beyond it, infinite if it never was."""
        if self.count * (1 - share) < BEYOND or self.count * share < 1:
            return None
        index = math.ceil(share * self.count) - 1
        return float(self.ns[index]) if index < len(self.ns) else math.inf


def ecdf_of_result(result: Result) -> Chart:
    """Response times of one run, one panel a verb."""
    history = result.history
    return _chart([[Cell(history.channel, verb, (result,))] for verb in history.workload.weights])


def ecdf_of_comparison(comparison: Comparison, verbs: Sequence[Verb | str] | None = None) -> Chart:
    """Response times of every channel (repeats pooled), one panel a verb."""
    return _chart(by_verb(comparison, verbs))


def line_of(cell: Cell) -> Line:
    """All response times of a cell, its repeats pooled."""
    import numpy as np

    repeats = cell.samples()
    ns = np.sort(np.concatenate([each.ns for each in repeats]))
    return Line(cell.verb, cell.channel, cell.style, ns, sum(each.censored for each in repeats), cell.floor)


def _chart(cells: Sequence[Sequence[Cell]]) -> Chart:
    start = origin(cell for group in cells for cell in group)
    groups = [[line_of(cell) for cell in group] for group in cells]
    heights = [HIGH] * len(groups)
    lines = [line for group in groups for line in group]
    return Chart(
        name="ecdf",
        title=TITLE,
        alt=_alt(groups, start),
        columns=COLUMNS,
        rows=tuple(_row(line) for line in lines),
        draw=lambda figure: _draw(figure, groups, heights, start),
        height=panels.height(heights, key_lines=len(_feet(lines))),
        note=NOTE,
    )


def _row(line: Line) -> tuple[Value, ...]:
    times = [ms(line.quoted(share)) for share in SHARES]
    slowest = float(line.ns[-1]) / 1e6 if len(line.ns) else None
    return (str(line.verb), line.channel, *times, slowest, line.count, line.censored)


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, groups: Sequence[Sequence[Line]], heights: Sequence[float], start: str) -> None:
    lines = [line for group in groups for line in group]
    drawn = looks((line.style, line.channel) for line in lines)
    panels.headline(figure, TITLE)
    stack = panels.stack(figure, heights, LEFT)
    for axes, group in zip(stack, groups, strict=True):
        _frame(axes, group, lines)
        for line in group:
            _steps(axes, line, drawn[line.channel])
        label_lines(axes, [_named(line, drawn[line.channel]) for line in group if len(line.ns)])
        axes.tick_params(labelbottom=axes is stack[-1])
    stack[-1].set_xlabel(f"ms from {start} (log scale); left is faster")
    for place, text in enumerate(_feet(lines)):
        panels.foot(figure, text, place)


def _feet(lines: Sequence[Line]) -> list[str]:
    """What the foot explains, the lowest line first."""
    floors = ["On the time axis, in each channel's mark: the median of its floor."]
    ends = ["An arrow ends a line below 100 %: the rest had no outcome in time (censored)."]
    some = any(line.floor is not None for line in lines), any(line.censored for line in lines)
    return floors * some[0] + ends * some[1]


def _frame(axes: Axes, group: Sequence[Line], lines: Sequence[Line]) -> None:
    axes.set_ylim(0, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 0.9, 1.0], ["0 %", "", "50 %", "", "90 %", ""])
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_ylabel("done")
    millisecond_axis(axes, *_reach(lines), room=0.04)
    behind = counted({line.channel: line.count for line in group}) + _censored(group)
    panels.caption(axes, str(group[0].verb), f"{SPAN[group[0].verb]} ({behind})")


def _censored(group: Sequence[Line]) -> str:
    """Whose operations had no outcome in time, for the caption of a panel."""
    some = [line for line in group if line.censored]
    if len(some) > 3:
        return f"; censored: {sum(line.censored for line in some):,} in {len(some)} channels"
    return "; censored: " + ", ".join(f"{shortened(line.channel)} {line.censored:,}" for line in some) if some else ""


def _reach(lines: Sequence[Line]) -> tuple[float, float]:
    ends = [float(ns) / 1e6 for line in lines if len(line.ns) for ns in (line.ns[0], line.ns[-1])]
    ends += [line.floor / 1e6 for line in lines if line.floor is not None]
    ends = [end for end in ends if end > 0]
    return (min(ends), max(ends)) if ends else (0.1, 10.0)


def _steps(axes: Axes, line: Line, look: Look) -> None:
    import numpy as np

    if len(line.ns):
        shares = np.arange(1, len(line.ns) + 1) / line.count
        axes.step(line.ns / 1e6, shares, where="post", **look.line())
    if line.censored and len(line.ns):
        end = (float(line.ns[-1]) / 1e6, len(line.ns) / line.count)
        axes.plot(*end, marker=">", markersize=12, color=look.colour, clip_on=False)
    if line.floor is not None:
        axes.plot([line.floor / 1e6] * 2, [0, 0.07], color=look.colour, linewidth=2)
        axes.plot(line.floor / 1e6, 0, clip_on=False, zorder=5, **look.point(9))


def _named(line: Line, look: Look) -> tuple[str, Look, Array, int]:
    return line.channel, look, line.ns / 1e6, line.count


# --- the same in words ----------------------------------------------------------------------------


def _alt(groups: Sequence[Sequence[Line]], start: str) -> str:
    names = listed([str(group[0].verb) for group in groups]) if groups else "nothing"
    opening = f"Cumulative distribution of response times for {names}; logarithmic axis in ms from the {start}."
    return " ".join([opening, *(sentence for group in groups for sentence in _sentences(group))])


def _sentences(group: Sequence[Line]) -> list[str]:
    head = f"{str(group[0].verb).capitalize()} ({SPAN[group[0].verb]}):"
    return [head, *(_sentence(line) for line in group)]


def _sentence(line: Line) -> str:
    if not len(line.ns):
        return f"{line.channel} has no operation that was done in time, of {line.count:,}."
    parts = [f"{share * 100:g} % {_said(line.quoted(share))}" for share in (0.5, 0.9)]
    parts.append(f"the slowest that came took {in_ms(float(line.ns[-1]))}")
    never = f"{line.censored:,} never came in time (censored) and the line ends below 100 %" if line.censored else ""
    return f"Of {line.channel}'s {line.count:,} operations " + listed([*parts, *([never] if never else [])]) + "."


def _said(ns: float | None) -> str:
    if ns is None:
        return f"cannot be quoted ({NOT_QUOTED})"
    return "were never done in time" if ns == math.inf else f"were done by {in_ms(ns)}"
