"""One operation whose work always fails: the message is well-formed, and the code cannot digest it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sandbox.channel import Channel
from sandbox.faults.fault import Kind, every
from sandbox.faults.switch import HookedFault, Within
from sandbox.harness.history import Process, Role


class Indigestible(Exception):
    """What the work on a poison message raises."""


@dataclass
class PoisonMessage(HookedFault):
    """The first operation that a receiver takes in the window is the poison; whoever works on it fails."""

    kind: ClassVar[Kind] = "message"

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "poison message"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook: Within, point: str, operation: int, attempt: int) -> None:
        """See `HookedFault.meet`."""
        if point == "working" and hook.choose(operation):
            hook.strike(operation)
            raise Indigestible(f"operation {operation} cannot be worked")
