"""Curves of several channels in one panel: still told apart where they lie on top of each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.charts import panels
from sandbox.charts.labels import shortened
from sandbox.charts.style import Look, looks, rank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: points; the first that is drawn has the largest mark, so that the next one leaves its rim to be seen
_LARGEST, _STEP, _SMALLEST = 15.0, 3.0, 6.0
#: channels in one line of the key
_IN_LINE = 4


class Drawn:
    """The looks of some channels, given as (style, channel), and the sizes of their marks."""

    def __init__(self, channels: Iterable[tuple[str, str]]) -> None:
        ordered = sorted(set(channels), key=lambda each: (rank(each[0]), each[1]))
        self.looks = looks(ordered)
        self.channels = [channel for _, channel in ordered]

    def size(self, channel: str) -> float:
        """Of its marks, in points."""
        return max(_SMALLEST, _LARGEST - _STEP * self.channels.index(channel))

    def line(self, channel: str) -> dict[str, Any]:
        """Keywords of `Axes.plot` for its line with its marks."""
        look = self.looks[channel]
        return look.line() | only_marker(look, self.size(channel))


def only_marker(look: Look, size: float) -> dict[str, Any]:
    """Keywords of `Axes.plot` for the marks of a line that has its colour already."""
    return {name: value for name, value in look.point(size).items() if name != "color"} | {"color": look.colour}


def key_lines(channels: Iterable[str]) -> int:
    """How many lines the key of some channels takes."""
    return -(-len(set(channels)) // _IN_LINE)


def key(figure: Figure, drawn: Drawn, lowest: int) -> None:
    """The key: each channel with its mark; its last line is line `lowest` of what stands at the foot."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=shortened(name), **drawn.line(name)) for name in drawn.channels]
    for handle in handles:
        handle.set_markersize(9)
    rows = [handles[at : at + _IN_LINE] for at in range(0, len(handles), _IN_LINE)]
    for above, row in enumerate(reversed(rows)):
        panels.legend(figure, row, lowest + above)
