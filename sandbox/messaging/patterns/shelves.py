"""Where the dead letters of a channel lie: every medium keeps them in its own way.

A further channel is added by registering a shelf: ``shelf_of.register(MyChannel)``.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sandbox.channel import Channel, Envelope
from sandbox.db_share import postgres, sqlite
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.db_share.tables import QUEUE
from sandbox.errors import BadArgument
from sandbox.exchange.codec import JSON, MSGPACK
from sandbox.exchange.schema import UNREADABLE
from sandbox.file_share.spool import Spool
from sandbox.messaging.connection import CONNECT, Address, Word, open_line
from sandbox.messaging.entries import Keys
from sandbox.messaging.streams import Streams
from sandbox.site import Site

#: whoever set it aside may have been unable to read it because its sender had the other codec
_ENVELOPES = [codec.decoder(Envelope) for codec in (JSON, MSGPACK)]
_REASON = ".reason"


class DeadLetter(NamedTuple):
    """One message that was set aside. Written by whoever could reach the medium: nothing in it is checked.

    key      where it lies in the medium
    group    the group for whom it was set aside, and why: `reason`
    id, message, payload   of the operation as far as they can be read, else 0, "" and all there is
    """

    key: str
    group: str
    reason: str
    id: int
    message: str
    payload: bytes


class Shelf(ABC):
    """Where one channel keeps its dead letters."""

    def __init__(self, channel: Channel, site: Site) -> None:
        self.channel, self.site = channel, site

    @abstractmethod
    def letters(self) -> list[DeadLetter]:
        """All of them."""

    @abstractmethod
    def remove(self, letter: DeadLetter) -> None:
        """Take one away; one that is gone already is fine."""


@functools.singledispatch
def shelf_of(channel: Channel, site: Site) -> Shelf:
    """The shelf of a channel, or `BadArgument` where there is none to look at."""
    known = ", ".join(kind.title() for kind in shelf_of.registry if kind is not object)
    raise BadArgument("channel", expected=f"one whose dead letters can be read ({known})", got=channel.title())


@shelf_of.register(Streams)
class _Stream(Shelf):
    def letters(self) -> list[DeadLetter]:
        found = self._call("XRANGE", Keys.of(self.site).dead, "-", "+")
        return [_of_entry(key.decode(), dict(zip(flat[::2], flat[1::2], strict=False))) for key, flat in found]

    def remove(self, letter: DeadLetter) -> None:
        self._call("XDEL", Keys.of(self.site).dead, letter.key)

    def _call(self, *command: Word) -> Any:
        with closing(open_line(Address.parse(self.site.address(self.channel.needs[0])), CONNECT)) as line:
            return line.call(*command)


def _of_entry(key: str, fields: dict[bytes, bytes]) -> DeadLetter:
    text = {name: fields.get(name, b"").decode(errors="replace") for name in (b"group", b"reason", b"event")}
    number = fields.get(b"id", b"")
    identity = int(number) if number.isdigit() and len(number) < 20 else 0
    return DeadLetter(key, text[b"group"], text[b"reason"], identity, text[b"event"], fields.get(b"payload", b""))


@shelf_of.register(Spool)
class _Folders(Shelf):
    def letters(self) -> list[DeadLetter]:
        return [
            _of_file(path)
            for dead in sorted(self.site.folder.rglob("dead"))
            for path in sorted(dead.iterdir())
            if path.is_file() and path.suffix != _REASON
        ]

    def remove(self, letter: DeadLetter) -> None:
        Path(letter.key).unlink(missing_ok=True)
        Path(letter.key + _REASON).unlink(missing_ok=True)


def _of_file(path: Path) -> DeadLetter:
    reason, data = "", path.read_bytes()
    with suppress(OSError, *UNREADABLE):  # a full disk may have cost the reason
        reason = str(msgspec.json.decode(Path(f"{path}{_REASON}").read_bytes(), type=dict[str, str])["reason"])
    group = path.parent.parent.name.removeprefix("tell.")
    for decode in _ENVELOPES:
        with suppress(*UNREADABLE):
            envelope = decode(data)
            return DeadLetter(str(path), group, reason, envelope.id, envelope.message, bytes(envelope.body))
    return DeadLetter(str(path), group, reason, 0, "", data)


@shelf_of.register(CompareAndSwap)
class _Table(Shelf):
    def letters(self) -> list[DeadLetter]:
        with closing(sqlite.connect(self.site)) as db:
            return [_of_row(*row) for row in db.execute(_LETTERS.format("dead_letters"))]

    def remove(self, letter: DeadLetter) -> None:
        with closing(sqlite.connect(self.site)) as db, sqlite.transaction(db, patience=5.0):
            db.execute("DELETE FROM dead_letters WHERE seq = ?", (int(letter.key),))


@shelf_of.register(SkipLocked)
class _ServerTable(Shelf):
    def letters(self) -> list[DeadLetter]:
        with postgres.connect(self.site) as db:
            found = db.execute(_LETTERS.format(self._table).encode()).fetchall()
        return [_of_row(*row) for row in found]

    def remove(self, letter: DeadLetter) -> None:
        with postgres.connect(self.site) as db:
            db.execute(f"DELETE FROM {self._table} WHERE seq = %s".encode(), (int(letter.key),))

    @property
    def _table(self) -> str:
        return f'"{self.site.name}".dead_letters'


_LETTERS = "SELECT seq, grp, reason, operation, message, content FROM {} ORDER BY seq"


def _of_row(seq: int, group: str, reason: str, operation: str, message: str, content: str) -> DeadLetter:
    body = {name: value for name, value in msgspec.json.decode(content).items() if name not in QUEUE}
    identity = int(operation) if (operation or "").isdigit() else 0
    return DeadLetter(str(seq), group, reason, identity, message, msgspec.json.encode(body))
