"""How things look: one colour, marker and dash per style, one variant of it per channel, type for a projector.

Colours are Okabe and Ito's, which people with any colour vision can tell apart; marker and dash say the
same again, so that a chart survives a grey printer. A channel looks the same in every chart.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: points, for a figure 10 inches wide: readable from the last row
SIZE = 13
TITLE_SIZE = 16
WIDTH = 10.0

INK = "#1a1a1a"
QUIET = "#595959"
RULE = "#c8c8c8"

Dash = tuple[float, tuple[float, ...]]
Fill = Literal["full", "none", "left"]

#: style -> colour, marker, dash; the order is that of rows and labels in every chart
LOOKS: dict[str, tuple[str, str, Dash]] = {
    "file_share": ("#D55E00", "s", (0, ())),
    "db_share": ("#0072B2", "o", (0, (7, 2))),
    "rpc": ("#009E73", "^", (0, (7, 2, 1.5, 2))),
    "messaging": ("#CC79A7", "D", (0, (1.5, 1.5))),
    "custom": ("#7A5C00", "P", (0, (3.5, 1.5, 1, 1.5, 1, 1.5))),
    "null": ("#6B6B6B", "X", (0, (3, 3))),
}
_FILLS: tuple[Fill, ...] = ("full", "none", "left")
_SHADES = (1.0, 0.78, 0.58)
VARIANTS = len(_FILLS) * len(_SHADES)
#: channels whose name alone would give them the look of a sibling
_MOVED = {"blind_retry": 1}


@dataclass(frozen=True)
class Look:
    """How one channel is drawn."""

    colour: str
    marker: str
    dash: Dash
    fill: Fill

    def point(self, size: float = 11) -> dict[str, Any]:
        """Keywords of `Axes.plot` for its marker."""
        return {
            "marker": self.marker,
            "markersize": size,
            "fillstyle": self.fill,
            "color": self.colour,
            "markerfacecoloralt": "white",
            "markeredgecolor": self.colour,
            "markeredgewidth": 1.8,
        }

    def line(self, width: float = 2.4) -> dict[str, Any]:
        """Keywords of `Axes.plot` for its line."""
        return {"color": self.colour, "linestyle": self.dash, "linewidth": width}


def look(style: str, channel: str) -> Look:
    """The look of a channel, which depends on nothing but its style and name; unknown styles are "custom"."""
    return _variant(style, preferred(channel))


def looks(channels: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """Channel -> look, for (style, channel) pairs shown together.

    Everyone has the look of `look`, except where two channels of one style would share it: there the
    later one in the alphabet moves on to the next that is free.
    """
    found: dict[str, Look] = {}
    taken: set[tuple[str, int]] = set()
    for style, channel in sorted(set(channels)):
        home = style if style in LOOKS else "custom"
        tries = [(preferred(channel) + step) % VARIANTS for step in range(VARIANTS)]
        variant = next((each for each in tries if (home, each) not in taken), tries[0])
        taken.add((home, variant))
        found[channel] = _variant(home, variant)
    return found


def rank(style: str) -> int:
    """Place of a style in every chart: fixed, so that the order of rows never looks like a ranking."""
    order = list(LOOKS)
    return order.index(style) if style in LOOKS else order.index("custom")


def preferred(channel: str) -> int:
    """Which variant of its style's look a channel has by its name alone."""
    return _MOVED.get(channel, zlib.crc32(channel.encode()) % VARIANTS)


def _variant(style: str, variant: int) -> Look:
    colour, marker, dash = LOOKS.get(style, LOOKS["custom"])
    return Look(_shade(colour, _SHADES[variant // len(_FILLS)]), marker, dash, _FILLS[variant % len(_FILLS)])


def _shade(colour: str, factor: float) -> str:
    return "#" + "".join(f"{round(int(colour[i : i + 2], 16) * factor):02x}" for i in (1, 3, 5))


@contextmanager
def projector() -> Iterator[None]:
    """Type and lines for a projector while a figure is made and rendered; the user's own settings come back."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
        "font.size": SIZE,
        "axes.titlesize": SIZE + 1,
        "axes.labelsize": SIZE,
        "xtick.labelsize": SIZE,
        "ytick.labelsize": SIZE,
        "legend.fontsize": SIZE,
        "text.color": INK,
        "axes.edgecolor": QUIET,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.facecolor": "white",
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "savefig.bbox": None,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.usetex": False,
        "text.parse_math": False,  # a channel may be called anything, "$" included
        "path.sketch": None,
    }
    with mpl.rc_context(settings):
        yield


def millisecond_axis(axes: Axes, low: float, high: float, room: float = 0.06) -> None:
    """A log axis in ms from below `low` to above `high` (ms), with plain numbers at 1, 2, 5 where there is room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    decades = _decades(low, high)
    axes.set_xscale("log")
    axes.set_xlim(low / 10 ** (room * decades), high * 10 ** (room * decades))
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if decades < 2.6 else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(LogLocator(10, subs=tuple(range(2, 10))) if decades < 5 else NullLocator())
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)


def plain_log_axis(axes: Axes, which: Literal["x", "y"], low: float, high: float, room: float = 0.06) -> None:
    """A log axis, x or y, from below `low` to above `high`, with plain numbers where there is room for them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    decades = _decades(low, high)
    ends = (low / 10 ** (room * decades), high * 10 ** (room * decades))
    axis = axes.xaxis if which == "x" else axes.yaxis
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(*ends)
    else:
        axes.set_yscale("log")
        axes.set_ylim(*ends)
    axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if decades < 2.6 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
    axes.grid(axis=which, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)


def _decades(low: float, high: float) -> float:
    import math

    return max(0.5, math.log10(high / low))
