"""Killing a participant by SIGKILL, at a named point and not by luck, and bringing another one in its place."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sandbox.errors import RunFailed
from sandbox.faults.fault import Fault
from sandbox.faults.switch import HookedFault, Within

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

#: s that a process which has killed itself has for being gone
_GONE = 2.0


@dataclass
class Kill(HookedFault):
    """Base of the faults that kill their target at a point.

    point    where in its life: see `sandbox.harness.hook`
    nth      at the so-many-th time that it comes to this point while the fault is open
    restart  s after which another process comes in its place; None: it stays away
    """

    point: str
    nth: int = 1
    restart: float | None = 0.2

    instant: ClassVar[bool] = True
    exclusive = True

    def __post_init__(self) -> None:
        self.leaves_dead = self.restart is None
        self._passed = 0

    def meet(self, hook: Within, point: str, operation: int, attempt: int) -> None:
        """Once: those who come in its place live."""
        if point == self.point and not hook.switch.strikes:
            self._passed += 1
            if self._passed >= self.nth:
                hook.switch.strikes += 1
                hook.die(operation)

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        self._revival = Revival(self.restart)
        super().open(cast)

    def watch(self, cast: Cast) -> None:
        """See `Fault.watch`."""
        if self._revival.watch(cast, self, self.switch.strikes):
            self.ended = time.monotonic_ns()

    def busy(self, cast: Cast) -> bool:
        """See `Fault.busy`."""
        return self._revival.due(self.switch.strikes)

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`: whoever should come back is back when it returns."""
        super().heal(cast)
        while cast.start and hasattr(self, "_revival") and self.busy(cast):
            self.watch(cast)
            time.sleep(0.002)


class Revival:
    """Brings a new process in the place of each that a fault has killed, `after` s later; None: never."""

    def __init__(self, after: float | None) -> None:
        self._after = after
        self._done = 0
        self._noticed = 0.0

    def due(self, strikes: int) -> bool:
        """Whether somebody has still to come."""
        return self._after is not None and strikes > self._done

    def watch(self, cast: Cast, fault: Fault, strikes: int) -> bool:
        """Bring whoever is due; True when one has come."""
        if self._after is None or strikes <= self._done:
            return False
        now = time.monotonic()
        self._noticed = self._noticed or now
        if now < self._noticed + self._after:
            return False
        gone = [name for name in map(cast.playing, fault.targets) if is_gone(cast, name)]
        if not gone and now < self._noticed + self._after + _GONE:
            return False
        for name in gone:
            bring_back(cast, name)
        self._done, self._noticed = strikes, 0.0
        return bool(gone)


def bring_back(cast: Cast, name: str) -> None:
    """A new process in the place of one that is gone. One that does not become ready is a finding."""
    try:
        cast.restart(name)
    except RunFailed as error:
        cast.failed[cast.playing(name)] = str(error)


def is_gone(cast: Cast, name: str) -> bool:
    """Whether its process has ended."""
    return cast.session.exit_status(cast[name].pid) is not None
