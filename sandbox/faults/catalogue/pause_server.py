"""The medium's server stands still: connections stay open, and nothing comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.faults.at_server import AtServer
from sandbox.servers import Server

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


@dataclass
class PauseServer(AtServer):
    """SIGSTOP to all its processes, and SIGCONT when it is healed."""

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.whom} paused"

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        self._stopped: list[int] = []
        for server in self.servers(cast):
            for pid in _leader_first(server):
                self._stopped.append(pid)  # first: an interrupt must not leave one behind
                with suppress(ProcessLookupError):  # a child that has just ended
                    os.kill(pid, signal.SIGSTOP)
            self.touch(f"{server.medium} stopped, {len(self._stopped)} processes")

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`."""
        for pid in reversed(getattr(self, "_stopped", [])):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _leader_first(server: Server) -> Iterator[int]:
    """Its processes; the others are looked up when the leader stands still and starts no more of them."""
    yield from server.processes()[:1]
    yield from server.processes()[1:]
