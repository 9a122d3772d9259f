"""raised"""

from dataclasses import dataclass

from sandbox.faults.fault import every
from sandbox.faults.switch import HookedFault
from sandbox.harness.history import Role


@dataclass
class Mine(HookedFault):
    """An error in the program instead of one in the world."""

    def aim(self, channel, processes):
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook, point, operation, attempt):
        if point == "worked" and hook.choose(operation):
            hook.strike(operation)
            raise ConnectionError("gone")
