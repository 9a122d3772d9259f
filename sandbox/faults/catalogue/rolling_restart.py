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
        self._coming: Comeback | None = None

    def watch(self, cast: Cast) -> None:
        """See `Fault.watch`."""
        if self._coming:
            if self._coming.is_over(cast):
                self._coming, self._next = None, time.monotonic() + self.pause
                self.ended = 0 if self._left else time.monotonic_ns()
        elif self._left and time.monotonic() >= self._next:
            self._restart(cast, cast.playing(self._left.pop(0)))

    def busy(self, cast: Cast) -> bool:
        """See `Fault.busy`: none is left out."""
        return bool(self._left or self._coming)

    def _restart(self, cast: Cast, name: str) -> None:
        try:
            cast.stop(name)
        except RunFailed:  # it does not end when it is asked to: then as an operator would
            cast.kill(name)
        self._coming = Comeback(name)
        self.touch(f"{name} ended, another process started in its place")
