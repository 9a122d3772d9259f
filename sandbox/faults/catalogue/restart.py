"""A new process in the place of one that was killed for good."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import Fault
from sandbox.faults.killing import Comeback, is_gone
from sandbox.harness.history import Process

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


@dataclass
class Restart(Fault):
    """``[KillReceiver(restart=None).at(0.2), Restart("metering-0").at(1.0)]``: away for 0.8 s.

    who   the participant that was killed before
    """

    who: str

    instant: ClassVar[bool] = True
    revives: ClassVar[bool] = True
    exclusive = True

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.who} restarted"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        names = [process.name for process in processes]
        if self.who not in names:
            raise BadArgument("participant", expected="one of " + ", ".join(names), got=self.who)
        self.targets = (self.who,)

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        name = cast.playing(self.who)
        self._coming = Comeback(cast, name) if is_gone(cast, name) else None
        if self._coming:
            self.touch(f"another process started in the place of {name}")

    def watch(self, cast: Cast) -> None:
        """See `Fault.watch`."""
        if self._coming and self._coming.is_over(cast):
            self.ended = time.monotonic_ns() if self._coming.came else 0
            self._coming = None

    def busy(self, cast: Cast) -> bool:
        """See `Fault.busy`."""
        return self._coming is not None
