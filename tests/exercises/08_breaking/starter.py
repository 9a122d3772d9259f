"""never fired"""

from dataclasses import dataclass

from sandbox.faults.fault import every
from sandbox.faults.switch import HookedFault
from sandbox.harness.history import Role


@dataclass
class Mine(HookedFault):
    """Every process of metering is asked; nothing happens so far."""

    def aim(self, channel, processes):
        """Whom it may strike: every receiver there is."""
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook, point, operation, attempt):
        """In one of them, at a point of its work on an operation, while the fault is open."""
