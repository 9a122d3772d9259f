"""How long it takes: one row a channel, one panel a verb, the floors below the channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import (
    NOT_QUOTED,
    SPAN,
    by_verb,
    counted,
    halo,
    in_ms,
    listed,
    ms,
    name_row,
    origin,
    promised,
)
from sandbox.charts.style import INK, Look, looks, millisecond_axis
from sandbox.harness.measure import Quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.exchange.schema import Verb
    from sandbox.harness.comparison import Cell, Comparison

TITLE = "Response time of each channel: median, tail, and the floor below"
ROW = 0.58
BARE = "#9a9a9a"
#: percentile -> mark of it; the median has the channel's own
TAIL = {0.9: "+", 0.99: "x"}

COLUMNS = (
    *("verb", "channel", "promise", "support"),
    *("p50 ms", "p50 from ms", "p50 to ms", "p90 ms", "p99 ms", "floor p50 ms", "bare p50 ms", "samples"),
)
NOTE = 'Response times; p50 with its 95 % interval. "-": too few samples to quote, or no such floor.'


def medians(comparison: Comparison, verbs: Sequence[Verb | str] | None = None) -> Chart:
    """Response times of a comparison, or of some of its verbs: p50 with interval, p90, p99, floors."""
    groups = by_verb(comparison, verbs)
    heights = [ROW * len(cells) for cells in groups]
    return Chart(
        name="medians",
        title=TITLE,
        alt=_alt(groups),
        columns=COLUMNS,
        rows=tuple(_row(cell) for cells in groups for cell in cells),
        draw=lambda figure: _draw(figure, groups, heights),
        height=panels.height(heights, key_lines=2),
        note=NOTE,
    )


def _row(cell: Cell) -> tuple[Value, ...]:
    p50, p90, p99 = (cell.quantile(q) for q in (0.5, *TAIL))
    return (
        *(str(cell.verb), cell.channel, promised(cell), str(cell.promise.support)),
        *(ms(p50.value), ms(p50.low), ms(p50.high), ms(p90.value), ms(p99.value)),
        *(ms(cell.floor), ms(_bare(cell)), p50.samples),
    )


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, groups: Sequence[Sequence[Cell]], heights: Sequence[float]) -> None:
    drawn = looks((cell.style, cell.channel) for cells in groups for cell in cells)
    everything = [cell for cells in groups for cell in cells]
    panels.headline(figure, TITLE)
    stack = panels.stack(figure, heights, panels.NAMES)
    for axes, cells in zip(stack, groups, strict=True):
        _frame(axes, cells, everything)
        for row, cell in enumerate(cells):
            name_row(axes, row, cell, promised(cell))
            _floors(axes, row, cell)
            _quantiles(axes, row, cell, drawn[cell.channel], all(_short(each) for each in cells))
        axes.tick_params(labelbottom=axes is stack[-1])
    stack[-1].set_xlabel(f"ms from {origin(everything)} (log scale); left is faster")
    _key(figure, everything)


def _frame(axes: Axes, cells: Sequence[Cell], everything: Sequence[Cell]) -> None:
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    millisecond_axis(axes, *_reach(everything))
    rest = f"{SPAN[cells[0].verb]} ({counted({cell.channel: cell.quantile().samples for cell in cells})}"
    rest += f"; p99: {NOT_QUOTED})" if all(_short(cell) for cell in cells) else ")"
    panels.caption(axes, str(cells[0].verb), rest)


def _short(cell: Cell) -> bool:
    """Whether the p99 is all that is missing of this row."""
    return cell.quantile(0.99).value is None and cell.quantile(0.9).value is not None


def _reach(cells: Sequence[Cell]) -> tuple[float, float]:
    """Least and greatest time to be drawn, ms."""
    times: list[float | None] = []
    for cell in cells:
        p50 = cell.quantile()
        times += [cell.floor, _bare(cell), p50.low, p50.high, *(cell.quantile(q).value for q in (0.5, *TAIL))]
    finite = [value for time in times if (value := ms(time)) is not None and 0 < value < math.inf]
    return (min(finite), max(finite)) if finite else (0.1, 10.0)


def _quantiles(axes: Axes, row: int, cell: Cell, look: Look, said_above: bool) -> None:
    p50, *tail = (cell.quantile(q) for q in (0.5, *TAIL))
    edge = axes.get_xlim()[1]
    if p50.value is None:
        _remark(axes, row, f"{NOT_QUOTED} ({p50.samples})")
        return
    known = [p50, *(each for each in tail if each.value is not None)]
    ends = [min(each.value / 1e6, edge) for each in known if each.value is not None]
    axes.plot([ends[0], max(ends)], [row, row], color=look.colour, linewidth=1.6, alpha=0.6)
    for each in tail:
        if each.value is not None and each.value < math.inf:
            axes.plot(each.value / 1e6, row, marker=TAIL[each.q], color=look.colour, markersize=11, markeredgewidth=2.2)
    _median(axes, row, p50, look)
    censored = [f"p{each.q * 100:g}" for each in known if each.value == math.inf]
    missing = [f"p{each.q * 100:g}" for each in tail if each.value is None and not (said_above and each.q == 0.99)]
    if censored:
        axes.plot(edge, row, marker=">", color=look.colour, markersize=12, clip_on=False)
        _remark(axes, row, f"{listed(censored)}: censored")
    elif missing:
        _remark(axes, row, f"{listed(missing)}: {NOT_QUOTED}")


def _median(axes: Axes, row: int, p50: Quantile, look: Look) -> None:
    edge = axes.get_xlim()[1]
    low, high = (min(end / 1e6, edge) for end in (p50.low, p50.high))
    if low < high:
        axes.plot([low, high], [row, row], color=look.colour, linewidth=3, solid_capstyle="butt")
        ends = [low] if p50.high == math.inf else [low, high]
        axes.plot(ends, [row] * len(ends), "|", color=look.colour, markersize=19, markeredgewidth=2)
    assert p50.value is not None
    if p50.value < math.inf:
        axes.plot(p50.value / 1e6, row, **look.point())
        text = axes.annotate(in_ms(p50.value), (p50.value / 1e6, row), (0, 8), textcoords="offset points", ha="center")
        text.set_path_effects(halo())


def _remark(axes: Axes, row: int, text: str) -> None:
    """Words below the line of a row, at the right edge, where no mark is."""
    place = ("axes fraction", "data")
    note = axes.annotate(text, (1, row), (0, -4), place, "offset points", ha="right", va="top", style="italic")
    note.set_path_effects(halo())


def _bare(cell: Cell) -> float | None:
    """The bare medium, where there is a floor above it: a read is not the act (a write) that was measured."""
    return cell.bare if cell.floor is not None else None


def _floors(axes: Axes, row: int, cell: Cell) -> None:
    """Ticks that hang below the line of a row, out of the way of the median's figure above it."""
    for time, colour, reach in ((_bare(cell), BARE, 0.28), (cell.floor, INK, 0.38)):
        if time is not None:
            axes.plot([time / 1e6] * 2, [row - 0.1, row + reach], color=colour, linewidth=2.6, solid_capstyle="butt")
    if cell.floor is not None and row == 0:
        place = (cell.floor / 1e6, row)
        text = axes.annotate("floor", place, (-4, -4), textcoords="offset points", ha="right", va="top")
        text.set_path_effects(halo())


