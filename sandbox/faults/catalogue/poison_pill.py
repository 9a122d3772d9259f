"""One operation that kills whoever works on it: a crash loop, where it is delivered again each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sandbox.channel import Channel
from sandbox.faults.fault import Kind, every
from sandbox.faults.killing import Kill
from sandbox.faults.switch import Within
from sandbox.harness.history import Process, Role


@dataclass
class PoisonPill(Kill):
    """The first operation that a receiver takes in the window; it loses its power when the load ends.

    restart  s after which another process comes in the place of one that has died of it
    """

    point: str = "working"

    kind: ClassVar[Kind] = "message"
    instant: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "poison message that kills its receiver"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook: Within, point: str, operation: int, attempt: int) -> None:
        """Each time."""
        if point == self.point and hook.choose(operation):
            hook.switch.strikes += 1
            hook.die(operation)
