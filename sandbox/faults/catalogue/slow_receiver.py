"""The receiver needs longer for every piece of work than it was planned for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.channel import Channel
from sandbox.faults.fault import first
from sandbox.faults.switch import HookedFault, Within
from sandbox.harness.history import Process, Role


@dataclass
class SlowReceiver(HookedFault):
    """`by` s more of work for each operation that it takes in the window. 0: nothing happens.

    who  a receiver's name; the first one unless set
    """

    by: float = 0.02
    who: str = ""

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{', '.join(self.targets) or 'receiver'} slower by {self.by * 1000:g} ms"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = first(Role.RECEIVER, self.who, processes)

    def meet(self, hook: Within, point: str, operation: int, attempt: int) -> None:
        """See `HookedFault.meet`."""
        if point == "working" and self.by:
            hook.strike(operation)
            time.sleep(self.by)
