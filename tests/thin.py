"""Two thin channels that tests run workloads on, with real files and real pipes and nothing else in between.

Folder   three primitives on files: all verbs, at most once, several receivers
Fifo     one named pipe per group: tell only, one receiver a group; about as fast as it gets
"""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import channel
from sandbox.channel import Backlog, Channel, Outcome, Status
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Operation, Schema
from sandbox.guarantees import Acceptor, Ask, Delivery, Guarantees, Order, Share, Support, Tell
from sandbox.minimal import Minimal
from sandbox.site import Site


@dataclass(frozen=True)
class Folder(Minimal):
    """A box is a folder, a message a file, a claim a rename. What a dead receiver had claimed is gone."""

    def put(self, place: Site, box: str, data: bytes) -> None:
        """See `Minimal.put`."""
        folder = place.folder / box
        folder.mkdir(exist_ok=True)
        name = f"{time.monotonic_ns():020}-{os.getpid()}"
        (place.folder / f"{name}.part").write_bytes(data)
        (place.folder / f"{name}.part").rename(folder / name)

    def take(self, place: Site, box: str) -> tuple[Any, bytes] | None:
        """See `Minimal.take`."""
        folder, claimed = place.folder / box, place.folder / "claimed"
        claimed.mkdir(exist_ok=True)
        if not folder.exists():
            return None
        for name in sorted(os.listdir(folder)):
            try:
                (folder / name).rename(claimed / name)
            except FileNotFoundError:
                continue  # another receiver was faster
            return name, (claimed / name).read_bytes()
        return None

    def settle(self, place: Site, box: str, token: Any) -> None:
        """See `Minimal.settle`."""
        (place.folder / "claimed" / token).unlink()


@dataclass(frozen=True)
class Fifo(Channel):
    """One named pipe per group; a line is a message, and short enough to be written whole."""

    @property
    def guarantees(self) -> Guarantees:
        """At most once: what was read from the pipe lives in the receiver only."""
        return Guarantees(
            tell=Tell(Support.NATURAL, Delivery.AT_MOST_ONCE, Order.PER_SENDER, Acceptor.KERNEL),
            ask=Ask(Support.ABSENT),
            share=Share(Support.ABSENT),
            max_bytes=400,
        )

    def install(self, site: Site, schema: Schema) -> None:
        """Make the pipes."""
        for group in site.groups:
            os.mkfifo(site.folder / group)

    def sender(self, site: Site, schema: Schema, name: str) -> channel.Sender:
        """See `Channel.sender`."""
        return _FifoSender([site.folder / group for group in site.groups], schema)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> channel.Receiver:
        """See `Channel.receiver`."""
        return _FifoReceiver(site.folder / group, schema)

    def backlog(self, site: Site) -> Backlog | None:
        """Nobody can look into a pipe from outside."""
        return None


class _FifoSender(channel.Sender):
    def __init__(self, pipes: list[Path], schema: Schema) -> None:
        self._pipes = [os.open(path, os.O_RDWR) for path in pipes]  # both ends, so that opening waits for nobody
        self._schema = schema
        self._accepted: list[Outcome] = []

    def begin(self, operation: Operation) -> None:
        line = b"%d %s\n" % (operation.id, self._schema.encode(operation.body))
        for pipe in self._pipes:
            os.write(pipe, line)
        self._accepted.append(Outcome(operation.id, Status.ACCEPTED))

    def outcomes(self, timeout: float) -> list[Outcome]:
        if not self._accepted and timeout:
            time.sleep(timeout)
        accepted, self._accepted = self._accepted, []
        return accepted

    def close(self) -> None:
        for pipe in self._pipes:
            os.close(pipe)


class _FifoReceiver(channel.Receiver):
    def __init__(self, path: Path, schema: Schema) -> None:
        self._pipe, self._schema = os.open(path, os.O_RDWR), schema
        self._lines: list[bytes] = []
        self._rest = b""
        self.refused: list[str] = []

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        if not self._lines and select.select([self._pipe], [], [], timeout)[0]:
            *self._lines, self._rest = (self._rest + os.read(self._pipe, 1 << 16)).split(b"\n")
        taken, self._lines = self._lines[:limit], self._lines[limit:]
        return [_FifoDelivery(self._schema, line) for line in taken]

    def close(self) -> None:
        os.close(self._pipe)


class _FifoDelivery(channel.Delivery):
    attempt = 1

    def __init__(self, schema: Schema, line: bytes) -> None:
        identity, body = line.split(b" ", 1)
        self.operation = Operation(int(identity), "image_downloaded", schema.decode("image_downloaded", body))

    def reply(self, result: object) -> None:
        pass

    def settle(self) -> None:
        pass

    def release(self, delay: float = 0.0) -> None:
        raise BadArgument("release", expected="a channel that can take something back", got="a pipe")

    def set_aside(self, reason: str) -> None:
        pass