def _key(figure: Figure, cells: Sequence[Cell]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=INK, marker="o", markersize=11, linewidth=3, label="p50, 95 % interval"),
        *(
            Line2D(
                [], [], color=INK, marker=mark, markersize=11, markeredgewidth=2.2, linewidth=0, label=f"p{q * 100:g}"
            )
            for q, mark in TAIL.items()
        ),
    ]
    if any(cell.quantile(q).value == math.inf for cell in cells for q in (0.5, *TAIL)):
        words = "censored: no outcome in time"
        handles.append(Line2D([], [], color=INK, marker=">", markersize=12, linewidth=0, label=words))
    panels.legend(figure, handles, line=1)
    floors = [
        Line2D([], [], color=colour, marker="|", markersize=size, markeredgewidth=2.6, linewidth=0, label=words)
        for colour, size, words in (
            (INK, 20, "floor: same promise, thinnest code"),
            (BARE, 14, "bare medium: one act"),
        )
    ]
    if any(cell.floor is not None for cell in cells):
        panels.legend(figure, floors, line=0)


# --- the same in words ----------------------------------------------------------------------------


def _alt(groups: Sequence[Sequence[Cell]]) -> str:
    names = listed([str(cells[0].verb) for cells in groups])
    opening = (
        f"Dot chart of response times, one row a channel, for {names}; logarithmic axis in ms "
        f"from the {origin(cell for cells in groups for cell in cells)}."
    )
    return " ".join([opening, *(sentence for cells in groups for sentence in _sentences(cells))])


def _sentences(cells: Sequence[Cell]) -> list[str]:
    head = f"{str(cells[0].verb).capitalize()} ({SPAN[cells[0].verb]}):"
    return [head, *(_sentence(cell) for cell in cells), *_ties(cells)]


def _sentence(cell: Cell) -> str:
    p50, *tail = (cell.quantile(q) for q in (0.5, *TAIL))
    who = f"{cell.channel} ({promised(cell)}; {cell.promise.support})"
    if p50.value is None:
        return f"{who} has {NOT_QUOTED} to quote a median: {p50.samples}."
    if p50.value == math.inf:
        return f"{who} has a censored median: at least half of {p50.samples:,} samples had no outcome in time."
    between = f" (95 % interval {in_ms(p50.low)} to {in_ms(p50.high)})"
    parts = [f"{who} has a median of {in_ms(p50.value)}{between}"]
    parts += [f"p{each.q * 100:g} {_said(each)}" for each in tail]
    if cell.floor is not None:
        parts.append(f"a floor of {in_ms(cell.floor)}")
    if (bare := _bare(cell)) is not None:
        parts.append(f"and {in_ms(bare)} for the bare medium ({cell.floors[0].bare_act})")
    return f"{', '.join(parts)}, from {p50.samples:,} samples."


def _said(found: Quantile) -> str:
    if found.value is None:
        return NOT_QUOTED
    return "censored (no outcome in time)" if found.value == math.inf else in_ms(found.value)


def _ties(cells: Sequence[Cell]) -> list[str]:
    quoted = [cell for cell in cells if cell.quantile().value is not None]
    pairs = [
        f"{one.channel} and {other.channel}"
        for i, one in enumerate(quoted)
        for other in quoted[i + 1 :]
        if one.quantile().overlaps(other.quantile())
    ]
    return [f"The intervals of the medians overlap, which is a tie, for {'; for '.join(pairs)}."] if pairs else []
