"""One stall seen by two loops: the open one counts everybody who had to wait, the closed one hardly anybody."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import halo, in_ms, ms
from sandbox.charts.style import INK, QUIET, look, plain_log_axis
from sandbox.errors import BadArgument
from sandbox.harness.measure import Quantile

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.measure import Samples
    from sandbox.harness.result import Result

    Array = np.ndarray[Any, Any]

TITLE = "The same stall, seen by an open and by a closed loop"
LEFT = 1.25
HEIGHTS = (2.7, 2.7)
COLUMNS = ("loop", "operations", "touched by the stall", "p50 ms", "p90 ms", "p99 ms", "slowest ms", "censored")
NOTE = 'Touched: took longer than a tenth of the stall. "-": too few samples to quote.'


def loops(opened: Result, closed: Result) -> Chart:
    """Two runs of the same operations, in an open and in a closed loop, with the same planted stall.

    The stall stands in the facts of each history: ``{"stall": [begin, seconds]}``. Raises `BadArgument` without.
    """
    for result, loop in ((opened, "open"), (closed, "closed")):
        if result.history.workload.loop != loop or "stall" not in result.history.facts:
            raise BadArgument(f"run in a {loop} loop", expected="one with a planted stall", got=result.history.channel)
    sides = (_Side(opened), _Side(closed))
    return Chart(
        name="loops",
        title=TITLE,
        alt=_alt(*sides),
        columns=COLUMNS,
        rows=tuple(side.row() for side in sides),
        draw=lambda figure: _draw(figure, sides),
        height=panels.height(HEIGHTS, key_lines=2),
        note=NOTE,
    )


class _Side:
    """One of the two runs: when each operation began (s), and how long it took (ms)."""

    def __init__(self, result: Result) -> None:
        history = result.history
        [self.verb] = history.workload.weights
        self.result, self.loop, self.channel = result, history.workload.loop, history.channel
        self.begin, self.seconds = (float(value) for value in history.facts["stall"])
        samples: Samples = result.samples(self.verb)
        self.took: Array = samples.ns / 1e6
        self.start: Array = _starts(result, samples)
        self.count, self.censored = samples.count, samples.censored
        self.touched = int((self.took > 100 * self.seconds).sum()) + samples.censored

    def quantile(self, q: float) -> Quantile:
        return self.result.quantile(self.verb, q)

    def row(self) -> tuple[Value, ...]:
        times = [ms(self.quantile(q).value) for q in (0.5, 0.9, 0.99)]
        slowest = math.inf if self.censored else float(self.took.max(initial=0.0))
        return (self.loop, self.count, self.touched, *times, slowest, self.censored)

    @property
    def said(self) -> str:
        p99 = self.quantile(0.99)
        q, shown = ("p99", p99) if p99.value is not None else ("p90", self.quantile(0.9))
        value = in_ms(shown.value) if shown.value is not None else "too few samples"
        return f"{self.touched:,} of {self.count:,} operations touched; {q} {value}"


def _starts(result: Result, samples: Samples) -> Array:
    """Seconds after the start of the load: intended in an open loop, actual in a closed one."""
    import numpy as np

    from sandbox.harness.journal import Event

    due = result.history.plan.rows["due"][samples.operations - 1] / 1e9
    if result.history.workload.loop == "open":
        return np.asarray(due)
    intents = result.history.of(Event.INTENT)
    begun = np.zeros(len(result.history.plan.rows))
    begun[intents["operation"] - 1] = intents["time"] / 1e9
    return np.asarray(begun[samples.operations - 1])


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, sides: tuple[_Side, _Side]) -> None:
    panels.headline(figure, TITLE)
    stack = panels.stack(figure, HEIGHTS, LEFT)
    everything = [value for side in sides for value in side.took.tolist() if value > 0] or [1.0]
    last = max(float(side.start.max(initial=0.0)) for side in sides)
    for axes, side in zip(stack, sides, strict=True):
        _frame(axes, side, (min(everything), max(everything)), last)
        axes.tick_params(labelbottom=axes is stack[-1])
    stack[-1].set_xlabel("s after the start of the load, at which an operation began")
    channel = sides[0].channel
    panels.foot(
        figure, f"{channel}: each mark is one operation. Open loop: offered at intended times whatever happens;", 1
    )
    panels.foot(
        figure, "its latency counts from then. Closed loop: who waits for the last answer offers nothing meanwhile.", 0
    )


def _frame(axes: Axes, side: _Side, reach: tuple[float, float], last: float) -> None:
    axes.set_xlim(-0.02 * last, 1.02 * last)
    plain_log_axis(axes, "y", *reach, room=0.1)
    axes.set_ylabel("ms (log scale)")
    panels.caption(axes, f"{side.loop} loop", side.said)
    axes.axvspan(side.begin, side.begin + side.seconds, color="#e8e8e8", zorder=0)
    place = (side.begin + side.seconds / 2, 0.05)
    said = axes.annotate(
        f"stall: {side.seconds:g} s", place, xycoords=("data", "axes fraction"), ha="center", va="bottom"
    )
    said.set(color=QUIET, path_effects=halo())
    mine = look(side.result.history.style, side.channel)
    axes.plot(side.start, side.took, linestyle="none", **mine.point(5) | {"markeredgewidth": 0.8, "alpha": 0.75})
    slow = side.took > 100 * side.seconds
    if 0 < slow.sum() <= 3:
        at = (float(side.start[slow][0]), float(side.took[slow].max()))
        axes.annotate(
            f"{int(slow.sum())} of {side.count:,}",
            at,
            (12, -4),
            textcoords="offset points",
            va="center",
            weight="bold",
            color=INK,
        ).set_path_effects(halo())


# --- the same in words ----------------------------------------------------------------------------


def _alt(opened: _Side, closed: _Side) -> str:
    opening = (
        f"Two panels with the time that each {opened.verb} of {opened.channel} took, by when it began; logarithmic "
        f"axis in ms. In both runs the receiver stood still for {opened.seconds:g} s."
    )
    return " ".join([opening, _sentence(opened), _sentence(closed)])


def _sentence(side: _Side) -> str:
    origin = "intended" if side.loop == "open" else "actual"
    times = [f"{name} {_said(side.quantile(q))}" for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))]
    slowest = in_ms(float(side.took.max(initial=0.0)) * 1e6)
    return (
        f"In the {side.loop} loop, counted from the {origin} start, the stall touched {side.touched:,} of "
        f"{side.count:,} operations: {', '.join(times)}, the slowest that came {slowest}."
    )


def _said(quantile: Quantile) -> str:
    return "too few samples" if quantile.value is None else in_ms(quantile.value)
