"""What every server has in common, and the life of one that a session starts itself."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from sandbox.errors import BadArgument, ServerUnavailable
from sandbox.servers.process import ServerProcess, Spawn, children_of, kill_all, wait_for_group

#: Seconds until a server that neither answers nor exits is given up. A start takes far below one second;
#: this only has to end a hang, also where thirty sessions start at once.
PATIENCE = 30.0
POLL = 0.004


class Server(ABC):
    """A running server.

    medium    what it is the medium of: "redis", "redis_always", "postgres"
    address   for `Site.addresses`; stays the same over `restart`. May hold a password: never print it
    label     what it is, for results and charts: "PostgreSQL 18.6 (embedded)". Never holds a password
    version   "18.6"
    external  whether it is the user's own; the sandbox then neither kills nor restarts it
    """

    medium: str
    address: str
    label: str
    version: str
    external: bool

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Leader of its process group; None when it is external or does not run."""

    @abstractmethod
    def processes(self) -> list[int]:
        """All its processes, the leader first; empty when it is external or does not run.

        To pause a server, all of them must be stopped: those of PostgreSQL are not of one group.
        """

    @abstractmethod
    def log_tail(self, lines: int = 8) -> str:
        """The last lines of its log; empty for an external server."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL to all its processes at once, and wait until they are gone. Its data stays.

        Raises `BadArgument` for an external server.
        """

    @abstractmethod
    def restart(self) -> None:
        """Start it again, on the same data and at the same address; kills it first if it still runs.

        Returns when it answers. Raises `ServerUnavailable`, or `BadArgument` for an external server.
        """

    @abstractmethod
    def stop(self) -> None:
        """End it for good; no-op when it has ended, and for an external server."""


class ExternalServer(Server):
    """A server of the user's own, given by URL: it was asked for its version, and nothing was started."""

    external = True

    def __init__(self, *, medium: str, address: str, label: str, version: str, variable: str) -> None:
        self.medium, self.address, self.label, self.version = medium, address, label, version
        self._variable = variable

    @property
    def pid(self) -> None:
        return None

    def processes(self) -> list[int]:
        return []

    def log_tail(self, lines: int = 8) -> str:
        return ""

    def kill(self) -> None:
        raise self._not_ours()

    def restart(self) -> None:
        raise self._not_ours()

    def stop(self) -> None:
        """Nothing to do: it was not started here."""

    def _not_ours(self) -> BadArgument:
        return BadArgument(
            "server",
            expected="one that the sandbox has started and may kill",
            got=self.label,
            hint=f"Unset {self._variable}, and the session starts one of its own.",
        )


class EmbeddedServer(Server):
    """A server that was started here. Subclasses say how: `_prepare`, `_argv`, `_ask_version`."""

    external = False
    product: ClassVar[str]
    way_out: ClassVar[str]

    def __init__(self, medium: str, folder: Path, spawn: Spawn) -> None:
        """`folder` becomes this server's own; what an earlier server of the kind left in it is taken up."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.medium = medium
        self.folder = folder.absolute()
        self._spawn = spawn
        self._process: ServerProcess | None = None
        self._log = self.folder / "log"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def processes(self) -> list[int]:
        return [] if self._process is None else [self._process.pid, *children_of(self._process.pid)]

    def start(self) -> None:
        """Start it and wait until it answers. Raises `ServerUnavailable` with its last log lines."""
        self._prepare()
        self._launch()

    def log_tail(self, lines: int = 8) -> str:
        return tail(self._log, lines)

    def kill(self) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGSTOP)  # so that it starts no other child while we look for them
        leader, *children = self.processes()
        process.kill()
        # PostgreSQL gives every child a session of its own: a signal to its group does not reach them
        if not (kill_all(children) and wait_for_group(leader)):
            raise ServerUnavailable(self.product, f"its processes {leader}, {children} do not end, even by SIGKILL")
        self._process = None

    def restart(self) -> None:
        self.kill()
        self._launch()

    def stop(self) -> None:
        self.kill()

    @abstractmethod
    def _prepare(self) -> None:
        """Make what the first start needs: configuration, data folder."""

    @abstractmethod
    def _argv(self) -> list[str]:
        """The command that becomes the server."""

    @abstractmethod
    def _ask_version(self) -> str | None:
        """Ask the server itself, over a real connection; None while it does not answer yet."""

    @abstractmethod
    def _describe(self) -> str:
        """The label, once the version is known."""

    def _launch(self) -> None:
        self._process = self._run(self._argv(), self._log)
        try:
            self._await_answer(self._process)
        except BaseException:  # also an interrupt: nothing half-started stays behind
            self.kill()
            raise
        self.label = self._describe()

    def _run(self, argv: list[str], log: Path) -> ServerProcess:
        try:
            return self._spawn(argv, _environment(), log)
        except OSError as error:
            raise self._unavailable(f"{argv[0]} cannot be run ({error.strerror or error})") from error

    def _await_answer(self, process: ServerProcess) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            status = process.poll()
            if status is not None:
                raise self._unavailable(f"it ended while starting (exit status {status})", log=self.log_tail())
            version = self._ask_version()
            if version is not None:
                self.version = version
                return
            if time.monotonic() > deadline:
                raise self._unavailable(f"it runs, but has not answered for {PATIENCE:.0f} s", log=self.log_tail())
            time.sleep(POLL)

    def _unavailable(self, reason: str, log: str = "") -> ServerUnavailable:
        return ServerUnavailable(self.product, reason, log=log, way_out=self.way_out)


def tail(log: Path, lines: int) -> str:
    """The last lines of a text file; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 300 * lines))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _environment() -> dict[str, str]:
    """The whole environment of a server: the user's own PG... or LC_... settings must not reach it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
