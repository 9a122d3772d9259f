"""The medium's server is killed, and started again on the data that it has left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sandbox.faults.at_server import AtServer
from sandbox.faults.bad_use import at_least

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


@dataclass
class KillServer(AtServer):
    """SIGKILL to all its processes.

    restart   s until it is started again
    """

    restart: float = 0.3

    instant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(0, restart=self.restart)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.whom} killed"

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        for server in self.servers(cast):
            server.kill()
            self.touch(f"{server.medium} killed")
        self._restart_at = time.monotonic() + self.restart

    def watch(self, cast: Cast) -> None:
        """See `Fault.watch`."""
        if self.busy(cast) and time.monotonic() >= self._restart_at:
            self.heal(cast)

    def busy(self, cast: Cast) -> bool:
        """See `Fault.busy`."""
        return not self.ended

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`."""
        if self.injected and not self.ended:
            for server in self.servers(cast):
                server.restart()
            self.ended = time.monotonic_ns()
