"""The sender's process is killed while it hands over an operation."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.errors import BadArgument
from sandbox.faults.fault import AtSender
from sandbox.faults.killing import Kill

WHEN = {"begin": "before it hands over", "begun": "after it has handed over, before it knows"}


@dataclass
class KillSender(AtSender, Kill):
    """SIGKILL; the one in its place goes on with what was not begun. Knobs as in `Kill`.

    point   "begin": it has decided to send; "begun": `Sender.begin` has returned, the outcome is not known
    """

    point: str = "begun"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.point not in WHEN:
            raise BadArgument("point", expected="one of " + ", ".join(WHEN), got=self.point)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.whom} killed {WHEN[self.point]}"
