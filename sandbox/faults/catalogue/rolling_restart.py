"""All receivers are restarted in order, one after the other, as an upgrade does it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.channel import Channel
from sandbox.errors import RunFailed
from sandbox.faults.bad_use import at_least
from sandbox.faults.fault import Fault, every
from sandbox.faults.killing import Comeback
from sandbox.harness.history import Process, Role

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

#: s that one has for ending when it is asked to
_PATIENCE = 10.0


@dataclass
class RollingRestart(Fault):
    """Each receiver is asked to end, has closed its end, and a new process comes in its place.

    pause   s between two of them
    """

    pause: float = 0.1

    exclusive = True

    def __post_init__(self) -> None:
        at_least(0, pause=self.pause)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "rolling restart of the receivers"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = every(Role.RECEIVER, processes)

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        self._left, self._next = list(self.targets), time.monotonic()
        self._ending, self._until = "", 0.0
        self._coming: Comeback | None = None

    def watch(self, cast: Cast) -> None:
        """See `Fault.watch`."""
        if self._coming:
            if self._coming.is_over(cast):
                self.ended = time.monotonic_ns() if self._coming.came and not self._left else 0
                self._coming, self._next = None, time.monotonic() + self.pause
        elif self._ending:
            if self._has_ended(cast, self._ending):
                self._coming = Comeback(cast, self._ending)
                self.touch(f"{self._ending} ended, another process started in its place")
                self._ending = ""
        elif self._left and time.monotonic() >= self._next:
            self._ending, self._until = cast.playing(self._left.pop(0)), time.monotonic() + _PATIENCE
            cast.ask_to_end(self._ending)

    def busy(self, cast: Cast) -> bool:
        """See `Fault.busy`: none is left out."""
        return bool(self._left or self._ending or self._coming)

    def _has_ended(self, cast: Cast, name: str) -> bool:
        """Whether it is gone; one that does not end when it is asked to is killed, as an operator would."""
        try:
            if cast.has_ended(name):
                return True
        except RunFailed:
            self._until = 0.0
        if time.monotonic() < self._until:
            return False
        cast.kill(name)
        return True
