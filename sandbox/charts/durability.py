"""The price of each level of durability: how long a sender waits to be told that somebody has its message."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import NOT_QUOTED, halo, in_fixed_order, in_ms, ms, origin, shortened
from sandbox.charts.style import QUIET, RULE, Look, looks, millisecond_axis
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor
from sandbox.harness.measure import Measure, Quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.comparison import Cell, Comparison

TITLE = "The price of each level of durability"
ROW = 0.4
LEFT = 3.75
ABSENT = "does not exist"
#: the weakest first; what the level survives
LEVELS = {
    Acceptor.NOBODY: ("nobody has it", "survives nothing"),
    Acceptor.KERNEL: ("kernel has it", "survives the sender's death, no power cut"),
    Acceptor.SERVER: ("server has it", "survives the sender's death; a second of the server's memory may be lost"),
    Acceptor.DISK: ("flushed to disk", "survives a power cut"),
    Acceptor.PEER: ("receiver has it", "nothing is left to lose on the way: it has settled it"),
}
COLUMNS = ("accepted means", "style", "channel", "p50 ms", "from ms", "to ms", "p90 ms", "samples")
NOTE = (
    'Acceptance latency of tells with the 95 % interval of the median. "-": too few samples to quote. '
    '"does not exist": no channel of that style among those compared reaches the level.'
)


@dataclass(frozen=True)
class Row:
    """A channel that reaches a level, or a style that has none."""

    level: Acceptor
    style: str
    cell: Cell | None

    def quantile(self, q: float) -> Quantile:
        assert self.cell is not None
        return self.cell.quantile(q, Measure.ACCEPTANCE)


def durability(comparison: Comparison) -> Chart:
    """Acceptance latency of each channel's tells, level by level. `BadArgument` where nothing was told."""
    cells = in_fixed_order(comparison.of(Verb.TELL))
    if not cells:
        raise BadArgument("comparison", expected="one in which something is told", got=list(comparison.verbs))
    groups = _groups(cells)
    heights = [ROW * len(group) for group in groups]
    return Chart(
        name="durability",
        title=TITLE,
        alt=_alt(groups),
        columns=COLUMNS,
        rows=tuple(_row(row) for group in groups for row in group),
        draw=lambda figure: _draw(figure, groups, heights),
        height=panels.height(heights, key_lines=1),
        note=NOTE,
    )


def _groups(cells: Sequence[Cell]) -> list[list[Row]]:
    """Level by level, those that some channel reaches; in each, every style."""
    styles = list(dict.fromkeys(cell.style for cell in cells))
    groups = []
    for level in LEVELS:
        reached = [cell for cell in cells if cell.promise.accepted_by is level]
        if reached:
            groups.append([row for style in styles for row in _of_style(level, style, reached)])
    return groups


def _of_style(level: Acceptor, style: str, reached: Sequence[Cell]) -> list[Row]:
    mine = [Row(level, style, cell) for cell in reached if cell.style == style]
    return mine or [Row(level, style, None)]


def _row(row: Row) -> tuple[Value, ...]:
    if row.cell is None:
        return (LEVELS[row.level][0], row.style, ABSENT, None, None, None, None, None)
    p50, p90 = row.quantile(0.5), row.quantile(0.9)
    times = [ms(time) for time in (p50.value, p50.low, p50.high, p90.value)]
    return (LEVELS[row.level][0], row.style, row.cell.channel, *times, p50.samples)


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, groups: Sequence[Sequence[Row]], heights: Sequence[float]) -> None:
    cells = [row.cell for group in groups for row in group if row.cell is not None]
    drawn = looks((cell.style, cell.channel) for cell in cells)
    panels.headline(figure, TITLE)
    stack = panels.stack(figure, heights, LEFT)
    for axes, group in zip(stack, groups, strict=True):
        _frame(axes, group, cells)
        for place, row in enumerate(group):
            if row.cell is None:
                _absent(axes, place, row.style)
            else:
                _point(axes, place, row, drawn[row.cell.channel])
        axes.tick_params(labelbottom=axes is stack[-1])
    stack[-1].set_xlabel(f"ms from {origin(cells)} until accepted (log scale); left is earlier")
    panels.foot(figure, "Medians of tells with 95 % intervals; thin line to the p90. Compare within a level.", 0)


