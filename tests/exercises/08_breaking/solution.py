"""Killed once, when the effect is there and the channel has not been told."""

from dataclasses import dataclass

from sandbox.faults.fault import every
from sandbox.faults.switch import HookedFault
from sandbox.harness.history import Role


@dataclass
class Mine(HookedFault):
    """The first one to have billed something dies before it can settle."""

    def aim(self, channel, processes):
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook, point, operation, attempt):
        if point == "worked" and not hook.switch.strikes and hook.choose(operation):
            hook.die(operation)
