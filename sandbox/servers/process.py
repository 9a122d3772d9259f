"""What the launchers need of whoever really starts processes (the session's guard; `subprocess` in a pinch)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol


class ServerProcess(Protocol):
    """A started server."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""

    def kill(self) -> None:
        """SIGKILL to its whole process group, then wait until it is gone."""


#: (argv, environment, log file) -> the process, in a process group of its own, ended with the session whatever happens.
#: The environment is the whole one, not an addition; standard output and error are appended to the log file.
Spawn = Callable[[Sequence[str], Mapping[str, str], Path], ServerProcess]


class PopenProcess:
    """A server process that nobody but its starter looks after: for tests and tools, not for sessions."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._popen.poll()

    def kill(self) -> None:
        """SIGKILL to its whole process group, then wait until it is gone."""
        kill_group(self.pid)
        self._popen.wait()
        wait_for_group(self.pid)


def popen_spawn(argv: Sequence[str], env: Mapping[str, str], log: Path) -> PopenProcess:
    """A `Spawn` that uses `subprocess`: the process outlives a starter that dies without killing it."""
    with log.open("ab") as output:
        popen = subprocess.Popen(
            list(argv),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return PopenProcess(popen)


def kill_group(group: int) -> None:
    """SIGKILL to every process of a group; a group that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, when only zombies are left
        os.killpg(group, signal.SIGKILL)


def wait_for_group(group: int, timeout: float = 5.0) -> bool:
    """Wait until no process of a group runs any more; False when some still do after `timeout` s."""
    return _wait_until(lambda: not group_is_alive(group), timeout)


def group_is_alive(group: int) -> bool:
    """Whether a process of the group runs; the dead whom nobody has collected yet (zombies) do not count."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # PermissionError: macOS, of zombies
        return False
    return any(row.group == group for row in _running())


def children_of(parent: int) -> list[int]:
    """The running children of a process."""
    return [row.pid for row in _running() if row.parent == parent]


def kill_all(pids: Collection[int], timeout: float = 5.0) -> bool:
    """SIGKILL to each, and wait until they are gone; False when some still run after `timeout` s."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not pids or _wait_until(lambda: not any(row.pid in pids for row in _running()), timeout)


class _Row(NamedTuple):
    pid: int
    state: str
    parent: int
    group: int


def _running() -> list[_Row]:
    """Every process of the machine that is not a zombie."""
    rows = []
    if sys.platform == "linux":
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it ended while we looked
                state, parent, group = stat.read_text().rpartition(")")[2].split()[:3]
                rows.append(_Row(int(stat.parent.name), state, int(parent), int(group)))
    else:
        table = subprocess.run(["ps", "-axo", "pid=,stat=,ppid=,pgid="], capture_output=True, text=True, check=True)
        for line in table.stdout.splitlines():
            pid, state, parent, group = line.split()
            rows.append(_Row(int(pid), state, int(parent), int(group)))
    return [row for row in rows if row.state[0] not in "ZX"]


def _wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True
