"""Response time against offered load, and the knee: where more load only makes a longer queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import SPAN, halo, in_ms, listed, ms, shortened
from sandbox.charts.style import INK, QUIET, RULE, Look, looks, plain_log_axis, rank
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.knee import Point
    from sandbox.harness.sweep_result import Sweep

TITLE = "Response time against offered load, and the knee"
LEFT = 1.25
HEIGHTS = (3.9, 2.3)
COLUMNS = (
    *("channel", "verb", "offered/s", "achieved/s", "p50 ms", "p90 ms", "samples", "censored"),
    *("sustained", "knee"),
)
NOTE = 'The first row of a channel is its run without load. "-": too few samples to quote.'


def load(sweeps: Sequence[Sweep]) -> Chart:
    """One or several sweeps of the same verb: p90 (and of a single one p50) and achieved rate by offered rate."""
    if not sweeps or len({sweep.verb for sweep in sweeps}) != 1:
        raise BadArgument("sweeps", expected="at least one, all of one verb", got=[sweep.verb for sweep in sweeps])
    ordered = sorted(sweeps, key=lambda sweep: (rank(sweep.style), sweep.channel))
    return Chart(
        name="load",
        title=TITLE,
        alt=_alt(ordered),
        columns=COLUMNS,
        rows=tuple(row for sweep in ordered for row in _rows(sweep)),
        draw=lambda figure: _draw(figure, ordered),
        height=panels.height(HEIGHTS, key_lines=2),
        note=NOTE,
    )


def _rows(sweep: Sweep) -> list[tuple[Value, ...]]:
    return [_row(sweep, point) for point in (sweep.unloaded, *sweep.in_order)]


def _row(sweep: Sweep, point: Point) -> tuple[Value, ...]:
    sustained = "yes" if point.sustained(sweep.limit) else "no"
    knee = "knee" if sweep.knee is not None and point == sweep.knee else ""
    figures = (point.offered, point.achieved, ms(point.p50), ms(point.p90), point.samples, point.censored)
    return (sweep.channel, sweep.verb, *figures, sustained, knee)


def best(sweep: Sweep) -> list[Point]:
    """One point a rate that was asked for, by offered rate: the quickest, since noise only makes slower."""
    found: dict[float, Point] = {}
    for point in sweep.points:
        other = found.get(point.nominal)
        if other is None or _p90(point) < _p90(other):
            found[point.nominal] = point
    return sorted(found.values(), key=lambda point: point.offered)


def _p90(point: Point) -> float:
    return math.inf if point.p90 is None else point.p90


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, sweeps: Sequence[Sweep]) -> None:
    drawn = looks((sweep.style, sweep.channel) for sweep in sweeps)
    panels.headline(figure, TITLE)
    times, rates = panels.stack(figure, HEIGHTS, LEFT)
    _frame(times, rates, sweeps)
    for sweep in sweeps:
        _times(times, sweep, drawn[sweep.channel], alone=len(sweeps) == 1)
        _rates(rates, sweep, drawn[sweep.channel])
    _name_lines(times, sweeps, drawn)
    rates.set_xlabel("operations/s offered (log scale)")
    _key(figure, sweeps)


def _frame(times: Axes, rates: Axes, sweeps: Sequence[Sweep]) -> None:
    points = [point for sweep in sweeps for point in sweep.points]
    offered = [point.offered for point in points]
    reach = [value for sweep in sweeps for value in (sweep.limit / 1e6, *_levels(sweep))]
    for axes in (times, rates):
        plain_log_axis(axes, "x", min(offered), max(offered), room=0.08)
    plain_log_axis(times, "y", min(reach), max(reach), room=0.1)
    plain_log_axis(rates, "y", min(p.achieved for p in points if p.achieved), max(offered), room=0.1)
    times.tick_params(labelbottom=False)
    verb = sweeps[0].verb
    what = "p50 and p90" if len(sweeps) == 1 else "p90"
    panels.caption(times, verb, f"{SPAN[Verb(verb)]}, {what} from intended start")
    panels.caption(rates, "achieved", "what is done per second; on the grey line, all that is offered")
    times.set_ylabel("ms (log scale)")
    rates.set_ylabel("operations/s")
    edges = rates.get_xlim()
    rates.plot(edges, edges, color=RULE, linewidth=5, zorder=0)


def _levels(sweep: Sweep) -> list[float]:
    values = [value for point in sweep.points for value in (point.p50, point.p90)]
    return [value / 1e6 for value in values if value is not None and value < math.inf]


def _times(axes: Axes, sweep: Sweep, look: Look, *, alone: bool) -> None:
    points, top = best(sweep), axes.get_ylim()[1]
    for name, size in (("p90", 8.0), *((("p50", 5.0),) if alone else ())):
        values = [(p.offered, min(getattr(p, name) / 1e6, top)) for p in points if getattr(p, name) is not None]
        line = look.line() if name == "p90" else look.line(1.4) | {"alpha": 0.7}
        axes.plot(*zip(*values, strict=True), **line, **_only_marker(look, size))
        for offered, value in values:
            if value >= top:  # censored: beyond the patience of the run
                axes.plot(offered, top, marker="^", markersize=13, color=look.colour, clip_on=False)
        if alone:
            axes.annotate(
                name, values[0], (-8, 0), textcoords="offset points", ha="right", va="center", color=look.colour
            )
    if alone:
        axes.axhline(sweep.limit / 1e6, color=QUIET, linewidth=1.4, linestyle=(0, (2, 2)))
        said = f"limit: {in_ms(sweep.limit)}; p90 without load: {in_ms(sweep.unloaded.p90 or 0)}"
        axes.annotate(said, (0, sweep.limit / 1e6), (4, 4), ("axes fraction", "data"), "offset points", color=QUIET)
    _mark_knee(axes, sweep, look, alone=alone)


def _only_marker(look: Look, size: float) -> dict[str, Any]:
    point = look.point(size)
    return {name: value for name, value in point.items() if name != "color"}


def _mark_knee(axes: Axes, sweep: Sweep, look: Look, *, alone: bool) -> None:
    if sweep.knee is None or sweep.knee.p90 is None or sweep.beyond is None:
        return
    at = (sweep.knee.offered, sweep.knee.p90 / 1e6)
    ring: dict[str, Any] = {"markersize": 22, "markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 2.2}
    axes.plot(*at, marker="o", linestyle="none", zorder=5, **ring)
    if alone:
        axes.axvline(at[0], color=INK, linewidth=1.2, zorder=0)
        text = f"knee: {at[0]:,.0f}/s"
        place = {"xytext": (-8, -6), "textcoords": "offset points", "ha": "right", "va": "top"}
        said = axes.annotate(text, (at[0], 1), xycoords=("data", "axes fraction"), **place)  # type: ignore[arg-type]
        said.set(weight="bold", path_effects=halo())


def _rates(axes: Axes, sweep: Sweep, look: Look) -> None:
    points = [point for point in best(sweep) if point.achieved > 0]
    values = [(point.offered, point.achieved) for point in points]
    if values:
        axes.plot(*zip(*values, strict=True), **look.line(), **_only_marker(look, 8))
    if sweep.knee is not None and sweep.beyond is not None:
        axes.axvline(sweep.knee.offered, color=look.colour, linewidth=1.2, zorder=0)


def _name_lines(axes: Axes, sweeps: Sequence[Sweep], drawn: dict[str, Look]) -> None:
    """In a row above the first panel's data, each with its mark: the ends of the lines lie too close together."""
    from matplotlib.lines import Line2D

    handles = []
    for sweep in sweeps:
        look = drawn[sweep.channel]
        name = shortened(sweep.channel) + (
            "" if sweep.beyond or len(sweeps) == 1 else " (no knee up to its last point)"
        )
        handles.append(Line2D([], [], label=name, **look.line(), **_only_marker(look, 9)))
    axes.legend(handles=handles, loc="upper left", frameon=True, framealpha=0.85, edgecolor="none", handlelength=3)


