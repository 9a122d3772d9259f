"""A run against the clock: every operation a mark, every fault a shaded window, and below it the rate.

What never ended stands in a lane of its own above the latencies. Several runs stand below each other on the same axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.fates import FATES, Fate, history_of, lives, mark
from sandbox.charts.labels import in_ms, listed
from sandbox.charts.style import INK, WIDTH, plain_log_axis
from sandbox.charts.windows import BACK, ROW, laid_out, shade, windows_of
from sandbox.errors import BadArgument
from sandbox.harness.history import History
from sandbox.harness.journal import Event
from sandbox.harness.result import Result

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, Any]

TITLE = "What happened when: every operation, and the faults"
LEFT = 1.75
LANE = 0.27  # inches
#: up to so many runs -> height of their latencies and rates in inches
SIZES = {1: (3.0, 1.1), 3: (1.75, 0.8), 99: (1.35, 0.65)}
BETWEEN = 0.12
BLOCKS = 0.22
BINS = 60
_WORDS = {Fate.INFO: "info (indeterminate)"}
COLUMNS = (
    *("run", "channel", "operations", *FATES, "without an end", "slowest ms"),
    *("longest without a completion s", "from s", "faults"),
)
NOTE = "Every operation is in exactly one of the seven accounts; warm-up is counted. Times in s after the run's start."


def timeline(*runs: History | Result) -> Chart:
    """Every operation of one or more runs by when it should have begun, with the fault windows of each run.

    Faults come from ``history.facts["faults"]``. `BadArgument` without a run, or for one without operations.
    """
    if not runs:
        raise BadArgument("timeline", expected="at least one run", got=())
    blocks = [_Block(number, history) for number, history in enumerate(map(history_of, runs), start=1)]
    frame = _Frame(blocks)
    return Chart(
        name="timeline",
        title=TITLE,
        alt=" ".join([_OPENING, *(block.sentence() for block in blocks)]),
        columns=COLUMNS,
        rows=tuple(block.row() for block in blocks),
        draw=lambda figure: _draw(figure, blocks, frame),
        height=frame.height,
        note=NOTE,
    )


class _Block:
    """One run: its operations, its faults, and when nothing was completed."""

    def __init__(self, number: int, history: History) -> None:
        import numpy as np

        self.number, self.history = number, history
        self.lives = lives(history)
        self.windows = windows_of(history)
        self.struck: Array = history.of(Event.STRUCK)["time"] / 1e9
        self.counts = {fate: self.lives.count(fate) for fate in Fate}
        self.censored = {fate: int(self.lives.censored(fate).sum()) for fate in Fate}
        self.took: Array = (self.lives.end - self.lives.start) * 1e3
        self.completed: Array = np.sort(self.lives.done[~np.isnan(self.lives.done)])
        started = self.lives.start[~np.isnan(self.lives.start)]
        self.first, self.load_end = (float(started.min()), float(started.max())) if len(started) else (0.0, 0.0)
        self.last = max([self.load_end, *self.completed[-1:].tolist(), *np.nan_to_num(self.lives.end).tolist()])
        stops = np.concatenate([[self.first], self.completed, [max(self.load_end, self.first)]])
        stops = np.maximum.accumulate(stops)
        longest = int(np.argmax(np.diff(stops)))
        self.silence, self.silent_from = float(np.diff(stops)[longest]), float(stops[longest])

    @property
    def slowest(self) -> float | None:
        """The longest that came, in ms."""
        import numpy as np

        return None if np.isnan(self.took).all() else float(np.nanmax(self.took))

    @property
    def shown(self) -> list[Fate]:
        """The fates that occur, common ones first, so that rare marks lie on top."""
        return [fate for fate in (Fate.OK, Fate.UNATTEMPTED, *FATES[2:]) if self.counts[fate]]

    def said(self) -> str:
        counts = [f"{self.counts[fate]:,} {fate}" for fate in self.shown]
        return f"of {sum(self.counts.values()):,} operations {', '.join(counts)}"

    def row(self) -> tuple[Value, ...]:
        faults = "; ".join(window.said for window in self.windows)
        counts = [self.counts[fate] for fate in FATES]
        ends = (sum(self.censored.values()), self.slowest, self.silence, self.silent_from, faults or "none")
        return (self.number, self.history.channel, sum(counts), *counts, *ends)

    def sentence(self) -> str:
        verbs = listed([str(verb) for verb in self.history.workload.weights])
        parts = [f"{self.history.channel} ({verbs}), {self.said()}."]
        if never := sum(self.censored.values()):
            parts.append(f"{never:,} had no end.")
        if self.slowest is not None:
            parts.append(f"The slowest that ended took {in_ms(self.slowest * 1e6)}.")
        faults = [window.said for window in self.windows]
        parts.append(f"Faults: {'; '.join(faults)}." if faults else "No fault was planned.")
        if self.silence:
            until = self.silent_from + self.silence
            parts.append(f"The longest time without a completion: {self.silent_from:.3g} s to {until:.3g} s.")
        return " ".join(parts)


class _Frame:
    """What all runs share, so that they compare: both time axes, the lanes, the bins; and where each run stands."""

    def __init__(self, blocks: Sequence[_Block]) -> None:
        import numpy as np

        moments = [e for b in blocks for w in b.windows for e in (w.opened, w.healed, w.back)]
        edges = [each for each in moments if each is not None and each < math.inf]
        struck = [float(time) for b in blocks for time in b.struck[-1:]]
        self.end = max([b.last for b in blocks] + edges + struck) or 1.0
        took = np.concatenate([block.took for block in blocks])
        took = took[took > 0]  # leaves out not-a-number
        self.low, self.high = (float(took.min()), float(took.max())) if len(took) else (0.1, 10.0)
        self.lanes = [fate for fate in FATES if any(block.censored[fate] for block in blocks)]
        self.bin = _round(self.end / BINS)
        self.sizes = next(sizes for most, sizes in SIZES.items() if len(blocks) <= most or most == max(SIZES))
        self.wide = WIDTH - LEFT - panels.RIGHT
        self.names = [self._names(block) for block in blocks]
        self.most = max(self._most(block) for block in blocks)
        own = [self.above(number) + sum(self.sizes) + BETWEEN for number in range(len(blocks))]
        self.height = panels.height([sum(own) + (len(own) - 1) * (BLOCKS + panels.CAPTION)], key_lines=4)

    def above(self, number: int) -> float:
        """Inches above the latencies of a run: names of faults, and lanes."""
        rows = 1 + max((row for row, _ in self.names[number]), default=-1)
        return ROW * rows + LANE * len(self.lanes)

    def inches(self, time: float) -> float:
        """From the left end of a panel to a time."""
        return (time / self.end + 0.02) / 1.04 * self.wide

    def per_second(self, times: Array) -> tuple[Array, Array]:
        """Left ends of all bins, and how many events a second there are in each."""
        import numpy as np

        edges = np.arange(0, self.end + 2 * self.bin, self.bin)
        return edges, np.histogram(times, edges)[0] / self.bin

    def _names(self, block: _Block) -> list[tuple[int, float]]:
        return laid_out([(self.inches(w.opened), w.name) for w in block.windows if w.opened is not None], self.wide)

    def _most(self, block: _Block) -> float:
        started = block.lives.start[block.lives.start >= 0]
        return max(float(self.per_second(times)[1].max(initial=1.0)) for times in (started, block.completed))


def _round(seconds: float) -> float:
    """The next of 1, 2, 5, 10, ... that is not below."""
    power: float = 10.0 ** math.floor(math.log10(seconds))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= 0.999 * seconds)


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, blocks: Sequence[_Block], frame: _Frame) -> None:
    panels.headline(figure, TITLE)
    top = frame.height - panels.TOP
    for block in blocks:
        top -= panels.CAPTION
        names, lanes, times, rates = _axes(figure, frame, block.number - 1, top)
        caption = f"{block.number}. {block.history.channel}" if len(blocks) > 1 else block.history.channel
        panels.caption(names, caption, block.said())
        opened = [window for window in block.windows if window.opened is not None]
        shade(names, (lanes, times, rates), opened, frame.names[block.number - 1])
        _lanes(lanes, block, frame)
        _times(times, block, frame)
        _rates(rates, block, frame)
        rates.tick_params(labelbottom=block is blocks[-1])
        top -= frame.above(block.number - 1) + sum(frame.sizes) + BETWEEN + BLOCKS
    rates.set_xlabel("s after the start of the run")
    _key(figure, blocks, frame)


def _axes(figure: Figure, frame: _Frame, number: int, top: float) -> tuple[Axes, Axes, Axes, Axes]:
    """From top to bottom: names of faults, lanes of what never ended, latencies, rate."""
    lanes = LANE * len(frame.lanes)
    heights = (frame.above(number) - lanes, lanes, *frame.sizes)
    made = []
    for high, gap in zip(heights, (0, 0, BETWEEN, 0), strict=True):
        top -= high
        place = (LEFT / WIDTH, top / frame.height, frame.wide / WIDTH, max(high, 1e-6) / frame.height)
        made.append(figure.add_axes(place, xlim=(-0.02 * frame.end, 1.02 * frame.end)))
        top -= gap
    for axes in made[:3]:
        axes.tick_params(bottom=False, labelbottom=False)
        axes.spines["bottom"].set_visible(axes is made[2])
    made[0].set_axis_off()
    made[1].set_visible(bool(frame.lanes))
    return made[0], made[1], made[2], made[3]


def _lanes(axes: Axes, block: _Block, frame: _Frame) -> None:
    """What never ended, one lane a fate: above every latency, since it took longer than all of them."""
    axes.set_ylim(max(1, len(frame.lanes)) - 0.5, -0.5)
    axes.set_yticks(range(len(frame.lanes)), [f"{block.censored[fate]:,} {fate}" for fate in frame.lanes])
    axes.tick_params(left=False)
    for lane, fate in enumerate(frame.lanes):
        axes.axhspan(lane - 0.42, lane + 0.42, facecolor="none", edgecolor="#d9d9d9", linewidth=0.8, zorder=0.2)
        mine = block.lives.start[block.lives.censored(fate)]
        mine[mine != mine] = frame.end  # of a closed loop: nobody knows when it would have begun
        axes.plot(mine, [lane] * len(mine), zorder=3, clip_on=False, gid=f"never {fate}", **mark(fate))


def _times(axes: Axes, block: _Block, frame: _Frame) -> None:
    plain_log_axis(axes, "y", frame.low, frame.high, room=0.08)
    axes.set_ylabel("ms (log scale)")
    bottom = axes.get_ylim()[0]
    for fate in block.shown:
        mine = (block.lives.fate == FATES.index(fate)) & (block.took == block.took)
        style = mark(fate) | ({"alpha": 0.65} if fate is Fate.OK else {})
        axes.plot(block.lives.start[mine], block.took[mine].clip(bottom), zorder=3, gid=f"ended {fate}", **style)
    if len(block.struck):
        place = [0.0] * len(block.struck)
        style = {"linestyle": "none", "marker": "^", "markersize": 8, "color": INK, "clip_on": False, "zorder": 4}
        axes.plot(block.struck, place, transform=axes.get_xaxis_transform(), gid="struck", **style)


def _rates(axes: Axes, block: _Block, frame: _Frame) -> None:
    axes.set_ylim(0, 1.1 * frame.most)
    axes.set_ylabel("per s")
    axes.locator_params(axis="y", nbins=3)
    edges, done = frame.per_second(block.completed)
    axes.stairs(done, edges, fill=True, color=mark(Fate.OK)["color"], alpha=0.75, zorder=2)
    edges, offered = frame.per_second(block.lives.start[block.lives.start >= 0])
    axes.stairs(offered, edges, color=INK, linewidth=1.4, linestyle=(0, (3, 1.5)), baseline=None, zorder=3)


def _key(figure: Figure, blocks: Sequence[_Block], frame: _Frame) -> None:
    from matplotlib.lines import Line2D

    shown = [fate for fate in FATES if any(block.counts[fate] for block in blocks)]
    panels.legend(figure, [Line2D([], [], label=_WORDS.get(fate, str(fate)), **mark(fate)) for fate in shown], line=3)
    width = 1e3 * frame.bin
    handles = [
        Line2D(
            [],
            [],
            color=mark(Fate.OK)["color"],
            linewidth=7,
            solid_capstyle="butt",
            label=f"completed per s (in {width:g} ms)",
        ),
        Line2D([], [], color=INK, linewidth=1.4, linestyle=(0, (3, 1.5)), label="offered per s"),
    ]
    if any(len(block.struck) for block in blocks):
        handles.append(Line2D([], [], marker="^", markersize=8, linestyle="none", color=INK, label="a fault strikes"))
    if any(window.back is not None for block in blocks for window in block.windows):
        handles.append(Line2D([], [], color=INK, linewidth=2.0, linestyle=BACK, label="back again"))
    panels.legend(figure, handles, line=2)
    loops = {block.history.workload.loop for block in blocks}
    start = "intended start" if loops == {"open"} else "start (intended in an open loop, actual in a closed one)"
    panels.foot(figure, f"Each mark is one operation at its {start}. Height: time until it was answered,", 1)
    never = "; above: those that never ended" if frame.lanes else ""
    panels.foot(figure, f"written, done by every group (tell), or its sender told that it failed{never}.", 0)


_OPENING = (
    "Timelines by seconds after the start of the run: every operation at its start, by how long it took (logarithmic "
    "axis in ms) and what became of it; those that never ended stand in lanes above; below, completed and offered "
    "operations per second."
)
