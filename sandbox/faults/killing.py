"""Killing a participant by SIGKILL, at a named point and not by luck, and bringing another one in its place."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sandbox.errors import RunFailed
from sandbox.faults.bad_use import at_least
from sandbox.faults.fault import Fault
from sandbox.faults.switch import HookedFault, Within

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

#: s that a process which has killed itself has for being gone
_GONE = 2.0
#: s for which a process that cannot start is tried again, and s between two tries
PERSISTENCE, _PAUSE = 5.0, 0.1
#: s that one try may take
_READY = 30.0


@dataclass
class Kill(HookedFault):
    """Base of the faults that kill their target at a point.

    point    where in its life: see `sandbox.harness.hook`
    nth      at the so-many-th time that it comes to this point while the fault is open
    restart  s after which another process is started in its place; None: it stays away
    """

    point: str
    nth: int = 1
    restart: float | None = 0.2

    instant: ClassVar[bool] = True
    exclusive = True

    def __post_init__(self) -> None:
        at_least(1, nth=self.nth)
        at_least(0, restart=0 if self.restart is None else self.restart)
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


class Revival:
    """Brings a new process in the place of each that a fault has killed, `after` s later; None: never."""

    def __init__(self, after: float | None) -> None:
        self._after = after
        self._done = 0
        self._noticed = 0.0
        self._coming: list[Comeback] = []

    def due(self, strikes: int) -> bool:
        """Whether somebody has still to come."""
        return bool(self._coming) or (self._after is not None and strikes > self._done)

    def watch(self, cast: Cast, fault: Fault, strikes: int) -> bool:
        """Bring whoever is due; True when the last of those that were gone has come."""
        if self._coming:
            over = [each for each in self._coming if each.is_over(cast)]
            self._coming = [each for each in self._coming if each not in over]
            return not self._coming and all(each.came for each in over)
        if self._after is None or strikes <= self._done:
            return False
        now = time.monotonic()
        self._noticed = self._noticed or now
        if now < self._noticed + self._after:
            return False
        gone = [name for name in map(cast.playing, fault.targets) if is_gone(cast, name) and name not in cast.awaited]
        if not gone and now < self._noticed + self._after + _GONE:
            return False
        self._coming = [Comeback(cast, name) for name in gone]
        self._done, self._noticed = strikes, 0.0
        return False


class Comeback:
    """A new process on its way to the place of one that is gone; nobody waits for it.

    What it needs may be away just now: one that cannot start is tried again for `PERSISTENCE` s, as whatever
    supervises a real service does. One that cannot start even then is a finding.

    came   whether it is there
    """

    def __init__(self, cast: Cast, gone: str) -> None:
        cast.awaited.add(gone)
        self._gone, self.came = gone, False
        self._name = ""  # of the try that is on its way
        self._called = self._failed = self._again = 0.0

    def is_over(self, cast: Cast) -> bool:
        """Whether it has come, or has been given up; to be asked again and again, which is what drives it."""
        over = self._is_over(cast, time.monotonic())
        if over:
            cast.awaited.discard(self._gone)
        return over

    def _is_over(self, cast: Cast, now: float) -> bool:
        if not self._name:
            if now >= self._again:
                self._name, self._called = cast.call(self._gone), now
            return False
        try:
            if now < self._called + _READY:
                self.came = cast.has_come(self._name)
                return self.came
            raise RunFailed(f"{self._name} did not become ready within {_READY:g} s")
        except RunFailed as error:
            return self._is_given_up(cast, error, now)

    def _is_given_up(self, cast: Cast, error: RunFailed, now: float) -> bool:
        if self._name in cast.expected_deaths:
            return True  # another fault has killed it on its way, and sees to the rest
        self._failed = self._failed or now
        if now > self._failed + PERSISTENCE:
            cast.failed[self._name] = str(error)
            return True
        cast.dismiss(self._name)
        self._name, self._again = "", now + _PAUSE
        return False


def is_gone(cast: Cast, name: str) -> bool:
    """Whether its process has ended."""
    return cast.session.exit_status(cast[name].pid) is not None
