"""too late"""

from dataclasses import dataclass

from sandbox.faults.fault import every
from sandbox.faults.switch import HookedFault
from sandbox.harness.history import Role


@dataclass
class Mine(HookedFault):
    """Kills it when the spool has been told."""

    def aim(self, channel, processes):
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook, point, operation, attempt):
        if point == "settled" and not hook.switch.strikes and hook.choose(operation):
            hook.die(operation)
