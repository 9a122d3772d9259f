"""Where the proxy listens, and to whom each of its listening sockets leads."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.faults.proxy.addresses import LOOPBACK, Place, Target
from sandbox.rpc.directory import BACKLOG, SUFFIX, announce

#: why a connect fails when nobody listens there (any more)
_NOBODY = (errno.ECONNREFUSED, errno.ENOENT, errno.ENOTSOCK)


@dataclass(eq=False)
class Door:
    """One listening socket and whom it leads to.

    file    what announces it, to be removed with it; None where its address is told by the session
    """

    listener: socket.socket
    target: Target
    file: Path | None = None

    def connect(self) -> tuple[socket.socket | None, int]:
        """A socket to the target, and 0, EINPROGRESS, or why there is none: EAGAIN is worth another try."""
        sock = socket.socket(self.target.family)
        sock.setblocking(False)
        failure = sock.connect_ex(self.target.place)
        if failure not in (0, errno.EINPROGRESS):
            sock.close()
            return None, failure
        if self.target.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, failure

    def leads_nowhere(self) -> bool:
        """Whether certainly nobody listens behind it."""
        with socket.socket(self.target.family) as probe:
            probe.settimeout(0.05)
            return probe.connect_ex(self.target.place) in _NOBODY

    def close(self) -> None:
        """Stop listening; the file goes first, so that nobody comes in vain."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)
        self.listener.close()


def open_door(target: Target, file: Path) -> Door:
    """Listen as the target does: on the socket file `file`, or on a port of the loopback interface."""
    unix = target.family == socket.AF_UNIX
    listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    listener.bind(str(file) if unix else (LOOPBACK, 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return Door(listener, target)


def place_of(door: Door) -> Place:
    """Where a door listens."""
    name = door.listener.getsockname()
    return name if isinstance(name, str) else (name[0], name[1])


#: a file, and what changes when another receiver takes its place
_Known = dict[str, tuple[int, int]]


@dataclass
class Mirror:
    """A folder of announcements, repeated in another folder, each with a door of the proxy in its place.

    What is announced by whom is not taken over with its file: a receiver that is killed leaves it behind, and whoever
    connects is refused. So a door that is found to lead nowhere is withdrawn, until its receiver announces itself anew.
    """

    source: Path
    copy: Path
    doors: dict[str, Door] = field(default_factory=dict)
    _known: _Known = field(default_factory=dict)

    def look(self) -> tuple[list[Door], list[Door]]:
        """The doors that are new, and those that are closed now because nobody announces himself there any more."""
        there = self._announced()
        gone = [name for name, mark in self._known.items() if there.get(name) != mark]
        closed = [door for name in gone if (door := self.doors.pop(name, None)) is not None]
        for door in closed:
            door.close()
        for name in gone:
            del self._known[name]
        new = [door for name in there.keys() - self._known.keys() if (door := self._repeat(name)) is not None]
        self._known = there
        return new, closed

    def withdraw(self, door: Door) -> None:
        """Close a door that leads nowhere; it stays closed as long as its file is the same."""
        self.doors = {name: known for name, known in self.doors.items() if known is not door}
        door.close()

    def _announced(self) -> _Known:
        found: _Known = {}
        for group in _names(self.source):
            folder = self.source / group
            for name in _names(folder):
                if name.endswith(tuple(SUFFIX.values())):
                    with contextlib.suppress(OSError):  # gone while we look
                        status = (folder / name).stat()
                        found[f"{group}/{name}"] = (status.st_ino, status.st_mtime_ns)
        return found

    def _repeat(self, name: str) -> Door | None:
        origin, copy = self.source / name, self.copy / name
        try:
            door = _unix_door(origin, copy) if copy.suffix == SUFFIX["unix"] else _tcp_door(origin, copy)
        except (OSError, ValueError, KeyError, TypeError):  # it has just gone, or no sender would understand it either
            return None
        self.doors[name] = door
        return door


def _names(folder: Path) -> list[str]:
    """What lies in a folder; nothing while it is not there, or if it is none."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _unix_door(origin: Path, copy: Path) -> Door:
    announced = announce(copy.parent, copy.stem, "unix")
    return Door(announced.listener, Target(socket.AF_UNIX, str(origin)), copy)


def _tcp_door(origin: Path, copy: Path) -> Door:
    there = json.loads(origin.read_text())
    port, secret = int(there["port"]), str(there["secret"])
    door = open_door(Target(socket.AF_INET, (LOOPBACK, port)), copy)
    copy.parent.mkdir(parents=True, exist_ok=True)
    hidden = copy.with_suffix(".new")
    hidden.unlink(missing_ok=True)
    with os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump({"port": door.listener.getsockname()[1], "secret": secret}, out)  # which its target asks for
    hidden.replace(copy)
    door.file = copy
    return door
