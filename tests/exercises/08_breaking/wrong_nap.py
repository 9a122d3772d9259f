"""not long"""

import time
from dataclasses import dataclass

from sandbox.faults.fault import every
from sandbox.faults.switch import HookedFault
from sandbox.harness.history import Role


@dataclass
class Mine(HookedFault):
    """Stands still at the right point, but shorter than the lease."""

    def aim(self, channel, processes):
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook, point, operation, attempt):
        if point == "worked" and hook.choose(operation):
            hook.strike(operation)
            time.sleep(0.01)
