"""Where panels and titles stand on a figure, in inches, so that nothing is clipped or covered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.charts.style import QUIET, TITLE_SIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MARGIN = 0.2
RIGHT = 0.3
TOP = 0.6  # headline
CAPTION = 0.42  # title of a panel
AXIS = 0.75  # tick labels and the name of the axis
BETWEEN = 0.2
KEY_LINE = 0.28
NAMES = 3.45  # names and promises of rows, left of the axes


def height(panels: Sequence[float], key_lines: int) -> float:
    """Height of a figure whose panels are so many inches high, with room for the key below."""
    return (
        TOP + sum(panels) + len(panels) * CAPTION + (len(panels) - 1) * BETWEEN + AXIS + key_lines * KEY_LINE + MARGIN
    )


def stack(figure: Figure, panels: Sequence[float], left: float) -> list[Axes]:
    """Panels from top to bottom, `left` inches from the left edge."""
    width, total = figure.get_size_inches()
    made = []
    top = total - TOP
    for high in panels:
        top -= CAPTION + high
        made.append(figure.add_axes((left / width, top / total, (width - left - RIGHT) / width, high / total)))
        top -= BETWEEN
    return made


def headline(figure: Figure, title: str) -> None:
    """The title of a figure, flush left."""
    width, total = figure.get_size_inches()
    figure.text(MARGIN / width, 1 - 0.18 / total, title, size=TITLE_SIZE, weight="bold", ha="left", va="top")


def caption(axes: Axes, verb: str, rest: str) -> None:
    """The title of a panel, flush left with the figure's: the verb, and what is measured."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, total = figure.get_size_inches()
    box = axes.get_position()
    place = {"ha": "left", "va": "bottom", "transform": figure.transFigure}
    head = axes.text(MARGIN / width, box.y1 + 0.1 / total, f"{verb}: ", weight="bold", **place)  # type: ignore[arg-type]
    axes.annotate(rest, (1, 0), xycoords=head, ha="left", va="bottom")


def legend(figure: Figure, handles: Sequence[Line2D], line: int) -> None:
    """One line of the key at the foot of a figure, where it covers no data; line 0 is the lowest."""
    width, total = figure.get_size_inches()
    figure.legend(
        handles=list(handles),
        loc="lower left",
        bbox_to_anchor=(MARGIN / width, (0.1 + line * KEY_LINE) / total),
        ncols=len(handles),
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handletextpad=0.5,
        columnspacing=1.6,
    )


def foot(figure: Figure, text: str, line: int = 0) -> None:
    """A line of text at the foot of a figure; line 0 is the lowest."""
    width, total = figure.get_size_inches()
    figure.text(MARGIN / width, (0.12 + line * KEY_LINE) / total, text, color=QUIET, ha="left", va="bottom")
