"""Where to write a line's name: beside a mark on the line, away from other lines and other names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.charts.labels import halo, shortened
from sandbox.charts.style import SIZE, Look

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

    Array = np.ndarray[Any, Any]

#: shares at which a name may stand, the best first
PLACES = (0.5, 0.35, 0.65, 0.25, 0.75, 0.42, 0.58, 0.18, 0.82, 0.1, 0.9)
#: inches
LETTER = 0.62 * SIZE / 72
LINE = 1.25 * SIZE / 72
GAP = 0.14


@dataclass(frozen=True)
class Box:
    """A rectangle in inches."""

    x0: float
    y0: float
    x1: float
    y1: float

    def covers(self, other: Box) -> bool:
        """Whether two boxes overlap."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def holds(self, xs: Array, ys: Array) -> int:
        """How many points lie in it."""
        return int(((xs > self.x0) & (xs < self.x1) & (ys > self.y0) & (ys < self.y1)).sum())


def label_lines(axes: Axes, lines: Sequence[tuple[str, Look, Array, int]]) -> None:
    """Write the name of each (name, look, sorted x values, count of all samples) beside its distribution line."""
    to_inches = _Scale(axes)
    curves = [to_inches.curve(values, count) for _, _, values, count in lines]
    taken: list[Box] = []
    for index, (name, look, values, count) in enumerate(lines):
        words = shortened(name, 34)
        shares = [share for share in PLACES if share * count <= len(values)] or [0.5 * len(values) / count]
        points = [(float(values[max(0, round(share * count) - 1)]), share) for share in shares]
        best = min(
            (
                (_cost(box, index, curves, taken, to_inches) + 0.3 * order, point, side, box)
                for order, point in enumerate(points)
                for side in ("right", "left")
                for box in [_box(to_inches(*point), words, side)]
            ),
            key=lambda choice: choice[0],
        )
        _, point, side, box = best
        taken.append(box)
        axes.plot(*point, zorder=4, **look.point(10))
        offset = GAP * 72 if side == "right" else -GAP * 72
        style = {"ha": "left" if side == "right" else "right", "va": "center", "zorder": 6, "weight": "bold"}
        text = axes.annotate(words, point, (offset, 0), textcoords="offset points", **style)  # type: ignore[arg-type]
        text.set_path_effects(halo())


def _box(point: tuple[float, float], words: str, side: str) -> Box:
    x, y = point
    wide = LETTER * len(words)
    start = x + GAP if side == "right" else x - GAP - wide
    return Box(start, y - LINE / 2, start + wide, y + LINE / 2)


def _cost(box: Box, own: int, curves: Sequence[tuple[Array, Array]], taken: Sequence[Box], scale: _Scale) -> float:
    """Names never overlap or leave the panel if that can be helped; other lines are kept at a distance."""
    cost = 200.0 * sum(box.covers(other) for other in taken)
    if box.x0 < 0 or box.x1 > scale.width or box.y0 < 0.1 or box.y1 > scale.height:
        cost += 500.0
    near = Box(box.x0 - GAP, box.y0 - 0.05, box.x1 + GAP, box.y1 + 0.05)
    for index, (xs, ys) in enumerate(curves):
        cost += 1.0 * (box.holds(xs, ys) if index == own else near.holds(xs, ys))
    return cost


class _Scale:
    """From data to inches within a panel whose x axis is logarithmic."""

    def __init__(self, axes: Axes) -> None:
        figure = axes.get_figure(root=True)
        assert figure is not None
        self.width, self.height = (float(size) for size in axes.get_position().size * figure.get_size_inches())
        self._low, high = (math.log(end) for end in axes.get_xlim())
        self._span = high - self._low
        self._bottom, self._top = axes.get_ylim()

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        across = (math.log(x) - self._low) / self._span * self.width
        return across, (y - self._bottom) / (self._top - self._bottom) * self.height

    def curve(self, values: Array, count: int) -> tuple[Array, Array]:
        """Points along a line, evenly spaced in y, so that boxes can count them."""
        import numpy as np

        at = np.linspace(0, len(values) - 1, 120).astype(int)
        xs = (np.log(np.maximum(values[at], math.exp(self._low))) - self._low) / self._span * self.width
        return xs, ((at + 1) / count - self._bottom) / (self._top - self._bottom) * self.height
