"""The receiver's process is killed at a named point of its work on an operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import first
from sandbox.faults.killing import Kill
from sandbox.harness.history import Process, Role

WHEN = {
    "taken": "before the work",
    "working": "during the work",
    "worked": "after the work, before settlement",
    "settled": "after settlement",
}


@dataclass
class KillReceiver(Kill):
    """SIGKILL with a delivery in hand. Knobs as in `Kill`.

    point   "taken": before the work; "working": during it; "worked": done, neither answered nor settled; "settled"
    """

    point: str = "working"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.point not in WHEN:
            raise BadArgument("point", expected="one of " + ", ".join(WHEN), got=self.point)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{', '.join(self.targets) or 'receiver'} killed {WHEN[self.point]}"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = first(Role.RECEIVER, self.who, processes)
