"""The process that parents everything: participants and servers, and ends them whatever happens.

The guard is started by a `Session` in a session (setsid) of its own, so that the interrupt which
a notebook's stop button sends never reaches it. It is a fork server: it has the imports, so a new
participant is ready within milliseconds. Three things watch over each other:

    the user's process dies   -> the guard's control socket closes: it kills all and removes the folder
    the guard dies            -> its sweeper, forked at the start, reads the end of a pipe and does the same
    a participant dies        -> the guard reports it

On Linux every child also asks the kernel to be killed when the guard dies, and a folder that
outlives even its sweeper is removed by the next guard. Paused processes are no exception: SIGKILL
needs nobody's cooperation.

Protocol: JSON lines over a Unix socket, each request with an id; a file descriptor travels with
"fork". Run as ``python -m sandbox.harness.guard FD``.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.harness.cleaning import clear, die_with_parent, kill_group, make_folder, start_sweeper
from sandbox.harness.participant import participate


class Guard:
    """See the module's text. `serve` returns when the control socket closes or asks for it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._folder = make_folder()
        self._ledger = start_sweeper(self._folder, control)
        self._life_read, self._life_write = os.pipe()
        self._children: dict[int, str] = {}
        self._servers: dict[int, subprocess.Popen[bytes]] = {}
        self._fds: list[int] = []
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Answer requests until the session ends."""
        self._send({"folder": str(self._folder)})
        _preload()
        gc.freeze()  # children share these objects; keep their collectors off them
        buffer = b""
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._wake_read], [], [])
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                self._reap()
            if self._control.fileno() in ready:
                try:
                    data, fds, _, _ = socket.recv_fds(self._control, 65536, 16)
                except OSError:
                    return
                if not data:
                    return
                self._fds += fds
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    request = json.loads(line)
                    if request["do"] == "close":
                        return
                    self._answer(request)

    def end(self) -> None:
        """Kill every child, remove the folder."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for pid in list(self._children):
            kill_group(pid)
        deadline = time.monotonic() + 5
        while self._children and time.monotonic() < deadline:
            self._reap(report=False)
            time.sleep(0.005)
        clear(self._folder)

    def _answer(self, request: dict[str, Any]) -> None:
        actions: dict[str, Callable[[dict[str, Any]], Any]] = {
            "fork": self._fork,
            "start": self._start,
            "signal": self._signal,
        }
        try:
            result = actions[request["do"]](request)
            self._send({"id": request["id"], "result": result})
        except Exception as error:  # the session decides what a failed request means
            self._send({"id": request["id"], "error": f"{type(error).__name__}: {error}"})

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(message).encode() + b"\n")

    def _fork(self, request: dict[str, Any]) -> int:
        link = self._fds.pop(0)
        pid = os.fork()
        if pid == 0:
            try:
                die_with_parent()
                os.setpgid(0, 0)
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                for descriptor in (self._control.fileno(), self._ledger, self._life_write, self._wake_read):
                    os.close(descriptor)
                participate(link, self._life_read)
            finally:
                os._exit(0)
        with contextlib.suppress(OSError):  # the child may have done it already
            os.setpgid(pid, pid)
        os.close(link)
        self._note(pid, request["name"])
        return pid

    def _start(self, request: dict[str, Any]) -> int:
        with Path(request["log"]).open("ab") as log:
            process = subprocess.Popen(
                request["argv"],
                env={**os.environ, **request["env"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_as_server,
                cwd=self._folder,
            )
        self._servers[process.pid] = process
        self._note(process.pid, request["name"])
        return process.pid

    def _note(self, pid: int, name: str) -> None:
        self._children[pid] = name
        os.write(self._ledger, f"+{pid}\n".encode())

    def _signal(self, request: dict[str, Any]) -> bool:
        """Signal a child's group; False when it has gone already (its pid may be somebody else's by now)."""
        self._reap()
        if request["pid"] not in self._children:
            return False
        if request["signal"] == signal.SIGKILL:
            kill_group(request["pid"])
        else:
            os.killpg(request["pid"], request["signal"])
        return True

    def _reap(self, report: bool = True) -> None:
        for pid in list(self._children):
            with contextlib.suppress(ChildProcessError):
                gone, status = os.waitpid(pid, os.WNOHANG)
                if not gone:
                    continue
                del self._children[pid]
                code = os.waitstatus_to_exitcode(status)
                if pid in self._servers:
                    self._servers.pop(pid).returncode = code
                    kill_group(pid)  # a server's own children do not outlive it
                os.write(self._ledger, f"-{pid}\n".encode())
                if report:
                    self._send({"exited": pid, "status": code})


def _as_server() -> None:
    die_with_parent()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that must not grow is an error to it, and not its death


def _preload() -> None:
    import importlib

    # psycopg takes a tenth of a second; channels import it only where they connect, and nobody should wait for it there
    for module in ("cloudpickle", "sandbox.harness.cast", "sandbox.catalogue", "psycopg"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    from sandbox.catalogue import catalogue

    with contextlib.suppress(Exception):  # a channel that somebody is editing: who wants to use it will be told
        catalogue()


def main() -> None:
    """Serve on the control socket whose descriptor is the first argument."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    guard = Guard(socket.socket(fileno=int(sys.argv[1])))
    try:
        guard.serve()
    finally:
        guard.end()


if __name__ == "__main__":
    main()
