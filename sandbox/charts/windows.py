"""When which fault was open, and where its name can stand without covering another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.charts.labels import halo, shortened
from sandbox.charts.placing import LETTER
from sandbox.charts.style import INK, QUIET
from sandbox.harness.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADE = "black"  # nearly transparent, so that overlapping windows are darker
EDGE = "#8c8c8c"
#: a fault that was over within so many seconds is a moment, not a window
_MOMENT = 0.001
MOMENT, BACK = (0, (4, 2)), (0, (1, 1.6))  # dashes
ROW = 0.27  # inches for a row of names
BOLD = 1.1 * LETTER
_GAP = 0.2  # inches between two names


@dataclass(frozen=True)
class Window:
    """One fault of a run; times in s after its start.

    opened     None if it never was
    healed     None for a moment (a kill) and for what never opened; infinite for what was never healed
    witnesses  how often it has really touched something
    back       of a moment: when what it took away was there again (restarted); None if it never was
    """

    title: str
    opened: float | None
    healed: float | None
    witnesses: int
    back: float | None = None

    @property
    def name(self) -> str:
        """What is written at it: its title, and whether it had no effect at all."""
        title = shortened(self.title, 60)
        return title if self.witnesses else f"{title} (never fired)"

    @property
    def said(self) -> str:
        """ "metering-0 paused from 0.5 s to 1.3 s", with what is to be known about it."""
        if self.opened is None:
            return f"{self.title} (never opened)"
        if self.healed is None:
            when = f"at {self.opened:.4g} s" + ("" if self.back is None else f", back at {self.back:.4g} s")
        else:
            end = "the end, never healed" if math.isinf(self.healed) else f"{self.healed:.4g} s"
            when = f"from {self.opened:.4g} s to {end}"
        return f"{self.title} {when}" + ("" if self.witnesses else " (never fired)")


def windows_of(history: History) -> list[Window]:
    """The faults of a run, earliest first; those that never opened last."""
    found = [_window(fault) for fault in history.facts.get("faults", [])]
    return sorted(found, key=lambda window: math.inf if window.opened is None else window.opened)


def _window(fault: dict[str, Any]) -> Window:
    opened, healed = fault.get("opened"), fault.get("healed")
    title, witnesses = str(fault.get("title") or fault["name"]), int(fault.get("witnesses") or 0)
    if opened is None:
        return Window(title, None, None, witnesses)
    if fault.get("instant"):
        return Window(title, float(opened), None, witnesses, None if healed is None else float(healed))
    at, until = (*(fault.get("planned") or ()), None, None)[:2]
    if healed is None and until is not None and until != at:
        healed = math.inf
    if healed is not None and healed - opened < _MOMENT:
        healed = None
    return Window(title, float(opened), None if healed is None else float(healed), witnesses)


def laid_out(places: Sequence[tuple[float, str]], width: float) -> list[tuple[int, float]]:
    """For names that begin at so many inches: the row and the left end of each, so that none overlaps or sticks out.

    Row 0 is the first that is filled.
    """
    ends: list[float] = []
    found = []
    for start, words in places:
        wide = BOLD * len(words)
        left = max(0.0, min(start, width - wide))
        row = next((number for number, end in enumerate(ends) if end + _GAP <= left), len(ends))
        ends[row:] = [left + wide, *ends[row + 1 :]]
        found.append((row, left))
    return found


def shade(names: Axes, below: Sequence[Axes], windows: Sequence[Window], places: Sequence[tuple[int, float]]) -> None:
    """Shade windows that have opened in the panels below, and name them in the panel above, as `laid_out` has it.

    A moment is a dashed line, and a dotted one where all was back. All panels have the same x axis: s after the
    start of the run.
    """
    figure = names.get_figure(root=True)
    assert figure is not None
    wide, high = names.get_position().size * figure.get_size_inches()
    names.set_ylim(0, high)
    for window, (row, left) in zip(windows, places, strict=True):
        start, bottom = float(window.opened or 0.0), high - (row + 1) * ROW
        end = start if window.healed is None else min(window.healed, names.get_xlim()[1])
        place = ((left + 0.06) / wide, (bottom + 0.55 * ROW) / high)
        said = names.annotate(window.name, place, xycoords="axes fraction", va="center", weight="bold", zorder=5)
        said.set(color=QUIET, path_effects=halo())
        names.plot([start, start, end, end], [0, bottom, bottom, 0], color=EDGE, linewidth=1.2, zorder=1)
        for axes in below:
            if window.healed is None:
                axes.axvline(start, color=INK, linewidth=2.2, linestyle=MOMENT, zorder=1, gid="moment")
                if window.back is not None:
                    axes.axvline(window.back, color=INK, linewidth=2.0, linestyle=BACK, zorder=1, gid="back")
                continue
            axes.axvspan(start, end, color=SHADE, alpha=0.09, zorder=0, linewidth=0, gid="window")
            for edge in (start, end)[: 1 if math.isinf(window.healed) else 2]:
                axes.axvline(edge, color=EDGE, linewidth=1.2, zorder=0.5)
