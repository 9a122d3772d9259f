"""What a report may hold beside the comparison: the quick matrices of coupling and of faults, or one of your own.

A section is anything with these names; `save_comparison` saves it into a folder of its own, NAME/, and the report
shows its sentences and charts and links its page. `sandbox.load(folder / NAME)` gives it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sandbox.charts.chart import Chart


class Section(Protocol):
    """Something that was measured beside a comparison, in the same session.

    name   of its folder;  title: its heading;  page: its own page in that folder
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def page(self) -> str: ...

    @property
    def valid(self) -> bool:
        """Whether all of it was measured as it should have been."""
        ...

    def sentences(self) -> Sequence[str]:
        """What it says, in a few sentences."""
        ...

    def charts(self) -> Sequence[Chart]:
        """Its charts, in reading order."""
        ...

    def save(self, folder: str | Path) -> Path:
        """Write all of it into a folder."""
        ...


def matrices(channels: Sequence[str] | None, *, quick: bool) -> list[Section]:
    """What `python -m sandbox compare` takes in beside the load, on these channels or on one of each style."""
    return [make(channels, quick) for make in MATRICES]


def _coupling(channels: Sequence[str] | None, quick: bool) -> Section:
    from sandbox.coupling.matrix import FEWEST, QUICK, coupling

    return coupling(FEWEST if quick else QUICK, channels)


def _faults(channels: Sequence[str] | None, quick: bool) -> Section:
    from sandbox.faults.matrix import FEWEST, QUICK, fault_matrix

    return fault_matrix(FEWEST if quick else QUICK, channels)


#: to add one, write its function above and name it here
MATRICES: tuple[Callable[[Sequence[str] | None, bool], Section], ...] = (_coupling, _faults)
