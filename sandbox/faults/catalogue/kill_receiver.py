"""The receiver's process is killed at a named point of its work on an operation."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.errors import BadArgument
from sandbox.faults.fault import AtReceiver
from sandbox.faults.killing import Kill

WHEN = {
    "taken": "before the work",
    "working": "during the work",
    "worked": "after the work, before settlement",
    "settled": "after settlement",
}
#: the same, where its receivers settle before the work
SETTLED_FIRST = {**WHEN, "worked": "after the work, long settled", "settled": "after settlement, before the work"}


@dataclass
class KillReceiver(AtReceiver, Kill):
    """SIGKILL with a delivery in hand. Knobs as in `Kill`.

    point   "taken": before the work; "working": during it; "worked": done, not answered, and settled only where
            that comes before the work; "settled": the receiver has said that it is done with it, which the channel
            may not have carried out yet
    """

    point: str = "working"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.point not in WHEN:
            raise BadArgument("point", expected="one of " + ", ".join(WHEN), got=self.point)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        when = WHEN if self.settle == "after" else SETTLED_FIRST
        return f"{self.whom} killed {when[self.point]}"