def _key(figure: Figure, sweeps: Sequence[Sweep]) -> None:
    ring = "Ring: the knee, the highest rate found that keeps up with a p90"
    panels.foot(figure, f"{ring} within {sweeps[0].times:g} x the unloaded one (or 2 ms).", 1)
    panels.foot(figure, "Beyond it the queue grows as long as the load lasts: a longer run, a higher line.", 0)


# --- the same in words ----------------------------------------------------------------------------


def _alt(sweeps: Sequence[Sweep]) -> str:
    opening = (
        f"Response times of {sweeps[0].verb} (p90, from the intended start) and achieved rates against the "
        f"offered rate, for {listed([sweep.channel for sweep in sweeps])}; logarithmic axes."
    )
    return " ".join([opening, *(_sentence(sweep) for sweep in sweeps)])


def _sentence(sweep: Sweep) -> str:
    lowest, knee, beyond = best(sweep)[0], sweep.knee, sweep.beyond
    start = f"{sweep.channel}: p90 without load {_said(sweep.unloaded.p90)}, "
    start += f"at {lowest.offered:,.0f}/s {_said(lowest.p90)}"
    if knee is None:
        return f"{start}; not even that is sustained."
    at = f"{knee.offered:,.0f}/s with a p90 of {_said(knee.p90)}"
    if beyond is None:
        return f"{start}; no knee up to {at}, the highest rate tried."
    past = f"at {beyond.offered:,.0f}/s it achieves {beyond.achieved:,.0f}/s with a p90 of {_said(beyond.p90)}"
    return f"{start}; the knee is at {at}; {past}."


def _said(ns: float | None) -> str:
    return "not to be quoted" if ns is None else "censored" if ns == math.inf else in_ms(ns)
