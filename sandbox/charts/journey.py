"""The journey of one message, as a space-time diagram: who had it when, on its way through retry, redelivery and loss.

Time runs downwards, one row a step with its time written beside it, so that microseconds and seconds are both readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.fates import history_of
from sandbox.charts.labels import listed, shortened
from sandbox.charts.placing import LETTER
from sandbox.charts.steps import Move, Step, came_later, meant_for, steps_of, the_most_telling
from sandbox.charts.style import INK, QUIET, WIDTH
from sandbox.harness.history import History, Role
from sandbox.harness.plan import MESSAGES
from sandbox.harness.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["journey", "the_most_telling"]

ROW = 0.34  # inches
PAUSE = 0.34  # more, where much time passes
LONG = 100_000_000  # ns from which on the time that passes is written between two rows
TIMES, WORDS = 1.35, 4.35  # inches from the left edge: right end of the times, left end of the picture
MOST = 44  # rows; of a longer journey the middle is left out of the picture
HEAD = 0.62
COLUMNS = ("step", "ms after its start", "s after the run's start", "who", "what", "attempt")
NOTE = "Never: did not happen in this run. A death stands at the last sign of life."
FAULTS = (Move.OPENED, Move.HEALED, Move.MOMENT)
_FAULT, _MEDIUM = "#e3e3e3", "#0072B2"
_BAD = "#C4200B"


def journey(run: History | Result, operation: int | None = None) -> Chart:
    """What happened to one operation of a run; without a choice, to `the_most_telling`.

    `BadArgument` for one that was not planned.
    """
    history = history_of(run)
    chosen = the_most_telling(history) if operation is None else operation
    steps = steps_of(history, chosen)
    page = _Page(history, chosen, steps)
    return Chart(
        name=f"journey-{chosen}",
        title=page.title,
        alt=page.alt(),
        columns=COLUMNS,
        rows=tuple(page.row(number, step) for number, step in enumerate(steps, start=1)),
        draw=lambda figure: _draw(figure, page),
        height=page.height,
        note=NOTE,
    )


class _Page:
    """Which column a participant has, and how far down each step stands, in inches."""

    def __init__(self, history: History, operation: int, steps: Sequence[Step]) -> None:
        self.history, self.operation, self.steps = history, operation, steps
        message = MESSAGES[int(history.plan.rows["message"][operation - 1])]
        self.title = f"The journey of operation {operation} ({message}) through {history.channel}"
        half = MOST // 2
        self.left_out = max(0, len(steps) - MOST)
        self.shown = [*steps[:half], *steps[half + self.left_out :]]
        self.start = next((step.time for step in steps if step.process is not None and step.time is not None), 0)
        self.columns = self._columns()
        width = WIDTH - WORDS - panels.RIGHT
        self.step = width / len(self.columns)
        self.staggered = max((len(self.name(each)) for each in self.columns), default=0) * LETTER > self.step - 0.1
        self.depth, self.passing = self._depths()
        self.body = self.depth[-1] + 0.6 * ROW if self.depth else ROW
        self.height = panels.TOP + HEAD + self.body + 2 * panels.KEY_LINE + 0.35

    def _columns(self) -> list[int | None]:
        """Senders, the medium (None), receivers; where nobody of a group was met, its first ones."""
        met = {step.process for step in self.steps if step.process is not None}
        processes = self.history.processes
        senders = [i for i in sorted(met) if processes[i].role is Role.SENDER]
        receivers = [i for i in sorted(met) if processes[i].role is Role.RECEIVER]
        for group in meant_for(self.history, self.operation):
            if all(processes[i].group != group for i in receivers):
                receivers += self.history.indices(Role.RECEIVER, group)[:2]
        return [*senders, None, *sorted(receivers, key=lambda i: (processes[i].group, i))]

    def name(self, column: int | None) -> str:
        """Of a column."""
        return "medium" if column is None else shortened(self.history.processes[column].name, 18)

    def across(self, column: int | None) -> float:
        """Inches from the left edge to a column."""
        return WORDS + (self.columns.index(column) + 0.5) * self.step

    def _depths(self) -> tuple[list[float], list[tuple[float, str]]]:
        depths: list[float] = []
        passing: list[tuple[float, str]] = []
        at, before = 0.6 * ROW, None
        for number, step in enumerate(self.shown):
            gap = 0 if before is None or step.time is None else step.time - before
            hole = bool(self.left_out) and number == MOST // 2
            if hole or gap >= LONG:
                words = f"{self.left_out:,} steps are left out" if hole else f"{gap / 1e9:.3g} s pass"
                passing.append((at, words))
                at += PAUSE
            depths.append(at)
            at += ROW
            before = step.time if step.time is not None else before
        return depths, passing

    def when(self, step: Step) -> str:
        """ "12.345 ms" after its start."""
        return "never" if step.time is None else f"{(step.time - self.start) / 1e6:,.3f} ms"

    def who(self, step: Step) -> str:
        """Whose step it is, for the table."""
        fault = step.move in FAULTS
        return self.history.processes[step.process].name if step.process is not None else "fault" if fault else "-"

    def row(self, number: int, step: Step) -> tuple[Value, ...]:
        ms = None if step.time is None else (step.time - self.start) / 1e6
        s = None if step.time is None else step.time / 1e9
        return (
            number,
            ms,
            s,
            self.who(step),
            step.words if ms is not None else f"never: {step.words}",
            step.attempt or None,
        )

    def alt(self) -> str:
        told = [f"{self.when(step)}: {self.who(step)}: {step.words}" for step in self.steps]
        names = listed([self.name(column) for column in self.columns])
        start = f"It began {self.start / 1e9:.6f} s after the start of the run; times count from then."
        return f"{self.title}. A space-time diagram with lines for {names}. {start} {'; '.join(told)}."


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, page: _Page) -> None:
    panels.headline(figure, page.title)
    high = HEAD + page.body
    bottom = 1 - (panels.TOP + high) / page.height
    axes = figure.add_axes((0, bottom, 1, high / page.height), xlim=(0, WIDTH), ylim=(high - HEAD, -HEAD))
    axes.set_axis_off()
    for column in page.columns:
        _lifeline(axes, page, column)
    _windows(axes, page)
    for depth, words in page.passing:
        axes.text(TIMES + 0.2, depth, words, va="center", color=QUIET, style="italic")
    for depth, step in zip(page.depth, page.shown, strict=True):
        _step(axes, page, depth, step)
    start = f"Times count from when it began, {page.start / 1e9:.6f} s after the start of the run. Not to scale."
    panels.foot(figure, start, 1)
    panels.foot(figure, "Dashed arrow: delivered once more.  \N{BALLOT X}: ends here.  Grey: a fault is there.", 0)


def _lifeline(axes: Axes, page: _Page, column: int | None) -> None:
    """From the top (or where it came into another's place) to the end, or to its death."""
    x = page.across(column)
    mine = [(depth, step) for depth, step in zip(page.depth, page.shown, strict=True) if step.process == column]
    top, end = -0.12, page.body
    if column is not None and came_later(page.history.processes[column].name) and mine:
        top = mine[0][0] - 0.5 * ROW
    if column is not None:
        end = next((depth for depth, step in mine if step.move is Move.DEATH), end)
    style = (
        {"color": _MEDIUM, "linewidth": 5.0, "alpha": 0.35} if column is None else {"color": QUIET, "linewidth": 1.6}
    )
    axes.plot([x, x], [top, end], zorder=1, solid_capstyle="butt", gid="lifeline", **style)  # type: ignore[arg-type]
    raised = 0.28 if page.staggered and page.columns.index(column) % 2 else 0.0
    axes.text(x, -0.2 - raised, page.name(column), ha="center", va="bottom", weight="bold")


def _windows(axes: Axes, page: _Page) -> None:
    """Grey between the row where a fault begins and the one where it is over."""
    rows = list(zip(page.depth, page.shown, strict=True))
    for depth, step in rows:
        if step.move is not Move.OPENED:
            continue
        name = step.words.split(" (since ")[0]
        healed = (Move.HEALED, f"{name}: ")
        ends = [d for d, other in rows if d > depth and (other.move, other.words[: len(healed[1])]) == healed]
        end = ends[0] if ends else page.body
        axes.axhspan(depth, end, WORDS / WIDTH, 1 - panels.RIGHT / WIDTH, color=INK, alpha=0.07, zorder=0, gid="window")


def _step(axes: Axes, page: _Page, depth: float, step: Step) -> None:
    bad = step.move in (Move.LOST, Move.DEATH, Move.SILENCE)
    axes.text(TIMES, depth, page.when(step), ha="right", va="center", color=QUIET)
    if step.move in FAULTS:
        ends = ((TIMES + 0.12) / WIDTH, 1 - panels.RIGHT / WIDTH)
        axes.axhspan(depth - 0.42 * ROW, depth + 0.42 * ROW, *ends, color=_FAULT, zorder=2, gid=str(step.move))
        axes.text(TIMES + 0.2, depth, shortened(step.words, 66), va="center", weight="bold", zorder=5)
        return
    weight = "bold" if bad else "normal"
    axes.text(TIMES + 0.2, depth, step.words, va="center", weight=weight, color=_BAD if bad else INK)
    middle = page.across(None)
    if step.process is None:
        if step.move is Move.LOST:
            _arrow(axes, middle, middle + 0.42 * page.step, depth, step.move)
        return
    x = page.across(step.process)
    if step.move is Move.OUT:
        _arrow(axes, x, middle, depth, step.move)
    elif step.move in (Move.IN, Move.AGAIN):
        _arrow(axes, middle, x, depth, step.move)
    elif step.move is Move.SILENCE:
        _arrow(axes, middle, (middle + x) / 2, depth, step.move)
    gone = ("x", 13, _BAD)
    marker, size, colour = {Move.LOST: gone, Move.DEATH: gone, Move.STRIKE: ("^", 10, INK)}.get(
        step.move, ("o", 7, INK)
    )
    if step.move is not Move.SILENCE:
        axes.plot([x], [depth], marker=marker, markersize=size, color=colour, markeredgewidth=2.4, zorder=4, gid="step")
    if step.attempt and step.move in (Move.IN, Move.AGAIN):
        axes.annotate(str(step.attempt), (x, depth), (9, 0), textcoords="offset points", va="center", weight="bold")


def _arrow(axes: Axes, start: float, end: float, depth: float, move: Move) -> None:
    nowhere = move in (Move.LOST, Move.SILENCE)
    colour, dash = (_BAD if nowhere else INK), ((0, (4, 2)) if move is Move.AGAIN else "solid")
    look = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "linestyle": dash, "shrinkA": 0, "shrinkB": 4}
    axes.annotate("", (end, depth), (start, depth), arrowprops=look, zorder=3, gid=f"arrow {move}")
    if nowhere:
        axes.plot([end], [depth], marker="x", markersize=13, color=_BAD, markeredgewidth=2.8, zorder=4, gid="nowhere")
