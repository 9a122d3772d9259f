"""Nothing stays behind: the guard's folder, and the sweeper that clears up when the guard itself is killed."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
from pathlib import Path

PREFIX = "isb-"  # short: socket paths end at 104 bytes


def make_folder() -> Path:
    """A private folder in local temporary space, marked with a lock that its owner's death releases."""
    base = Path(tempfile.gettempdir())
    if len(str(base)) > 50:  # macOS: /var/folders/...; a socket path would not fit below it
        base = Path("/tmp")
    sweep_stale(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # never closed: held by this process and its children
    os.set_inheritable(lock, False)
    return folder


def sweep_stale(base: Path) -> None:
    """Remove folders whose guard, sweeper and children are all gone."""
    for folder in base.glob(f"{PREFIX}*"):
        try:
            found = folder.lstat()  # not of what a link points to: anybody may put a link there
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or time.time() - found.st_mtime < 60:
                continue
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)  # none yet: its guard died before that
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        finally:
            os.close(lock)
        clear(folder)


def start_sweeper(folder: Path, control: socket.socket) -> int:
    """Fork the process that cleans up when this one is killed; returns the pipe that tells it of children."""
    ledger_read, ledger_write = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(ledger_write)
            control.close()
            sweep(ledger_read, folder)
        finally:
            os._exit(0)
    os.close(ledger_read)
    return ledger_write


def sweep(ledger: int, folder: Path) -> None:
    """Read "+pid" and "-pid" lines until the guard's end closes; then kill what is left and remove the folder."""
    alive: set[int] = set()
    with os.fdopen(ledger, "r") as lines:
        for line in lines:
            pid = int(line[1:])
            if line[0] == "+":
                alive.add(pid)
            else:
                alive.discard(pid)
    for pid in alive:
        kill_group(pid)
    clear(folder)


def clear(folder: Path) -> None:
    """End what a kill of its group does not reach (PostgreSQL's children have their own), then remove all."""
    from sandbox.servers import sweep as sweep_servers

    sweep_servers(folder)
    remove(folder)


def kill_group(pid: int) -> None:
    """SIGKILL a process group, or the process if it has no group of its own; nothing if it is gone."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def remove(folder: Path) -> None:
    """Remove a folder that processes being killed may still be writing into."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)


def die_with_parent() -> None:
    """Ask the kernel (Linux) for a SIGKILL when the parent dies; elsewhere the sweeper does it alone."""
    if _PRCTL is not None:
        _PRCTL(1, signal.SIGKILL)


_PRCTL = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
