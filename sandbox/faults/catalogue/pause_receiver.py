"""The receiver's process stands still: it is there, holds what it has claimed, and does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.channel import Channel
from sandbox.faults.fault import Fault, first
from sandbox.harness.history import Process, Role

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


@dataclass
class PauseReceiver(Fault):
    """SIGSTOP, and SIGCONT when it is healed.

    who  a receiver's name; the first one unless set
    """

    who: str = ""

    exclusive = True

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{', '.join(self.targets) or 'receiver'} paused"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = first(Role.RECEIVER, self.who, processes)

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        for name in map(cast.playing, self.targets):
            cast[name].pause()
            self.touch(f"{name} stopped")

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`."""
        for name in map(cast.playing, self.targets):
            if name in cast.members:
                cast[name].resume()
