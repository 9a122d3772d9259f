"""The work on one operation fails the first k times, and then succeeds: a dependency that is back soon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import Kind, every
from sandbox.faults.switch import HookedFault, Within
from sandbox.harness.history import Process, Role
from sandbox.harness.hook import TryAgain


@dataclass
class FailFirst(HookedFault):
    """The first operation that a receiver takes in the window fails `k` times "for now".

    Its receiver gives it back to the channel, which delivers it again - where it can take something back.
    """

    k: int = 2

    kind: ClassVar[Kind] = "message"

    def __post_init__(self) -> None:
        if not self.k >= 0:
            raise BadArgument("k", expected="0 or more times", got=self.k)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"work fails {self.k} times, then succeeds"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook: Within, point: str, operation: int, attempt: int) -> None:
        """See `HookedFault.meet`."""
        if point == "working" and hook.switch.strikes < self.k and hook.choose(operation):
            hook.strike(operation)
            raise TryAgain(f"failure {hook.switch.strikes} of {self.k}")
