"""The floor under a channel: the same promise, codec and processes in the thinnest code there is.

A floor stands in `floor.py` of each style. It is not a channel: no leases, no dead letters, no
validation, one sender and one receiver - just the acts that the promise cannot do without, so that
a chart can show how much of a latency belongs to the medium and how much to our code. Below it
lies the bare medium: one write and rename, one commit, one round trip.

Floors are fixed before channels are tuned. Change one only to make it thinner or more honest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sandbox.exchange.schema import CreateVolume, ImageDownloaded
from sandbox.site import Site


@dataclass(frozen=True)
class Load:
    """What a floor carries: `asks` sequential requests, then `tells` messages.

    rate    tells per second, paced open loop from `start` on; None: as fast as `window` allows
    window  most tells that are begun and not yet acknowledged
    """

    ask: CreateVolume
    tell: ImageDownloaded
    asks: int
    tells: int
    rate: float | None = None
    window: int = 64


@dataclass(frozen=True)
class Driven:
    """What the driving side saw. All times in ns of `time.monotonic_ns`.

    asks          duration of each ask, from begin to answer
    told          intended start of each tell (rate given) or its actual start
    acknowledged  when the last tell was acknowledged
    """

    asks: list[int]
    told: list[int]
    acknowledged: int


class Floor(ABC):
    """Two thin loops, run in two processes; values that travel like channels do.

    channel  title of the channel whose promise it makes
    promise  in words, for charts
    bare_act what one act of the bare medium is, in words
    """

    channel: ClassVar[str]
    promise: ClassVar[str]
    bare_act: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def install(self, site: Site) -> None:
        """Make folders, tables, streams."""

    @abstractmethod
    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """Call `ready`, answer `load.asks` asks, take and settle `load.tells` tells; when each tell was taken (ns)."""

    @abstractmethod
    def drive(self, site: Site, load: Load) -> Driven:
        """Send `load`; called once the serving side is ready."""

    @abstractmethod
    def bare(self, site: Site, size: int, count: int) -> list[int]:
        """Duration in ns of `count` single acts of the bare medium with `size` bytes."""

    def uninstall(self, site: Site) -> None:
        """Remove what `install` made on shared servers."""


def due_times(load: Load, start: int) -> list[int]:
    """Intended starts (ns) of the tells of a paced load whose first is due at `start`."""
    assert load.rate is not None
    step = 1e9 / load.rate
    return [start + round(i * step) for i in range(load.tells)]
