"""A participant is killed at a time and not at a point: whatever it is doing then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import Fault
from sandbox.faults.killing import Revival, is_gone
from sandbox.harness.history import Process

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


@dataclass
class KillNow(Fault):
    """SIGKILL from outside. What the process has in hand is luck; the soak counts it when it had something.

    who       the participant, or whoever plays its part by then
    restart   s after which another process comes in its place
    """

    who: str
    restart: float = 0.05

    instant: ClassVar[bool] = True
    exclusive = True

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.who} killed, whatever it does"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        names = [process.name for process in processes]
        if self.who not in names:
            raise BadArgument("participant", expected="one of " + ", ".join(names), got=self.who)
        self.targets = (self.who,)

    def open(self, cast: Cast) -> None:
        """See `Fault.open`. Whoever is dead already is not killed again."""
        self._revival = Revival(self.restart)
        name = cast.playing(self.who)
        if not is_gone(cast, name):
            cast.kill(name)
            self.touch(f"{name} killed")

    def watch(self, cast: Cast) -> None:
        """See `Fault.watch`."""
        if self._revival.watch(cast, self, len(self.injected)):
            self.ended = time.monotonic_ns()

    def busy(self, cast: Cast) -> bool:
        """See `Fault.busy`."""
        return self._revival.due(len(self.injected))
