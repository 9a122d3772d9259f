"""The receiver needs longer for every piece of work than it was planned for."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sandbox.faults.bad_use import at_least
from sandbox.faults.fault import AtReceiver
from sandbox.faults.switch import HookedFault, Within


@dataclass
class SlowReceiver(AtReceiver, HookedFault):
    """`by` s more of work for each operation that it takes in the window. 0: nothing happens."""

    by: float = 0.02

    def __post_init__(self) -> None:
        at_least(0, by=self.by)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.whom} slower by {self.by * 1000:g} ms"

    def meet(self, hook: Within, point: str, operation: int, attempt: int) -> None:
        """See `HookedFault.meet`."""
        if point == "working" and self.by:
            hook.strike(operation)
            time.sleep(self.by)
