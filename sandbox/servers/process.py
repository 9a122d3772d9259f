"""What the launchers need of whoever really starts processes (the session's guard; `subprocess` in a pinch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol


class ServerProcess(Protocol):
    """A started server."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""

    def kill(self) -> None:
        """SIGKILL to its whole process group, then wait until it is gone."""


#: (argv, environment, log file) -> the process, in a process group of its own, ended with the session whatever happens
Spawn = Callable[[Sequence[str], Mapping[str, str], Path], ServerProcess]
