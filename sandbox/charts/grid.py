"""A grid of words: rows in groups, columns in groups, each field with its word, so that it reads without colour."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.charts import panels
from sandbox.charts.style import INK, QUIET, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = 2.7  # inches for the names of rows
HEAD = 0.62  # inches for the names of groups of columns
ORDERS = 0.38  # inches for those of columns
GROUP = 0.32  # inches for the name of a group of rows
LEAST = 0.4  # inches of the lowest row
#: inches that a character of one point is wide, and a line of one point is high
_WIDE, _HIGH = 0.0088, 0.0172


@dataclass(frozen=True)
class Paint:
    """How a field is filled and written."""

    fill: str = "white"
    ink: str = INK
    bold: bool = False
    italic: bool = False
    edge: str = "#d8d8d8"


@dataclass(frozen=True)
class Field:
    """A word in the grid, over `span` columns from `start`."""

    text: str
    paint: Paint
    start: int
    span: int = 1
    size: float = 9.5

    def lines(self, column: float) -> list[str]:
        """The text, broken where its columns (so many inches each) end."""
        room = max(4, int((self.span * column - 0.06) / (self.size * _WIDE)))
        return [
            line for part in self.text.split("\n") for line in textwrap.wrap(part, room, break_long_words=False) or [""]
        ]


@dataclass(frozen=True)
class Row:
    """One row; `group` is named above the first of its rows."""

    name: str
    group: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Head:
    """The name of some columns together, and of each of them."""

    name: str
    below: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """All that is drawn; sizes in inches."""

    title: str
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    key: tuple[tuple[Paint, str, str], ...]  #: paint, word, what it means

    @property
    def column(self) -> float:
        """How wide a column is."""
        count = sum(len(head.columns) or 1 for head in self.heads)
        return (WIDTH - panels.MARGIN - NAMES - panels.MARGIN) / count

    def high(self, row: Row) -> float:
        """How high a row must be for its longest text."""
        needed = [len(field.lines(self.column)) * field.size * _HIGH + 0.12 for field in row.fields]
        named = len(textwrap.wrap(row.name, 29)) * 11.5 * _HIGH + 0.12
        return max(LEAST, named, *needed)

    @property
    def head(self) -> float:
        """How high the names of the columns are."""
        return HEAD + (ORDERS if any(head.columns for head in self.heads) else 0.0)

    @property
    def height(self) -> float:
        """Of the whole figure."""
        groups = len({row.group for row in self.rows if row.group})
        key = len(self.key) * panels.KEY_LINE + 0.25
        return panels.TOP + self.head + groups * GROUP + sum(map(self.high, self.rows)) + key + panels.MARGIN

    def draw(self, figure: Figure) -> None:
        """Draw it on an empty figure."""
        panels.headline(figure, self.title)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, WIDTH), ylim=(self.height, 0))  # inches from the top left corner
        axes.patch.set_visible(False)
        self._draw_heads(axes)
        below = self._draw_rows(axes, panels.TOP + self.head)
        self._draw_key(axes, below + 0.25)

    def _left(self, column: int) -> float:
        return panels.MARGIN + NAMES + column * self.column

    def _draw_heads(self, axes: Axes) -> None:
        column, top = 0, panels.TOP
        for head in self.heads:
            span = len(head.columns) or 1
            middle = self._left(column) + span * self.column / 2
            name = "\n".join(broken(head.name, int(span * self.column / 0.115)))
            axes.text(middle, top + 0.3, name, weight="bold", ha="center", va="bottom", size=12, linespacing=1.0)
            axes.text(middle, top + 0.44, head.below, color=QUIET, ha="center", va="center", size=10)
            for index, text in enumerate(head.columns):
                at = self._left(column + index) + self.column / 2
                size = min(9.0, 9.0 * self.column / 0.57)
                axes.text(at, top + self.head - 0.08, text, ha="center", va="bottom", size=size, linespacing=1.05)
            column += span

    def _draw_rows(self, axes: Axes, top: float) -> float:
        group = ""
        for row in self.rows:
            if row.group != group:
                group = row.group
                axes.text(panels.MARGIN, top + GROUP - 0.07, group, color=QUIET, size=11, style="italic", va="bottom")
                top += GROUP
            high = self.high(row)
            name = "\n".join(textwrap.wrap(row.name, 29))
            axes.text(panels.MARGIN + NAMES - 0.1, top + high / 2, name, ha="right", va="center", size=11.5)
            for field in row.fields:
                self._draw_field(axes, field, top, high)
            self._draw_rules(axes, top, high)
            top += high
        return top

    def _draw_field(self, axes: Axes, field: Field, top: float, high: float) -> None:
        from matplotlib.patches import Rectangle

        left, width = self._left(field.start), field.span * self.column
        paint = field.paint
        axes.add_patch(Rectangle((left, top), width, high, facecolor=paint.fill, edgecolor=paint.edge, linewidth=0.8))
        text = "\n".join(field.lines(self.column))
        axes.text(
            left + width / 2,
            top + high / 2,
            text,
            color=paint.ink,
            size=field.size,
            weight="bold" if paint.bold else "normal",
            style="italic" if paint.italic else "normal",
            ha="center",
            va="center_baseline" if "\n" not in text else "center",
            linespacing=1.1,
        )

    def _draw_rules(self, axes: Axes, top: float, high: float) -> None:
        """A line between the groups of columns."""
        column = 0
        for head in self.heads:
            axes.plot([self._left(column)] * 2, [top, top + high], color=QUIET, linewidth=1.4, solid_capstyle="butt")
            column += len(head.columns) or 1
        axes.plot([self._left(column)] * 2, [top, top + high], color=QUIET, linewidth=1.4, solid_capstyle="butt")

    def _draw_key(self, axes: Axes, top: float) -> None:
        from matplotlib.patches import Rectangle

        for paint, word, meaning in self.key:
            box = (panels.MARGIN, top - 0.11)
            axes.add_patch(Rectangle(box, 1.0, 0.24, facecolor=paint.fill, edgecolor=QUIET, linewidth=0.8))
            style = "italic" if paint.italic else "normal"
            weight = "bold" if paint.bold else "normal"
            place = {"ha": "center", "va": "center", "size": 9.5}
            axes.text(panels.MARGIN + 0.5, top + 0.01, word, color=paint.ink, weight=weight, style=style, **place)  # type: ignore[arg-type]
            axes.text(panels.MARGIN + 1.15, top + 0.01, meaning, ha="left", va="center", size=11)
            top += panels.KEY_LINE


def broken(name: str, room: int) -> list[str]:
    """A name in lines of so many characters, broken at its underscores."""
    lines = [""]
    for part in re.split(r"(?<=[_ (,])", name):
        if lines[-1] and len(lines[-1]) + len(part) > room:
            lines.append("")
        lines[-1] += part
    return lines


def merged(fields: Sequence[Field]) -> tuple[Field, ...]:
    """Neighbours that say the same become one wide field."""
    found: list[Field] = []
    for field in fields:
        last = found[-1] if found else None
        if last is not None and (last.text, last.paint, last.size) == (field.text, field.paint, field.size):
            found[-1] = Field(last.text, last.paint, last.start, last.span + field.span, last.size)
        else:
            found.append(field)
    return tuple(found)