def _frame(axes: Axes, group: Sequence[Row], cells: Sequence[Cell]) -> None:
    axes.set_ylim(len(group) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    millisecond_axis(axes, *_reach(cells), room=0.12)
    panels.caption(axes, *LEVELS[group[0].level])


def _reach(cells: Sequence[Cell]) -> tuple[float, float]:
    values = [cell.quantile(q, Measure.ACCEPTANCE) for cell in cells for q in (0.5, 0.9)]
    times = [ms(time) for each in values for time in (each.value, each.low, each.high)]
    finite = [time for time in times if time is not None and 0 < time < math.inf]
    return (min(finite), max(finite)) if finite else (0.1, 10.0)


def _name(axes: Axes, place: int, text: str, *, there: bool) -> None:
    style = {"weight": "bold"} if there else {"color": QUIET}
    put = {"textcoords": "offset points", "ha": "right", "va": "center"}
    axes.annotate(text, (0, place), (-14, 0), xycoords=("axes fraction", "data"), **put, **style)  # type: ignore[arg-type]


def _absent(axes: Axes, place: int, style: str) -> None:
    _name(axes, place, style, there=False)
    axes.axhline(place, color=RULE, linewidth=1, linestyle=(0, (1, 4)))
    said = axes.annotate(ABSENT, (0.02, place), xycoords=("axes fraction", "data"), va="center", color=QUIET)
    said.set(style="italic", path_effects=halo())


def _point(axes: Axes, place: int, row: Row, look: Look) -> None:
    assert row.cell is not None
    _name(axes, place, shortened(row.cell.channel, 30), there=True)
    p50, p90 = row.quantile(0.5), row.quantile(0.9)
    edge = axes.get_xlim()[1]
    if p50.value is None:
        said = f"{NOT_QUOTED} ({p50.samples})"
        axes.annotate(said, (0.02, place), xycoords=("axes fraction", "data"), va="center", color=QUIET)
        return
    at, low, high = (min(value / 1e6, edge) for value in (p50.value, p50.low, p50.high))
    right = max(high, min((p90.value or p50.value) / 1e6, edge))
    axes.plot([at, right], [place, place], color=look.colour, linewidth=1.5)
    axes.plot([low, high], [place, place], color=look.colour, linewidth=6, alpha=0.45, solid_capstyle="butt")
    axes.plot(at, place, **look.point(10) | ({"marker": ">"} if p50.value == math.inf else {}))
    _value(axes, place, at, right, p50.value)


def _value(axes: Axes, place: int, at: float, right: float, ns: float) -> None:
    """The median in figures: to the right of its marks, or to the left where there is no room."""
    low, high = (math.log(end) for end in axes.get_xlim())
    room = (math.log(right) - low) / (high - low) < 0.8
    put = {"textcoords": "offset points", "va": "center", "ha": "left" if room else "right"}
    said = axes.annotate(in_ms(ns), (right if room else at, place), (10 if room else -12, 0), **put)  # type: ignore[arg-type]
    said.set_path_effects(halo())


# --- the same in words ----------------------------------------------------------------------------


def _alt(groups: Sequence[Sequence[Row]]) -> str:
    opening = "Median time until the sender of a tell is told that it was accepted, level by level."
    return " ".join([opening, *(_sentence(group) for group in groups), *_steps(groups)])


def _sentence(group: Sequence[Row]) -> str:
    there = [f"{row.cell.channel} {_said(row.quantile(0.5))}" for row in group if row.cell is not None]
    missing = [row.style for row in group if row.cell is None]
    level, survives = LEVELS[group[0].level]
    ending = f"; {ABSENT} in {', '.join(missing)}" if missing else ""
    return f"{level.capitalize()} ({survives}): {', '.join(there)}{ending}."


def _steps(groups: Sequence[Sequence[Row]]) -> list[str]:
    """What the flush costs the same channel."""
    found = {row.cell.channel: row for group in groups for row in group if row.cell is not None}
    said = []
    for name, row in found.items():
        flushed = found.get(f"{name}(flush=True)")
        if flushed is None:
            continue
        before, after = row.quantile(0.5), flushed.quantile(0.5)
        if before.value and after.value and max(before.value, after.value) < math.inf:
            times = f"A flush makes {name} {after.value / before.value:.2g} times as slow to accept"
            said.append(f"{times}, but the intervals overlap." if before.overlaps(after) else f"{times}.")
    return said


def _said(quantile: Quantile) -> str:
    return NOT_QUOTED if quantile.value is None else in_ms(quantile.value)
