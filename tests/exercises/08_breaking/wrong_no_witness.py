"""no witness"""

import os
import signal
from dataclasses import dataclass

from sandbox.faults.fault import every
from sandbox.faults.switch import HookedFault
from sandbox.harness.history import Role


@dataclass
class Mine(HookedFault):
    """Kills at the right point, and nobody knows who did it."""

    def aim(self, channel, processes):
        self.targets = every(Role.RECEIVER, processes)

    def meet(self, hook, point, operation, attempt):
        if point == "worked" and attempt == 1 and hook.choose(operation):
            os.kill(os.getpid(), signal.SIGKILL)
