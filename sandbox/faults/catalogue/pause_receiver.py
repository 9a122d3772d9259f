"""The receiver's process stands still: it is there, holds what it has claimed, and does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.faults.fault import AtReceiver

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


@dataclass
class PauseReceiver(AtReceiver):
    """SIGSTOP, and SIGCONT when it is healed."""

    exclusive = True

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.whom} paused"

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
