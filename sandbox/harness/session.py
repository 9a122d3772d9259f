"""A session: one guard, one private folder, one set of servers; everything ends with it.

Most users never see one: `default_session()` starts it with the first run and ends it with the
process. ``with Session() as session:`` gives one of one's own, for runs that kill servers.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from sandbox.channel import Channel
from sandbox.errors import RunFailed
from sandbox.floor import Floor
from sandbox.harness.participant import Participant
from sandbox.servers import Server, start
from sandbox.site import Site


class Session:
    """Starts participants and servers through its guard; a context manager, or `close` it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        with theirs:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "sandbox.harness.guard", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control = ours
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._sites = itertools.count(1)
        self._token = secrets.token_hex(4)  # your own server may be used by other sessions and hosts, whose pids repeat
        self._buffer = b""
        self._exited: dict[int, int] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._servers: dict[str, Server] = {}
        self._folder: Path | None = None
        atexit.register(self.close)

    # --- what a run needs -------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The private folder, removed with the session."""
        with self._lock:
            while self._folder is None:
                self._read(10)
            return self._folder

    @property
    def alive(self) -> bool:
        """Whether the guard still runs."""
        return self._guard.poll() is None and self._control.fileno() >= 0

    def participant(self, name: str) -> Participant:
        """A new warm process."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                pid = self._request({"do": "fork", "name": name}, [theirs.fileno()])
            except BaseException:
                ours.close()
                raise
        return Participant(self, name, pid, Connection(ours.detach()))

    def server(self, medium: str) -> Server:
        """The session's server for a medium, started with its first use. Raises `ServerUnavailable`."""
        with self._lock:
            if medium not in self._servers:
                folder = self.folder / medium
                folder.mkdir(mode=0o700, exist_ok=True)
                self._servers[medium] = start(medium, folder, self._spawn)
            return self._servers[medium]

    def site(self, channel: Channel | Floor | None = None, groups: Iterable[str] = ("metering",)) -> Site:
        """A fresh place for one run: a folder of its own and a name of its own on shared servers."""
        name = f"s{self._token}_{next(self._sites)}"
        folder = self.folder / name
        if not self.alive:
            raise RunFailed("the session has ended; start a new one (running the cell again does)")
        folder.mkdir(mode=0o700)
        needs = channel.needs if channel is not None else ()
        return Site(folder, name, tuple(groups), {medium: self.server(medium).address for medium in needs})

    def signal(self, pid: int, number: int) -> bool:
        """Signal a child of the guard; False when it is gone (or the guard is)."""
        try:
            return bool(self._request({"do": "signal", "pid": pid, "signal": int(number)}))
        except RunFailed:
            return False

    def exit_status(self, pid: int) -> int | None:
        """Exit status of a child (negative: the signal that ended it), None while it runs."""
        with self._lock:
            if pid not in self._exited:
                self._read(0)
            return self._exited.get(pid)

    def close(self) -> None:
        """End everything this session started. Safe to call again, and from a stopped cell."""
        atexit.unregister(self.close)
        if self._control.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._control.sendall(b'{"do": "close", "id": 0}\n')
            self._control.close()
        try:
            self._guard.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._guard.kill()  # its sweeper does the rest
            self._guard.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- talking to the guard ---------------------------------------------------------------

    def _spawn(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> _Spawned:
        request = {"do": "start", "argv": list(argv), "env": dict(env), "log": str(log), "name": argv[0]}
        try:
            return _Spawned(self, self._request(request))
        except RunFailed as error:
            raise OSError(str(error)) from error  # what `Spawn` promises; the launcher adds the way out

    def _request(self, request: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        with self._lock:
            request["id"] = next(self._ids)
            try:
                line = json.dumps(request).encode() + b"\n"
                if fds:
                    socket.send_fds(self._control, [line], list(fds))
                else:
                    self._control.sendall(line)
            except OSError:
                raise RunFailed("the session has ended; start a new one (running the cell again does)") from None
            while request["id"] not in self._answers:
                self._read(30)
            answer = self._answers.pop(request["id"])
        if "error" in answer:
            raise RunFailed(f"the guard could not {request['do']}: {answer['error']}")
        return answer["result"]

    def _read(self, timeout: float) -> None:
        """Take in what the guard has sent; answers to requests that were interrupted are kept and never asked for."""
        try:
            if not select.select([self._control], [], [], timeout)[0]:
                if timeout:
                    raise RunFailed(f"the guard has not answered for {timeout} s")
                return
            data = self._control.recv(65536)
        except (OSError, ValueError):
            data = b""
        if not data:
            if timeout:
                raise RunFailed("the guard has died; everything it had started was killed")
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "folder" in message:
                self._folder = Path(message["folder"])
            elif "exited" in message:
                self._exited[message["exited"]] = message["status"]
            else:
                self._answers[message["id"]] = message


class _Spawned:
    """A server process as `sandbox.servers` wants it, parented by the guard."""

    def __init__(self, session: Session, pid: int) -> None:
        self._session, self.pid = session, pid

    def poll(self) -> int | None:
        return self._session.exit_status(self.pid)

    def kill(self) -> None:
        if self._session.signal(self.pid, signal.SIGKILL):
            deadline = time.monotonic() + 5
            while self.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)


_default: Session | None = None


def default_session() -> Session:
    """The session that plain `run` and `compare` use; a new one if the last has ended."""
    global _default
    if _default is not None and not _default.alive:
        end_default_session()  # gives back what it still holds in this process
    if _default is None:
        _default = Session()
    return _default


def end_default_session() -> None:
    """End the default session, if there is one: after an interrupt, nothing half-done is reused."""
    global _default
    if _default is not None:
        _default.close()
        _default = None
