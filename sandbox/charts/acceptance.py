"""Accepted is not done: when the sender of a tell is told "accepted", and when the work is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import HAS_IT, NOT_QUOTED, counted, halo, in_fixed_order, in_ms, ms, name_row, origin
from sandbox.charts.style import INK, Look, looks, millisecond_axis
from sandbox.exchange.schema import Verb
from sandbox.harness.measure import Measure, Quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.comparison import Cell, Comparison

TITLE = "Accepted is not done: when the sender is told, when the work is done"
ROW = 0.8
COLUMNS = (
    *("channel", "accepted means", "delivery", "accepted p50 ms", "accepted from ms", "accepted to ms"),
    *("done p50 ms", "done from ms", "done to ms", "samples"),
)
NOTE = 'Tell, medians with their 95 % intervals. "-": too few samples to quote.'


def acceptance(comparison: Comparison) -> Chart:
    """Median acceptance latency beside median response time of each channel's tells."""
    cells = in_fixed_order(comparison.of(Verb.TELL))
    heights = [ROW * max(1, len(cells))]
    return Chart(
        name="acceptance",
        title=TITLE,
        alt=_alt(cells),
        columns=COLUMNS,
        rows=tuple(_row(cell) for cell in cells),
        draw=lambda figure: _draw(figure, cells, heights),
        height=panels.height(heights, key_lines=1),
        note=NOTE,
    )


def _pair(cell: Cell) -> tuple[Quantile, Quantile]:
    return cell.quantile(0.5, Measure.ACCEPTANCE), cell.quantile(0.5)


def _meaning(cell: Cell) -> str:
    return HAS_IT[cell.promise.accepted_by]


def _delivery(cell: Cell) -> str:
    return str(cell.results[0].history.guarantees.tell.delivery)


def _row(cell: Cell) -> tuple[Value, ...]:
    accepted, done = _pair(cell)
    times = [ms(time) for each in (accepted, done) for time in (each.value, each.low, each.high)]
    return (cell.channel, _meaning(cell), _delivery(cell), *times, done.samples)


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, cells: Sequence[Cell], heights: Sequence[float]) -> None:
    drawn = looks((cell.style, cell.channel) for cell in cells)
    panels.headline(figure, TITLE)
    [axes] = panels.stack(figure, heights, panels.NAMES)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    millisecond_axis(axes, *_reach(cells), room=0.14)
    panels.caption(
        axes,
        "tell",
        f"medians with 95 % intervals ({counted({cell.channel: _pair(cell)[1].samples for cell in cells})})",
    )
    for row, cell in enumerate(cells):
        name_row(axes, row, cell, _delivery(cell))
        _dumbbell(axes, row, cell, drawn[cell.channel])
    axes.set_xlabel(f"ms from {origin(cells)} (log scale); left is earlier")
    _key(figure)


def _reach(cells: Sequence[Cell]) -> tuple[float, float]:
    times = [ms(time) for cell in cells for each in _pair(cell) for time in (each.value, each.low, each.high)]
    finite = [time for time in times if time is not None and 0 < time < math.inf]
    return (min(finite), max(finite)) if finite else (0.1, 10.0)


def _dumbbell(axes: Axes, row: int, cell: Cell, look: Look) -> None:
    accepted, done = _pair(cell)
    edge = axes.get_xlim()[1]
    at = [min(each.value / 1e6, edge) for each in (accepted, done) if each.value is not None]
    axes.plot(at, [row] * len(at), color=look.colour, linewidth=2)
    for each, above in ((accepted, True), (done, False)):
        if each.value is None:
            _write(axes, edge, row, f"{'accepted' if above else 'done'}: {NOT_QUOTED} ({each.samples})", above)
            continue
        _interval(axes, row, each, look, edge)
        point = look.point(11) | ({"marker": "|", "markersize": 20, "markeredgewidth": 4} if above else {})
        if each.value == math.inf:
            point = look.point(12) | {"marker": ">", "clip_on": False}
        axes.plot(min(each.value / 1e6, edge), row, **point)
        _write(axes, min(each.value / 1e6, edge), row, _label(each, cell, above), above)


def _interval(axes: Axes, row: int, each: Quantile, look: Look, edge: float) -> None:
    ends = [min(end / 1e6, edge) for end in (each.low, each.high)]
    axes.plot(ends, [row, row], color=look.colour, linewidth=5, alpha=0.5, solid_capstyle="butt")


def _label(each: Quantile, cell: Cell, above: bool) -> str:
    when = "no outcome in time (censored)" if each.value == math.inf else in_ms(each.value or 0.0)
    return f"{_meaning(cell)}: {when}" if above else f"done: {when}"


def _write(axes: Axes, x: float, row: int, text: str, above: bool) -> None:
    """Words above or below a mark, turned inwards near the edges so that they are never clipped."""
    low, high = (math.log(end) for end in axes.get_xlim())
    place = (math.log(x) - low) / (high - low)
    side = "left" if place < 0.25 else "right" if place > 0.75 else "center"
    offset, vertical = ((0, 10), "bottom") if above else ((0, -10), "top")
    written = axes.annotate(text, (x, row), offset, textcoords="offset points", ha=side, va=vertical)
    written.set_path_effects(halo())


def _key(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    panels.legend(
        figure,
        [
            Line2D([], [], color=INK, marker="|", markersize=20, markeredgewidth=4, linewidth=0, label="accepted"),
            Line2D([], [], color=INK, marker="o", markersize=11, linewidth=0, label="done: worked by every listener"),
            Line2D([], [], color=INK, alpha=0.5, linewidth=5, label="95 % interval"),
        ],
        line=0,
    )


# --- the same in words ----------------------------------------------------------------------------


def _alt(cells: Sequence[Cell]) -> str:
    opening = (
        "For the tells of each channel, the median time to acceptance beside the median time until the work is done, "
        f"from the {origin(cells)}."
    )
    return " ".join([opening, *(_sentence(cell) for cell in cells)])


def _sentence(cell: Cell) -> str:
    accepted, done = _pair(cell)
    if accepted.value is None or done.value is None:
        return f"{cell.channel} has {NOT_QUOTED} to quote both medians: {accepted.samples} and {done.samples}."
    told = f"{cell.channel}: accepted ({_meaning(cell)}) after {_after(accepted)}, done after {_after(done)}"
    if accepted.overlaps(done):
        return f"{told}; the intervals overlap."
    if done.value == math.inf or accepted.value == math.inf:
        return f"{told}."
    gap = done.value - accepted.value
    return f"{told}, {in_ms(abs(gap))} {'later' if gap > 0 else 'before the sender knows'}."


def _after(each: Quantile) -> str:
    if each.value == math.inf:
        return "more than the time allowed (censored)"
    return f"{in_ms(each.value or 0.0)} (95 % interval {in_ms(each.low)} to {in_ms(each.high)})"
