"""The tail, for those who look further: latency by percentile, on an axis that gives each further nine the same room.

The axis is 1 / (1 - p): 90 %, 99 %, 99.9 % stand equally far apart. A line ends where fewer than ten samples lie
beyond it: what is further out was seen, but too rarely to be a property of the channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.ecdf import Line, line_of
from sandbox.charts.labels import NOT_QUOTED, SPAN, by_verb, counted, in_ms, listed, ms, origin, shortened
from sandbox.charts.style import Look, looks, plain_log_axis
from sandbox.harness.comparison import Cell
from sandbox.harness.measure import BEYOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.exchange.schema import Verb
    from sandbox.harness.comparison import Comparison
    from sandbox.harness.result import Result

TITLE = "The tail: latency by percentile"
LEFT = 1.25
RIGHT = 2.6
HIGH = 3.2
SHARES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999)
COLUMNS = ("verb", "channel", *(f"p{share * 100:g} ms" for share in SHARES), "last quoted", "samples", "censored")
NOTE = 'Latency that the share does not exceed. "-": fewer than ten samples lie beyond.'


def percentiles_of_result(result: Result) -> Chart:
    """Percentiles of one run, one panel a verb."""
    history = result.history
    return _chart([[Cell(history.channel, verb, (result,))] for verb in history.workload.weights])


def percentiles_of_comparison(comparison: Comparison, verbs: Sequence[Verb | str] | None = None) -> Chart:
    """Percentiles of every channel (repeats pooled), one panel a verb."""
    return _chart(by_verb(comparison, verbs))


def _chart(cells: Sequence[Sequence[Cell]]) -> Chart:
    start = origin(cell for group in cells for cell in group)
    groups = [[line_of(cell) for cell in group] for group in cells]
    heights = [HIGH] * len(groups)
    return Chart(
        name="percentiles",
        title=TITLE,
        alt=_alt(groups, start),
        columns=COLUMNS,
        rows=tuple(_row(line) for group in groups for line in group),
        draw=lambda figure: _draw(figure, groups, heights, start),
        height=panels.height(heights, key_lines=1),
        note=NOTE,
    )


def last(line: Line) -> float | None:
    """The furthest share beyond which `BEYOND` samples lie; None where not even the median has so many."""
    share = 1 - BEYOND / line.count if line.count else 0.0
    return share if share >= 0.5 else None


def quoted(line: Line, share: float) -> float | None:
    """The latency, ns, of a share up to `last`; None beyond it, infinite where that many were never done."""
    end = last(line)
    if end is None or share > end + 1e-9:
        return None
    rank = min(line.count - BEYOND, math.ceil(round(share * line.count, 6)))  # rounded: 0.9 * 1000 is above 900
    return float(line.ns[rank - 1]) if rank <= len(line.ns) else math.inf


def _row(line: Line) -> tuple[Value, ...]:
    times = [ms(quoted(line, share)) for share in SHARES]
    end = last(line)
    shown = f"p{100 * end:.4g}" if end is not None else None
    return (str(line.verb), line.channel, *times, shown, line.count, line.censored)


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, groups: Sequence[Sequence[Line]], heights: Sequence[float], start: str) -> None:
    lines = [line for group in groups for line in group]
    drawn = looks((line.style, line.channel) for line in lines)
    panels.headline(figure, TITLE)
    stack = panels.stack(figure, heights, LEFT)
    far = max([1 / (1 - end) for line in lines if (end := last(line)) is not None], default=10.0)
    for axes, group in zip(stack, groups, strict=True):
        box = axes.get_position()
        axes.set_position(
            (box.x0, box.y0, box.width - (RIGHT - panels.RIGHT) / figure.get_size_inches()[0], box.height)
        )
        _frame(axes, group, lines, far)
        ends = [end for line in group for end in _line(axes, line, drawn[line.channel])]
        _names(axes, ends)
        axes.tick_params(labelbottom=axes is stack[-1])
    stack[-1].set_xlabel("percentile; each further nine has the same room")
    panels.foot(figure, f"From {start}. A line ends where fewer than ten samples lie beyond it.", 0)


def _frame(axes: Axes, group: Sequence[Line], lines: Sequence[Line], far: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1.9, far * 1.1)
    shares = [share for share in SHARES if 1 / (1 - share) <= far * 1.02]
    named = [share for share in shares if share in (0.5, 0.9, 0.99, 0.999, 0.9999)]
    axes.set_xticks([1 / (1 - share) for share in named], [f"p{share * 100:g}" for share in named])
    axes.set_xticks([1 / (1 - share) for share in shares if share not in named], minor=True)
    axes.tick_params(axis="x", which="minor", labelbottom=False)
    axes.grid(axis="x", which="major", color="#d8d8d8", linewidth=0.8)
    reach = [value for line in lines for share in (0.5, last(line)) if share for value in [ms(quoted(line, share))]]
    finite = [value for value in reach if value is not None and 0 < value < math.inf] or [0.1, 10.0]
    plain_log_axis(axes, "y", min(finite), max(finite), room=0.1)
    axes.set_ylabel("ms (log scale)")
    behind = counted({line.channel: line.count for line in group})
    panels.caption(axes, str(group[0].verb), f"{SPAN[group[0].verb]} ({behind}{_missing(group)})")


def _missing(group: Sequence[Line]) -> str:
    """Who has no line: too few samples, or not even the median was done in time."""
    names = [shortened(x.channel, 19) for x in group if (median := quoted(x, 0.5)) is None or math.isinf(median)]
    return f"; no line: {', '.join(names)}" if names else ""


def _line(axes: Axes, line: Line, look: Look) -> list[tuple[float, float, str, Look]]:
    """Draw one line from its median to its end; where it ends, and what stands there."""
    import numpy as np

    end = last(line)
    if end is None or not len(line.ns):
        return []
    top = axes.get_ylim()[1]
    xs = np.geomspace(2, 1 / (1 - end), 160)
    found = [(float(x), ms(quoted(line, 1 - 1 / float(x)))) for x in xs]
    points = [(x, y) for x, y in found if y is not None and y < math.inf]
    if not points:
        return []
    axes.plot(*zip(*points, strict=True), drawstyle="steps-post", **look.line())
    marks = [(1 / (1 - share), ms(quoted(line, share))) for share in (0.5, 0.9, 0.99, 0.999)]
    shown = [(x, y) for x, y in marks if y is not None and y < math.inf]
    axes.plot([x for x, _ in shown], [y for _, y in shown], linestyle="none", **look.point(9))
    if len(points) < len(found):  # the rest was never done in time
        axes.plot(*points[-1], marker="^", markersize=13, color=look.colour, clip_on=False)
    return [(points[-1][0], min(points[-1][1], top), shortened(line.channel, 19), look)]


def _names(axes: Axes, ends: Sequence[tuple[float, float, str, Look]]) -> None:
    """To the right of the panel, in the order of the lines' ends, kept apart, each tied to its end."""
    low, high = (math.log(end) for end in axes.get_ylim())
    placed = 1.1
    for x, y, name, look in sorted(ends, key=lambda end: -end[1]):
        at = min((math.log(y) - low) / (high - low), placed - 0.095)
        placed = at
        axes.annotate(
            name,
            (x, y),
            (1.04, at),
            textcoords="axes fraction",
            va="center",
            weight="bold",
            arrowprops={
                "arrowstyle": "-",
                "color": look.colour,
                "linewidth": 0.9,
                "shrinkA": 2,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


# --- the same in words ----------------------------------------------------------------------------


def _alt(groups: Sequence[Sequence[Line]], start: str) -> str:
    names = listed([str(group[0].verb) for group in groups]) if groups else "nothing"
    opening = (
        f"Latency by percentile for {names}, from the {start}; logarithmic axes, each further nine of the percentile"
    )
    return " ".join([f"{opening} has the same room.", *(_sentence(line) for group in groups for line in group)])


def _sentence(line: Line) -> str:
    end = last(line)
    if end is None:
        return f"{line.verb}, {line.channel}: {NOT_QUOTED} ({line.count})."
    shares = [share for share in (0.5, 0.9, 0.99, 0.999) if share <= end + 1e-9]
    values = [f"p{share * 100:g} {_said(quoted(line, share))}" for share in shares]
    return (
        f"{line.verb}, {line.channel}: {', '.join(values)}; the line ends at p{100 * end:.4g} ({line.count:,} samples)."
    )


def _said(ns: float | None) -> str:
    return NOT_QUOTED if ns is None else in_ms(ns)
