"""breaks more"""

from dataclasses import dataclass

from sandbox.faults.fault import every
from sandbox.faults.switch import HookedFault
from sandbox.harness.history import Role


@dataclass
class Mine(HookedFault):
    """Whoever comes to the point dies, again and again."""

    def aim(self, channel, processes):
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook, point, operation, attempt):
        if point == "worked":
            hook.die(operation)
