"""What every peer shares: it is driven as a floor is, so one loop measures it, our channels and the floors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

from sandbox.floor import Floor, Load
from sandbox.site import Site


class Peer(Floor):
    """A library as installed, on its documented fast path, between one sender and one receiver.

    package    as the table names it
    channel    title of the channel it stands beside
    promise    what the library promises, in words; read it before the figure
    settings   what was set to make it fast, in words
    turns      turns within a round, sharing its load: more where the medium changes its speed by the second
    asks       whether it answers asks (most queues do not)
    ask_goal   our sequential ask takes at most this much of theirs
    tell_goal  we carry at least so many times their tells per second
    """

    package: ClassVar[str]
    settings: ClassVar[str]
    turns: ClassVar[int] = 1
    asks: ClassVar[bool] = False
    ask_goal: ClassVar[float] = 1.0
    tell_goal: ClassVar[float] = 1.0
    bare_act: ClassVar[str] = ""

    def bare(self, site: Site, size: int, count: int) -> list[int]:
        """A library has no bare act."""
        return []


def windows(load: Load, told: list[int]) -> Iterator[int]:
    """Sizes of the batches in which `load.tells` leave; the start of each tell is added to `told`."""
    for first in range(0, load.tells, load.window):
        size = min(load.window, load.tells - first)
        told += [time.monotonic_ns()] * size
        yield size
