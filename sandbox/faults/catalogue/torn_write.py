"""Part of what was written never reached the disk: what a power cut leaves, and no kill of a process can show."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sandbox.channel import Channel
from sandbox.faults.at_server import AtServer
from sandbox.faults.bad_use import at_least
from sandbox.faults.fault import Kind
from sandbox.guarantees import Acceptor
from sandbox.harness.history import Role
from sandbox.harness.plan import MESSAGES
from sandbox.servers.server import EmbeddedServer

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

#: s within which a message must come that can be torn
_PATIENCE = 2.0
#: s for which the receivers stand still each time
_TURN = 0.1
#: bytes that are cut off a file with many messages; one with a single message loses half of it
_CUT = 400


@dataclass
class TornWrite(AtServer):
    """With the receivers paused: the end of the youngest message file is cut off.

    A broker is killed and restarted for it; of its log goes what it has written for `unflushed` s.
    """

    unflushed: float = 0.02

    kind: ClassVar[Kind] = "disk"
    instant: ClassVar[bool] = True
    power_cut: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(0, unflushed=self.unflushed)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "torn write, as after a power cut"

    def why_not(self, channel: Channel) -> str:
        """See `Fault.why_not`."""
        tell = channel.guarantees.tell
        if channel.style == "db_share":
            return "its log has checksums: what is torn is undone"
        if channel.style == "rpc" or not tell.receiver_may_be_away:
            return "nothing is written"
        return "flushed before it is accepted" if tell.accepted_by is Acceptor.DISK else ""

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        until = time.monotonic() + _PATIENCE
        while not self.injected and time.monotonic() < until:
            with _paused(cast):  # not for long: one of them may stand still with a lock that its sender needs
                for server in self.servers(cast):
                    assert isinstance(server, EmbeddedServer)
                    self._tear_log(server)
                if not self.targets:
                    self._tear_message(cast.site.folder)
        self.ended = time.monotonic_ns()

    def _tear_log(self, server: EmbeddedServer) -> None:
        """Wait until the broker has accepted what nobody has taken, and cut it off."""
        (log,) = server.folder.glob("appendonlydir/*.incr.aof")
        before, until = log.stat().st_size, time.monotonic() + _TURN
        while log.stat().st_size == before and time.monotonic() < until:
            time.sleep(0.001)
        if log.stat().st_size == before:
            return
        time.sleep(self.unflushed)  # long enough for who sent it to hear that it was accepted
        server.kill()
        self._truncate(log, log.stat().st_size - before - 1)  # torn: one byte of it is there
        server.restart()

    def _tear_message(self, folder: Path) -> None:
        begun, until = time.time_ns(), time.monotonic() + _TURN
        while time.monotonic() < until:
            for file in _messages(folder, since=begun):
                self._truncate(file, min(_CUT, file.stat().st_size // 2))
                return
            time.sleep(0.001)

    def _truncate(self, file: Path, by: int) -> None:
        size = file.stat().st_size
        if by > 0:
            os.truncate(file, size - by)
            self.touch(f"{by} of {size} bytes of {file.name} are gone")


@contextmanager
def _paused(cast: Cast) -> Iterator[None]:
    """All receivers stand still: they take nothing from under our hands."""
    names = [name for name in cast.of(Role.RECEIVER) if name not in cast.expected_deaths]
    try:
        for name in names:
            cast[name].pause()
        yield
    finally:
        for name in names:
            cast[name].resume()


def _messages(folder: Path, since: int) -> Iterator[Path]:
    """Files written since then that hold a message."""
    names = [name.encode() for name in MESSAGES]
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".journal", ".db") or not file.is_file():
            continue
        with suppress(FileNotFoundError):  # renamed meanwhile
            if file.stat().st_mtime_ns > since and any(name in file.read_bytes() for name in names):
                yield file
