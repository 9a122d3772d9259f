"""What works on this machine, what does not, what that costs you, and what to do about it.

python -m sandbox doctor
"""

from __future__ import annotations

import importlib
import os
import select
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sandbox.errors import ServerUnavailable
from sandbox.machine import cores, file_system, is_wsl, machine, memory_bytes, package_version
from sandbox.servers import popen_spawn, start
from sandbox.servers.postgres import find_binaries, way_to_run

__all__ = ["Check", "Examination", "examine", "machine", "main", "render", "report", "verdict"]

IMPORTED = ("msgspec", "hiredis", "redis", "psycopg", "cloudpickle", "pandas", "matplotlib", "simpy")
NOTEBOOK_TOOLS = ("jupyterlab", "ipykernel", "nbclient")
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "afs", "lustre", "9p", "drvfs", "fuse.sshfs", "ceph", "glusterfs")
SOCKET_LIMIT = 103  # bytes, without the closing zero, on macOS; Linux allows four more
REINSTALL = "`make setup` installs what requirements.txt lists."


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    ok      True: fine; False: something does not work; None: it works, with a limit worth knowing
    found   what was found, in a few words
    advice  empty when all is fine; else what does not work then, and what to do
    """

    name: str
    ok: bool | None
    found: str
    advice: str = ""

    def __str__(self) -> str:
        mark = {True: "ok", False: "NO", None: "--"}[self.ok]
        lines = [f"{mark}  {self.name:<20} {self.found}"]
        lines += [f"      {line}" for line in self.advice.splitlines()]
        return "\n".join(lines)


class Examination(list[Check]):
    """All checks; shows itself as text."""

    def __str__(self) -> str:
        return render(self)

    __repr__ = __str__  # so that a notebook shows the text, too


def examine(progress: Callable[[Check], None] = lambda check: None) -> Examination:
    """Look at everything, a few seconds in all; `progress` is given each check as soon as it is made."""
    found = Examination()
    for name, look in CHECKS.items():
        try:
            ok, what, advice = look()
        except Exception as error:  # one broken thing must not hide the others: that is what a doctor is for
            ok, what, advice = False, f"{type(error).__name__}: {error}", "This could not be looked at."
        found.append(Check(name, ok, what, advice))
        progress(found[-1])
    return found


def render(checks: Sequence[Check]) -> str:
    """All checks as text, the verdict last."""
    return "\n".join([*map(str, checks), verdict(checks)])


def verdict(checks: Sequence[Check]) -> str:
    """One sentence: whether everything works, and where to look if not."""
    broken = [check.name for check in checks if check.ok is False]
    limits = [check.name for check in checks if check.ok is None]
    if broken:
        return f"Not everything works here: {', '.join(broken)}. See the advice above."
    if limits:
        return f"Everything works here; worth knowing: {', '.join(limits)}."
    return "Everything works here."


def report() -> str:
    """Examine, and give the whole examination as text."""
    return render(examine())


def main() -> int:
    """Print the examination as it goes; exit status 0 when everything works, limits included."""
    checks = examine(lambda check: print(check, flush=True))
    print(verdict(checks))
    return int(any(check.ok is False for check in checks))


# --- the checks: each returns (ok, what was found, advice) ------------------------------------

Findings = tuple[bool | None, str, str]


def _python() -> Findings:
    ok = sys.version_info >= (3, 11)
    return ok, sys.version.split()[0], "" if ok else "The sandbox needs Python 3.11 or later: install one."


def _packages() -> Findings:
    broken, versions = [], []
    for name in IMPORTED:
        try:
            importlib.import_module(name)
            versions.append(f"{name} {package_version(name)}")
        except Exception as error:  # a broken wheel can raise anything
            broken.append(f"{name} ({error})")
    if broken:
        return False, f"not importable: {', '.join(broken)}", f"What needs them does not run. {REINSTALL}"
    return True, ", ".join(versions), ""


def _notebooks() -> Findings:
    missing = [name for name in NOTEBOOK_TOOLS if package_version(name) is None]
    if missing:
        return False, f"missing: {', '.join(missing)}", f"Notebooks do not open; commands work. {REINSTALL}"
    return True, ", ".join(f"{name} {package_version(name)}" for name in NOTEBOOK_TOOLS), ""


def _cores() -> Findings:
    count = cores()
    advice = "Sender, receiver and server take turns: many runs will say `unknown`. Read the recorded runs instead."
    return (True, f"{count:g}", "") if count >= 2 else (None, f"{count:g}", advice)


def _memory() -> Findings:
    size = memory_bytes() / 1e9
    advice = "Servers and a notebook together may not fit: close what else is running."
    return (True, f"{size:.1f} GB", "") if size >= 2 else (None, f"{size:.1f} GB", advice)


def _processes() -> Findings:
    if hasattr(os, "fork") and hasattr(os, "killpg"):
        return True, "fork, process groups", ""
    return False, "no fork", "Nothing real can be run here: on Windows, work inside WSL2."


def _clock() -> Findings:
    stamps = [time.monotonic_ns() for _ in range(20_000)]
    step = min((b - a for a, b in pairwise(stamps) if b > a), default=10**9)
    if step <= 1_000:
        return True, f"tells {step} ns apart", ""
    return None, f"tells only {step} ns apart", "Shorter latencies cannot be told apart; do not compare them."


def _temp_space() -> Findings:
    with _temp_folder() as folder:
        kind, free, flush = file_system(folder), shutil.disk_usage(folder).free / 1e9, _flush_ms(folder)
    found = f"{folder.parent}: {kind}, {free:.1f} GB free, a flush takes {flush:.2f} ms"
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        drive = "a Windows drive" if is_wsl() else "a network file system"
        return False, found, f"Locks and renames cannot be trusted on {drive}. Set TMPDIR to a local folder, like /tmp."
    if free < 0.5:
        return False, found, "Servers stop when the disk is full: free 0.5 GB, or set TMPDIR to a roomier folder."
    if kind in ("tmpfs", "ramfs"):
        advice = "This is memory: flushing costs nothing here, so durable ways look cheaper than on a disk."
        return None, found, f"{advice}\nFor honest charts, set TMPDIR to a folder on a local disk."
    return True, found, ""


def _socket_path() -> Findings:
    with _temp_folder() as folder:
        longest = folder / "postgres" / ".s.PGSQL.5432"
        length = len(bytes(longest))
        if length > SOCKET_LIMIT:
            advice = "Sockets and PostgreSQL cannot start there. Set TMPDIR to a short path, such as /tmp."
            return False, f"{length} bytes, allowed are {SOCKET_LIMIT}", advice
        longest.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(longest))
    return True, f"{length} of {SOCKET_LIMIT} bytes", ""


def _wake_up() -> Findings:
    advice = "File channels look for new files at intervals instead: slower, and their charts say so."
    if sys.platform != "linux":
        return (True, "kqueue", "") if hasattr(select, "kqueue") else (None, "none by the system", advice)
    try:
        from inotify_simple import INotify, flags

        with _temp_folder() as folder, INotify() as watcher:
            watcher.add_watch(folder, flags.CREATE)
            (folder / "file").touch()
            if watcher.read(timeout=1000):
                return True, "inotify", ""
        return None, "inotify, but no event arrives", advice
    except (ImportError, OSError) as error:
        return None, f"no inotify ({error})", advice


def _postgres_as_root() -> Findings:
    if os.geteuid() != 0:
        return True, "not root: nothing special is needed", ""
    try:
        return True, f"PostgreSQL as root by way of {way_to_run(find_binaries())[0]}", ""
    except ServerUnavailable as error:
        return None, "PostgreSQL cannot be run as root", f"SQLite takes its place.\n{error}"


def _server(medium: str, loss: str) -> Callable[[], Findings]:
    """A check that really starts a server (or asks yours) and says what is lost without it."""

    def look() -> Findings:
        with _temp_folder() as folder:
            began = time.monotonic()
            try:
                server = start(medium, folder / medium, popen_spawn)
            except ServerUnavailable as error:
                return False, "does not start", f"{loss}\n{error}"
            took = time.monotonic() - began
            server.stop()
            return True, f"{server.label}, answers after {took:.2f} s", ""

    return look


CHECKS: dict[str, Callable[[], Findings]] = {
    "Python": _python,
    "packages": _packages,
    "notebook tools": _notebooks,
    "cores": _cores,
    "memory": _memory,
    "processes": _processes,
    "clock": _clock,
    "temporary space": _temp_space,
    "socket path": _socket_path,
    "wake-up for files": _wake_up,
    "user": _postgres_as_root,
    "Valkey": _server("redis", "The messaging channels do not run."),
    "PostgreSQL": _server("postgres", "SQLite takes its place in the shared-database channels, and they say so."),
}


@contextmanager
def _temp_folder() -> Iterator[Path]:
    """Where a session would put its folder, and named as long."""
    folder = Path(tempfile.mkdtemp(prefix="isb-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _flush_ms(folder: Path) -> float:
    """Median time of flushing 4 KiB to disk, in ms."""
    times = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(9):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3
