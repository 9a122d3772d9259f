"""Who feels whose pain: what the sender waits for while the receiver works slower and slower."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import halo, in_ms, listed, ms
from sandbox.charts.lines import Drawn, key, key_lines
from sandbox.charts.style import QUIET, plain_log_axis, rank
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.checker import State
from sandbox.harness.measure import Measure, Quantile, highest_quotable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.result import Result

TITLE = "The receiver works slower and slower: who feels it?"
LEFT = 1.25
HEIGHT = 2.1
#: verb, what is measured of it, the title of its panel
PANELS = (
    (Verb.TELL, Measure.ACCEPTANCE, "until its sender is told that it was accepted"),
    (Verb.TELL, Measure.RESPONSE, "until the work is done, wherever it has waited"),
    (Verb.ASK, Measure.RESPONSE, "until the asker has its answer"),
)
COLUMNS = (
    *("verb", "until", "channel", "work ms", "load %", "percentile", "ms", "from ms", "to ms"),
    *("p50 ms", "samples", "measuring"),
)
NOTE = (
    "Latencies from the intended start, with 95 % intervals; the highest percentile that so many samples carry. "
    "Load: work times offered rate, of one receiver; above 100 % it cannot keep up."
)
_UNTIL = {Measure.ACCEPTANCE: "accepted", Measure.RESPONSE: "done or answered"}


def slowness(results: Sequence[Result], notes: Sequence[str] = ()) -> Chart:
    """Runs of one verb each at one offered rate, with more and more work for each operation.

    `notes`: what is to be said about channels that are missing. Raises `BadArgument` where rates differ.
    """
    rates = {result.history.workload.rate for result in results}
    if len(rates) != 1 or not all(result.history.workload.service for result in results):
        raise BadArgument("runs", expected="at least one, with work to do, all at the same rate", got=sorted(rates))
    points = [_Point(result, measure) for verb, measure, _ in PANELS for result in results if _verb(result) is verb]
    points.sort(key=lambda point: point.place)
    heights = [HEIGHT] * len({point.panel for point in points})
    return Chart(
        name="slowness",
        title=TITLE,
        alt=_alt(points),
        columns=COLUMNS,
        rows=tuple(point.row() for point in points),
        draw=lambda figure: _draw(figure, points, heights),
        height=panels.height(heights, key_lines=key_lines(point.channel for point in points) + 3),
        note=" ".join([NOTE, *(f"{note}." for note in notes)]),
    )


def _verb(result: Result) -> Verb:
    [verb] = result.history.workload.weights
    return verb


class _Point:
    """One latency of one run, at the highest percentile that can be quoted of it."""

    def __init__(self, result: Result, measure: Measure) -> None:
        workload = result.history.workload
        self.verb, self.measure = _verb(result), measure
        self.panel = next(i for i, (verb, it, _) in enumerate(PANELS) if (verb, it) == (self.verb, measure))
        self.channel, self.style = result.history.channel, result.history.style
        self.service, self.rate = workload.service, workload.rate
        self.load = workload.service * workload.rate / workload.receivers
        self.q = highest_quotable(result.samples(self.verb, measure).count)
        self.high: Quantile = result.quantile(self.verb, self.q, measure)
        self.half: Quantile = result.quantile(self.verb, 0.5, measure)
        self.state = result.verdict.state

    @property
    def place(self) -> tuple[int, int, str, float]:
        return (self.panel, rank(self.style), self.channel, self.service)

    @property
    def named(self) -> str:
        return f"p{float(f'{100 * self.q:.3g}'):g}"

    def row(self) -> tuple[Value, ...]:
        times = [ms(time) for time in (self.high.value, self.high.low, self.high.high, self.half.value)]
        head = (str(self.verb), _UNTIL[self.measure], self.channel, self.service * 1e3, 100 * self.load, self.named)
        return (*head, *times, self.high.samples, str(self.state))


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, points: Sequence[_Point], heights: Sequence[float]) -> None:
    drawn = Drawn((point.style, point.channel) for point in points)
    panels.headline(figure, TITLE)
    stack = panels.stack(figure, heights, LEFT)
    for axes, number in zip(stack, sorted({point.panel for point in points}), strict=True):
        mine = [point for point in points if point.panel == number]
        _frame(axes, mine, points)
        for channel in drawn.channels:
            _curve(axes, [point for point in mine if point.channel == channel], drawn, channel)
        if mine[0].measure is Measure.RESPONSE:  # the floor below: nobody is done before the work is
            works = sorted({point.service * 1e3 for point in mine})
            axes.plot(works, works, color=QUIET, linewidth=1.2, zorder=1, gid="work")
        axes.tick_params(labelbottom=axes is stack[-1])
    stack[-1].set_xlabel("ms of work for each operation (log scale)")
    _key(figure, points, drawn)


def _frame(axes: Axes, mine: Sequence[_Point], points: Sequence[_Point]) -> None:
    works = sorted({point.service * 1e3 for point in points})
    plain_log_axis(axes, "x", works[0], works[-1], room=0.08)
    axes.set_xticks(works, [f"{work:g}" for work in works])
    axes.minorticks_off()
    plain_log_axis(axes, "y", *_reach(points), room=0.14)
    axes.set_ylabel("ms (log scale)")
    percentiles = listed(list(dict.fromkeys(point.named for point in mine)))
    panels.caption(axes, str(mine[0].verb), f"{PANELS[mine[0].panel][2]} ({percentiles})")
    full = 1e3 * points[0].service / points[0].load  # ms of work at which one receiver is busy all the time
    low, high = axes.get_xlim()
    if full < high:
        axes.axvspan(max(full, low), high, color="#ececec", zorder=0)
        if mine[0].panel == points[-1].panel:  # the other panels have their marks where the words would stand
            style = {"xycoords": ("data", "axes fraction"), "ha": "right", "va": "bottom", "color": QUIET}
            said = axes.annotate("more than it can do ", (high, 0.05), **style)  # type: ignore[arg-type]
            said.set_path_effects(halo())


def _reach(points: Sequence[_Point]) -> tuple[float, float]:
    times = [ms(time) for point in points for time in (point.high.value, point.high.low, point.high.high)]
    finite = [time for time in times if time is not None and 0 < time < math.inf]
    return (min(finite), max(finite)) if finite else (0.1, 10.0)


def _curve(axes: Axes, curve: Sequence[_Point], drawn: Drawn, channel: str) -> None:
    top, look = axes.get_ylim()[1], drawn.looks[channel]
    there = [point for point in curve if point.high.value is not None]
    values = [min((point.high.value or 0) / 1e6, top) for point in there]
    works = [point.service * 1e3 for point in there]
    axes.plot(works, values, zorder=3, gid=f"{channel}", **drawn.line(channel))
    for point, work, value in zip(there, works, values, strict=True):
        ends = [min(end / 1e6, top) for end in (point.high.low, point.high.high)]
        axes.plot([work, work], ends, color=look.colour, linewidth=5, alpha=0.35, solid_capstyle="butt", zorder=2)
        if value >= top:  # censored: no outcome in time
            axes.plot(work, top, marker="^", markersize=13, color=look.colour, clip_on=False)
        if point.state is not State.VALID:
            axes.annotate("?", (work, value), (9, 5), textcoords="offset points", weight="bold", gid="doubt")


def _key(figure: Figure, points: Sequence[_Point], drawn: Drawn) -> None:
    key(figure, drawn, 3)
    rate = points[0].rate
    said = (
        f"Offered: {rate:g}/s all the time, so a receiver that takes {1e3 / rate:g} ms for each is busy all the time."
    )
    panels.foot(figure, said, 2)
    panels.foot(
        figure, "Where it cannot keep up, the queue grows as long as the load lasts: a longer run, a higher point.", 1
    )
    doubts = '; "?": the measuring was disturbed' if _doubtful(points) else ""
    panels.foot(figure, f"Bars: 95 % intervals; thin line: the work alone{doubts}.", 0)


def _doubtful(points: Sequence[_Point]) -> int:
    return sum(point.state is not State.VALID for point in points)


# --- the same in words ----------------------------------------------------------------------------


def _alt(points: Sequence[_Point]) -> str:
    opening = (
        f"Latencies at {points[0].rate:g} operations/s against the work that each takes at one receiver; logarithmic "
        "axes, from the intended start."
    )
    said = [opening]
    for number in sorted({point.panel for point in points}):
        mine = [point for point in points if point.panel == number]
        said.append(f"{str(mine[0].verb).capitalize()}, {PANELS[number][2]}.")
        said += [_sentence([p for p in mine if p.channel == name]) for name in dict.fromkeys(p.channel for p in mine)]
    if doubtful := _doubtful(points):
        said.append(f"{doubtful} of {len(points)} points come from runs whose measuring was disturbed.")
    return " ".join(said)


def _sentence(curve: Sequence[_Point]) -> str:
    first, last = curve[0], curve[-1]
    said = f"{first.channel}: {first.named} {_said(first)} with {first.service * 1e3:g} ms of work"
    if len(curve) == 1:
        return f"{said}."
    said += f", {last.named} {_said(last)} with {last.service * 1e3:g} ms"
    felt = _felt(first.high, last.high) if first.q == last.q else "other percentiles, so not to be compared"
    return f"{said}; {felt}."


def _said(point: _Point) -> str:
    return "too few samples" if point.high.value is None else in_ms(point.high.value)


def _felt(first: Quantile, last: Quantile) -> str:
    if first.value is None or last.value is None:
        return "nothing can be said"
    if first.overlaps(last):
        return "a tie"
    if math.isinf(last.value) or math.isinf(first.value):
        return "censored"
    times = last.value / first.value
    return f"{times:,.0f} times" if times >= 10 else f"{times:.2g} times"
