"""How old is what a reader of shared state sees? Every stale read is a mark; who has none says so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import halo, in_fixed_order, in_ms, listed, name_row, promised
from sandbox.charts.style import INK, QUIET, RULE, Look, looks, millisecond_axis
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.measure import BEYOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.harness.comparison import Cell, Comparison

TITLE = "Staleness of shared state: how old is what a reader sees?"
ROW = 0.8
FRESH = "none stale"
COLUMNS = (
    *("channel", "promises", "reads", "stale", "stale %", "1 version behind", "2 behind", "3 or more"),
    *("median ms of the stale", "p90 ms of the stale", "stalest ms"),
)
NOTE = (
    "A read is stale if a newer version had been accepted before the read began; how stale: for how long by then. "
    '"-": too few stale reads to quote.'
)


@dataclass(frozen=True)
class Row:
    """One channel's reads: how many there were, and of the stale ones the age in ms (sorted) and versions behind."""

    cell: Cell
    reads: int
    ms: tuple[float, ...]
    behind: Counter[int]

    def quoted(self, share: float) -> float | None:
        """The age, ms, that a share of the stale reads does not exceed; None if too few lie beyond it."""
        if len(self.ms) * (1 - share) < BEYOND:
            return None
        return self.ms[math.ceil(share * len(self.ms)) - 1]

    @property
    def percent(self) -> float:
        """How many reads in a hundred were stale."""
        return 100 * len(self.ms) / self.reads if self.reads else 0.0

    @property
    def most(self) -> int:
        """How many versions the stalest was behind."""
        return max(self.behind, default=0)


def staleness(comparison: Comparison) -> Chart:
    """Stale reads of each channel that shares state (repeats pooled). `BadArgument` where nothing was shared."""
    rows = [_of(cell) for cell in in_fixed_order(comparison.of(Verb.SHARE))]
    if not rows:
        raise BadArgument("comparison", expected="one in which state is shared", got=list(comparison.verbs))
    heights = [ROW * len(rows)]
    return Chart(
        name="staleness",
        title=TITLE,
        alt=_alt(rows),
        columns=COLUMNS,
        rows=tuple(_row(row) for row in rows),
        draw=lambda figure: _draw(figure, rows, heights),
        height=panels.height(heights, key_lines=2),
        note=NOTE,
    )


def _of(cell: Cell) -> Row:
    states = [result.states for result in cell.results if result.states is not None]
    ages = sorted(ns / 1e6 for each in states for ns in each.staleness)
    return Row(cell, sum(each.reads for each in states), tuple(ages), Counter(n for s in states for n in s.behind))


def _row(row: Row) -> tuple[Value, ...]:
    behind = [row.behind[1], row.behind[2], sum(count for n, count in row.behind.items() if n > 2)]
    times = (row.quoted(0.5), row.quoted(0.9), row.ms[-1] if row.ms else None)
    return (row.cell.channel, promised(row.cell), row.reads, len(row.ms), row.percent, *behind, *times)


# --- the picture ----------------------------------------------------------------------------------


def _draw(figure: Figure, rows: Sequence[Row], heights: Sequence[float]) -> None:
    drawn = looks((row.cell.style, row.cell.channel) for row in rows)
    panels.headline(figure, TITLE)
    [axes] = panels.stack(figure, heights, panels.NAMES)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    ages = [age for row in rows for age in row.ms if age > 0] or [0.1, 10.0]
    millisecond_axis(axes, min(ages), max(ages), room=0.08)
    panels.caption(axes, "share", "stale reads by age; a read that is not stale has no mark")
    for place, row in enumerate(rows):
        name_row(axes, place, row.cell, promised(row.cell))
        if row.ms:
            _marks(axes, place, row, drawn[row.cell.channel])
        else:
            _fresh(axes, place, row)
    axes.set_xlabel("ms since a newer version had been accepted (log scale)")
    panels.foot(
        figure, "Bar: median of the stale reads, where it may be quoted. Spread up and down is only for the eye.", 1
    )
    panels.foot(figure, 'Who promises "latest" must have no mark; who "may lag" may have some.', 0)


def _fresh(axes: Axes, place: int, row: Row) -> None:
    axes.axhline(place, color=RULE, linewidth=1, linestyle=(0, (1, 4)), zorder=0)
    said = axes.annotate(
        f"{FRESH} of {row.reads:,} reads", (0.5, place), xycoords=("axes fraction", "data"), ha="center", va="center"
    )
    said.set(color=QUIET, style="italic", path_effects=halo())


def _marks(axes: Axes, place: int, row: Row, look: Look) -> None:
    shifts = [0.17 + 0.13 * ((7 * index) % 11 - 5) / 5 for index in range(len(row.ms))]  # the same in every drawing
    style = look.point(5.5) | {"alpha": 0.7, "markeredgewidth": 0.8}
    axes.plot(row.ms, [place + shift for shift in shifts], linestyle="none", **style)
    if (median := row.quoted(0.5)) is not None:
        axes.plot([median] * 2, [place - 0.02, place + 0.36], color=INK, linewidth=3, zorder=5)
    said = f"{len(row.ms):,} of {row.reads:,} reads stale ({row.percent:.2g} %), {_behind(row.most)}"
    axes.annotate(said, (0.01, place - 0.27), xycoords=("axes fraction", "data"), va="center").set_path_effects(halo())


def _behind(most: int) -> str:
    return f"at most {most} version{'' if most == 1 else 's'} behind"


# --- the same in words ----------------------------------------------------------------------------


def _alt(rows: Sequence[Row]) -> str:
    opening = "Stale reads of shared state by age, one row a channel; logarithmic axis in ms."
    fresh = [row for row in rows if not row.ms]
    said = [f"{listed([f'{row.cell.channel} ({row.reads:,} reads)' for row in fresh])}: {FRESH}."] if fresh else []
    return " ".join([opening, *said, *(_sentence(row) for row in rows if row.ms)])


def _sentence(row: Row) -> str:
    median = row.quoted(0.5)
    middle = f"their median age is {in_ms(median * 1e6)}" if median is not None else "too few to quote a median age"
    return (
        f"{row.cell.channel} ({promised(row.cell)}): {len(row.ms):,} of {row.reads:,} reads were stale "
        f"({row.percent:.2g} %), {_behind(row.most)}; {middle}, the stalest was {in_ms(row.ms[-1] * 1e6)} old."
    )
