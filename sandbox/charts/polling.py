"""What a poll interval costs: half of it in latency, and the more looks for nothing the shorter it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import halo, in_ms, ms
from sandbox.charts.style import Look, looks, millisecond_axis, plain_log_axis, rank
from sandbox.errors import BadArgument

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.measure import Quantile
    from sandbox.harness.result import Result

TITLE = "Polling: what an interval costs in latency, and in work for nothing"
LEFT = 1.35
HEIGHTS = (2.9, 2.1, 2.1)
COLUMNS = (
    *("channel", "poll ms", "p50 ms", "p90 ms", "samples", "sleeps per operation"),
    *("receiver's CPU, % of a core", "CPU ms per operation"),
)
NOTE = (
    'poll "-": it is woken. Sleeps: how often the receiver went to sleep; one that finds something whenever it looks '
    "has one per operation or fewer, the rest were looks for nothing. A server's CPU is not in it. "
    '"-" elsewhere: too few samples.'
)


@dataclass(frozen=True)
class Point:
    """One run: `poll` in ms (None: woken), latency percentiles, and what its receiver has spent."""

    channel: str
    style: str
    poll: float | None
    p50: Quantile
    p90: Quantile
    sleeps: float
    busy: float
    cpu: float

    def row(self) -> tuple[Value, ...]:
        times = (ms(self.p50.value), ms(self.p90.value), self.p50.samples)
        return (self.channel, self.poll, *times, self.sleeps, self.busy, self.cpu)


def polling(results: Sequence[Result]) -> Chart:
    """Runs of channels that poll (a knob `poll`; `wake` and `notify` off or absent), beside channels that are woken.

    Raises `BadArgument` for a run whose receiver has not told what it has spent.
    """
    points = sorted((_of(result) for result in results), key=lambda p: (rank(p.style), p.channel, p.poll or 0.0))
    return Chart(
        name="polling",
        title=TITLE,
        alt=_alt(points),
        columns=COLUMNS,
        rows=tuple(point.row() for point in points),
        draw=lambda figure: _draw(figure, points),
        height=panels.height(HEIGHTS, key_lines=1),
        note=NOTE,
    )


def _of(result: Result) -> Point:
    history = result.history
    knobs: dict[str, Any] = history.facts.get("knobs", {})
    told = [spent for spent in history.facts.get("spent", {}).values() if spent]
    if not told:
        raise BadArgument("run", expected="one whose receivers say what they have spent", got=history.channel)
    [verb] = history.workload.weights
    polls = "poll" in knobs and not knobs.get("wake", False) and not knobs.get("notify", False)
    count = len(history.plan.rows)
    cpu, wall = sum(each["cpu"] for each in told), sum(each["wall"] for each in told)
    return Point(
        channel=history.channel,
        style=history.style,
        poll=1e3 * knobs["poll"] if polls else None,
        p50=result.quantile(verb, 0.5),
        p90=result.quantile(verb, 0.9),
        sleeps=sum(each["sleeps"] for each in told) / count,
        busy=100 * cpu / wall if wall else 0.0,
        cpu=1e3 * cpu / count,
    )


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, points: Sequence[Point]) -> None:
    drawn = looks((point.style, point.channel) for point in points)
    panels.headline(figure, TITLE)
    times, sleeps, busy = panels.stack(figure, HEIGHTS, LEFT)
    intervals = [point.poll for point in points if point.poll] or [1.0, 10.0]
    for axes in (times, sleeps, busy):
        millisecond_axis(axes, min(intervals), max(intervals), room=0.12)
        axes.tick_params(labelbottom=axes is busy)
    _times(times, points, drawn)
    _spent(sleeps, points, drawn, "sleeps")
    _spent(busy, points, drawn, "busy")
    panels.caption(times, "latency", "p50 of each interval, thin line to the p90; grey: half the interval")
    panels.caption(sleeps, "looks", "times the receiver went to sleep per operation; above the grey line, for nothing")
    panels.caption(busy, "CPU", "of the receiver's process, in percent of a core (a server's is not in it)")
    times.set_ylabel("ms (log scale)")
    sleeps.set_ylabel("per operation")
    busy.set_ylabel("%")
    busy.set_xlabel("poll interval in ms (log scale)")
    _key(figure, points, drawn)


def _runs(points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    """Channel by channel, the points that poll."""
    names = dict.fromkeys(point.channel for point in points if point.poll is not None)
    return [(name, [p for p in points if p.channel == name and p.poll is not None]) for name in names]


def _woken(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if point.poll is None]


def _times(axes: Axes, points: Sequence[Point], drawn: dict[str, Look]) -> None:
    ends = [ms(q.value) for p in points for q in (p.p50, p.p90)]
    finite = [end for end in ends if end is not None and 0 < end < math.inf] or [0.1, 10.0]
    plain_log_axis(axes, "y", min(finite), max(finite), room=0.12)
    low, high = axes.get_xlim()
    axes.plot([low, high], [low / 2, high / 2], color="#d8d8d8", linewidth=5, zorder=0)
    top = axes.get_ylim()[1]
    for name, mine in _runs(points):
        look = drawn[name]
        shown = [(p.poll, min(p.p50.value / 1e6, top), p.p90.value) for p in mine if p.poll and p.p50.value]
        axes.plot([x for x, _, _ in shown], [y for _, y, _ in shown], **look.line(), **_marker(look))
        for x, y, p90 in shown:
            axes.plot([x, x], [y, min((p90 or y * 1e6) / 1e6, top)], color=look.colour, linewidth=1.5)
    for point in _woken(points):
        if point.p50.value is not None:
            level = min(point.p50.value / 1e6, top)
            _level(axes, level, drawn[point.channel])
            said = axes.annotate(f"{point.channel}, woken", (0.99, level), (0, 3), **_IN_PANEL)
            said.set_path_effects(halo())


def _spent(axes: Axes, points: Sequence[Point], drawn: dict[str, Look], what: str) -> None:
    values = [max(getattr(point, what), 1e-3) for point in points]
    plain_log_axis(axes, "y", min(values), max(values), room=0.15)
    if what == "sleeps":
        axes.axhline(1, color="#d8d8d8", linewidth=5, zorder=0)
    for name, mine in _runs(points):
        look = drawn[name]
        axes.plot([p.poll for p in mine], [max(getattr(p, what), 1e-3) for p in mine], **look.line(), **_marker(look))  # type: ignore[arg-type]
    for point in _woken(points):
        _level(axes, max(getattr(point, what), 1e-3), drawn[point.channel])


def _marker(look: Look) -> dict[str, Any]:
    return {name: value for name, value in look.point(9).items() if name != "color"}


_IN_PANEL: dict[str, Any] = {
    "xycoords": ("axes fraction", "data"),
    "textcoords": "offset points",
    "ha": "right",
    "va": "bottom",
}


def _level(axes: Axes, value: float, look: Look) -> None:
    """A channel that is woken has no interval: a level across the panel, its mark at the left edge."""
    axes.axhline(value, **look.line(1.4), zorder=1)
    axes.plot(0, value, transform=axes.get_yaxis_transform(), clip_on=False, **look.point(9))


def _key(figure: Figure, points: Sequence[Point], drawn: dict[str, Look]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=name, **drawn[name].line(), **_marker(drawn[name])) for name, _ in _runs(points)]
    for point in _woken(points):
        look = drawn[point.channel]
        handles.append(Line2D([], [], label=f"{point.channel}, woken", **look.line(1.4), **_marker(look)))
    panels.legend(figure, handles, line=0)


# --- the same in words ----------------------------------------------------------------------------


def _alt(points: Sequence[Point]) -> str:
    opening = (
        "Three panels by poll interval, logarithmic axes: latency in ms, how often the receiver went to sleep per "
        "operation, and its CPU in percent of a core."
    )
    said = [f"{name}: {'; '.join(_said(point) for point in mine)}." for name, mine in _runs(points)]
    woken = [f"{point.channel}, which is woken: {_said(point)}." for point in _woken(points)]
    return " ".join([opening, *said, *woken])


def _said(point: Point) -> str:
    p50 = in_ms(point.p50.value) if point.p50.value is not None else "too few samples"
    p90 = in_ms(point.p90.value) if point.p90.value is not None else "too few samples"
    every = f"every {point.poll:.3g} ms " if point.poll is not None else ""
    return f"{every}p50 {p50}, p90 {p90}, {point.sleeps:.3g} sleeps per operation, {point.busy:.2g} % CPU"
