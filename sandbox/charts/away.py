"""How many operations succeed while the receiver is away, and what their senders are told of the others."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import halo, listed, shortened
from sandbox.charts.lines import Drawn, key, key_lines, only_marker
from sandbox.charts.style import QUIET, rank
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.checker import FAIL, INFO, OK, UNATTEMPTED, outcomes
from sandbox.harness.history import Role
from sandbox.harness.journal import Event
from sandbox.harness.measure import NEVER, first
from sandbox.harness.words import plural

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.history import History
    from sandbox.harness.result import Result

    Array = np.ndarray[Any, Any]

TITLE = "The receiver is away while the sender sends: what succeeds"
LEFT = 1.25
#: in a line below the picture
LETTERS = 100
HEIGHT = 2.7
COLUMNS = (
    *("verb", "channel", "away s", "operations", "succeed %", "done", "answered or accepted", "failed", "unknown"),
    *("not begun", "done, sender not told", "accepted, not done", "remarks"),
)
NOTE = (
    "Succeed: done as it was meant, once, by the end, and (ask) answered in time. Answered or accepted, failed, "
    "unknown: what the sender was told, or nothing (unknown). Away: until a receiver was ready."
)


def away(results: Sequence[Result], notes: Sequence[str] = ()) -> Chart:
    """Runs whose receivers came late: ``history.facts["away"] = {"back": s, "timeout": s}``; one verb a run.

    Raises `BadArgument` for any other. `notes`: what is to be said about channels that are missing.
    """
    if not results or not all("away" in result.history.facts for result in results):
        raise BadArgument("runs", expected="at least one, all with a receiver that comes late", got=len(results))
    points = sorted((_Point(each.history) for each in results), key=lambda point: point.place)
    verbs = list(dict.fromkeys(point.verb for point in points))
    heights, feet = [HEIGHT] * len(verbs), _feet(points)
    return Chart(
        name="away",
        title=TITLE,
        alt=_alt(points),
        columns=COLUMNS,
        rows=tuple(point.row() for point in points),
        draw=lambda figure: _draw(figure, points, heights, feet),
        height=panels.height(heights, key_lines=key_lines(point.channel for point in points) + len(feet)),
        note=" ".join([NOTE, *(f"{note}." for note in notes)]),
    )


class _Point:
    """One run: what became of its operations, and what was said of them."""

    def __init__(self, history: History) -> None:
        import numpy as np

        [self.verb] = history.workload.weights
        self.channel, self.style = history.channel, history.style
        facts = history.facts["away"]
        self.away, self.timeout = float(facts["back"]), float(facts["timeout"])
        self.sends = float(history.plan.rows["due"].max(initial=0)) / 1e9
        self.count = len(history.plan.rows)
        state, done = outcomes(history), _as_meant(history, self.verb)
        answered = (
            np.ones(self.count, dtype=bool) if self.verb is Verb.TELL else _answered_in_time(history, self.timeout)
        )
        told = [OK, FAIL, INFO, UNATTEMPTED]
        self.said, self.failed, self.unknown, self.not_begun = (int((state == each).sum()) for each in told)
        self.done = int(done.sum())
        self.succeeded = int((done & answered).sum())
        self.untold = int((done & (state != OK)).sum())
        self.lost = int((~done & (state == OK)).sum())
        self.remarks = "; ".join(history.notes)

    @property
    def place(self) -> tuple[int, int, str, float]:
        return (list(Verb).index(self.verb), rank(self.style), self.channel, self.away)

    @property
    def percent(self) -> float:
        return 100 * self.succeeded / self.count

    def row(self) -> tuple[Value, ...]:
        told = (self.said, self.failed, self.unknown, self.not_begun, self.untold, self.lost)
        head = (str(self.verb), self.channel, self.away, self.count, self.percent, self.done)
        return (*head, *told, self.remarks or "none")


def _as_meant(history: History, verb: Verb) -> Array:
    """Per operation: done once in every group, with the value and for the project that were meant."""
    import numpy as np

    rows = history.plan.rows
    right = np.ones(len(rows), dtype=bool)
    effects = history.of(Event.EFFECT)
    for group in history.groups_of(verb):
        mine = effects[np.isin(effects["process"], history.indices(Role.RECEIVER, group))]
        mine = mine[(mine["operation"] >= 1) & (mine["operation"] <= len(rows))]
        meant = rows[mine["operation"] - 1]
        good = (mine["value"] == meant["value"]) & (mine["detail"] == meant["project"]) & (mine["status"] == 0)
        times = np.bincount(mine["operation"] - 1, minlength=len(rows))
        right &= (times == 1) & (np.bincount(mine["operation"][good] - 1, minlength=len(rows)) == 1)
    return right


def _answered_in_time(history: History, timeout: float) -> Array:
    """Per operation: well answered, within `timeout` s of its begin, whatever the channel itself takes for late."""
    took = first(history, Event.ANSWERED) - first(history, Event.INTENT)
    flags: Array = (first(history, Event.ANSWERED) < NEVER) & (took <= timeout * 1e9)
    refused = history.of(Event.ANSWERED)
    flags[refused["operation"][refused["status"] != 0] - 1] = False
    return flags


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, points: Sequence[_Point], heights: Sequence[float], feet: Sequence[str]) -> None:
    drawn = Drawn((point.style, point.channel) for point in points)
    panels.headline(figure, TITLE)
    stack = panels.stack(figure, heights, LEFT)
    verbs = list(dict.fromkeys(point.verb for point in points))
    last = max(point.away for point in points) or 1.0
    for axes, verb in zip(stack, verbs, strict=True):
        mine = [point for point in points if point.verb is verb]
        _frame(axes, verb, mine, last)
        for channel, curve in _curves(mine).items():
            _curve(axes, curve, drawn, channel)
        axes.tick_params(labelbottom=axes is stack[-1])
    stack[-1].set_xlabel("s after the sender's start until a receiver is there")
    key(figure, drawn, len(feet))
    for line, text in enumerate(reversed(feet)):
        panels.foot(figure, text, line)


def _curves(points: Sequence[_Point]) -> dict[str, list[_Point]]:
    found: dict[str, list[_Point]] = {}
    for point in points:
        found.setdefault(point.channel, []).append(point)
    return found


def _frame(axes: Axes, verb: Verb, points: Sequence[_Point], last: float) -> None:
    axes.set_xlim(-0.03 * last, 1.03 * last)
    axes.set_ylim(-6, 122)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_ylabel("% of operations")
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    seconds, timeout = max(point.sends for point in points), max(point.timeout for point in points)
    in_time = f", and answered within {timeout:g} s" if verb is Verb.ASK else ""
    panels.caption(axes, str(verb), f"done as meant by the end{in_time}")
    axes.axvspan(0, seconds, color="#ececec", zorder=0)
    _moment(axes, seconds / 2, "the sender sends", "center")
    if verb is Verb.ASK and seconds + timeout < last:
        axes.axvline(seconds + timeout, color=QUIET, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
        _moment(
            axes,
            seconds + timeout,
            " the last asker has given up ",
            "left" if seconds + timeout < 0.7 * last else "right",
        )
    if late := max((point.done - point.succeeded for point in points if point.away > 0.95 * last), default=0):
        place = {"ha": "right", "va": "center", "weight": "bold"}
        said = f"{late} of {points[0].count} done, but too late for the asker"
        axes.annotate(said, (last, 88), **place).set_path_effects(halo())  # type: ignore[arg-type]


def _moment(axes: Axes, at: float, text: str, side: str) -> None:
    axes.annotate(text, (at, 114), ha=side, va="center", color=QUIET).set_path_effects(halo())


def _curve(axes: Axes, curve: Sequence[_Point], drawn: Drawn, channel: str) -> None:
    look = drawn.looks[channel]
    times = [point.away for point in curve]
    axes.plot(times, [point.percent for point in curve], zorder=3, gid=f"succeed {channel}", **drawn.line(channel))
    if any(point.done > point.succeeded for point in curve):
        done = [100 * point.done / point.count for point in curve]
        axes.plot(times, done, color=look.colour, linewidth=1.3, linestyle=(0, (1, 2)), zorder=2, gid=f"done {channel}")
        axes.plot(times, done, linestyle="none", zorder=2, **only_marker(look, 5) | {"markeredgewidth": 1.0})


def _feet(points: Sequence[_Point]) -> list[str]:
    """What stands below the picture."""
    told = {
        "failed": [point.channel for point in points if point.failed],
        "nobody knows": [point.channel for point in points if point.unknown],
        "accepted, and it was lost": [point.channel for point in points if point.lost],
    }
    parts = [f"{what} ({', '.join(map(shortened, dict.fromkeys(names)))})" for what, names in told.items() if names]
    said = []
    if any(point.done > point.succeeded for point in points):
        said.append("Small marks, dotted: done by the end, answered in time or not.")
    if parts:
        said += wrap(f"Told of what did not succeed: {'; '.join(parts)}.", LETTERS)
    if doubtful := sum(bool(point.remarks) for point in points):
        said.append(f"{plural(doubtful, 'run')} did not go as planned: see the remarks in the table.")
    return [*said, f"{plural(points[0].count, 'operation')} a run, offered at intended times."]


# --- the same in words ----------------------------------------------------------------------------


def _alt(points: Sequence[_Point]) -> str:
    opening = (
        "The share of operations that succeed against how long the receiver is away, counted from the sender's start; "
        f"the sender sends for {max(point.sends for point in points):.2g} s."
    )
    said = [opening]
    for verb in dict.fromkeys(point.verb for point in points):
        mine = _curves([point for point in points if point.verb is verb])
        said += [_sentence(channel, verb, curve) for channel, curve in mine.items()]
    return " ".join(said)


def _sentence(channel: str, verb: Verb, curve: Sequence[_Point]) -> str:
    steps = [f"{point.percent:.0f} % at {point.away:.2g} s" for point in curve]
    worst = max(curve, key=lambda point: point.away)
    told = [
        f"{number} {what}"
        for number, what in (
            (worst.failed, "told that they failed"),
            (worst.unknown, "told that nobody knows"),
            (worst.untold, "done without their sender's knowing"),
            (worst.lost, "accepted and never done"),
        )
        if number
    ]
    after = f"; of {worst.count} at {worst.away:.2g} s, {listed(told)}" if told else ""
    return f"{channel} ({verb}): {listed(steps)}{after}."
