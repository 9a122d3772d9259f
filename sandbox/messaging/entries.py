"""What an event looks like in a stream, and which entries are refused.

    event    name of the message                    sender   return address: names the stream for the answer
    id       id of the operation, which is the      version  the sender's schema version
             correlation identifier of the answer   payload  the body, or the answer, encoded

Whoever can reach the broker can add any entry, so each one is read as if a stranger had written it.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from msgspec import Struct

from sandbox.errors import Malformed
from sandbox.exchange.schema import Operation, Schema, Verb
from sandbox.messaging.connection import Word, pack
from sandbox.site import Site

#: longest name of an event or a sender
LONGEST_NAME = 100
_LARGEST_ID = 2**63 - 1


class Keys(NamedTuple):
    """The keys of one run, all below its name."""

    tells: str
    asks: str
    states: str
    dead: str
    answers: str
    pattern: str

    @classmethod
    def of(cls, site: Site) -> Keys:
        """Keys for a site; its name has no character that is special in a pattern."""
        names = ("tells", "asks", "states", "dead", "answers:", "*")
        return cls(*(f"{site.name}:{name}" for name in names))

    def stream(self, verb: Verb) -> str:
        """The stream that carries a verb."""
        return {Verb.TELL: self.tells, Verb.ASK: self.asks, Verb.SHARE: self.states}[verb]

    def answers_to(self, sender: str) -> str:
        """The stream for the answers to one sender."""
        return self.answers + sender


class Event(Struct, gc=False):
    """An entry whose fields are all there and fit; its payload is still encoded."""

    event: str
    id: int
    sender: str
    payload: bytes


def add_event(stream: str, event: str, number: int, sender: str, version: str, payload: bytes) -> tuple[Word, ...]:
    """The command that appends an event to a stream."""
    fields = ("event", event, "id", number, "sender", sender, "version", version, "payload", payload)
    return ("XADD", stream, "*", *fields)


class Packer:
    """Packs the events of one message and one sender: what is always the same is packed once.

    Makes the bytes of `add_event` in a quarter of the time, which a sender at full speed notices.
    """

    def __init__(self, stream: str, event: str, sender: str, version: str) -> None:
        command = add_event(stream, event, 0, sender, version, b"")
        self._head = b"*%d\r\n" % len(command) + _words(command[:6])  # up to the id, which changes
        self._middle = _words(command[7:-1])  # on to the payload, which changes too

    def pack(self, number: int, payload: bytes) -> bytes:
        """The command that appends one event, as bytes."""
        digits = b"%d" % number
        id_and_on = (len(digits), digits, self._middle, len(payload), payload)
        return self._head + b"$%d\r\n%b\r\n%b$%d\r\n%b\r\n" % id_and_on


def read_event(fields: list[bytes], max_bytes: int) -> Event:
    """The event in the fields of an entry, or `Malformed` with the field and the reason."""
    word = iter(fields)
    found = dict(zip(word, word, strict=False))
    try:
        number, payload = found[b"id"], found[b"payload"]
        event, sender = found[b"event"], found[b"sender"]
    except KeyError as missing:
        raise Malformed(f"an entry without the field {missing.args[0].decode()!r}") from None
    if not number.isdigit() or len(number) > 19 or (identity := int(number)) > _LARGEST_ID:
        raise Malformed(f"id: expected a whole number up to {_LARGEST_ID}, got {number[:40]!r}")
    if len(payload) > max_bytes:
        raise Malformed(f"payload: {len(payload)} bytes, at most {max_bytes} are taken")
    return Event(_name("event", event), identity, _name("sender", sender), payload)


def read_operation(schema: Schema, verb: Verb, event: Event) -> Operation:
    """The operation that an event carries; `UnknownMessage` or `Malformed` with the reason."""
    message = schema.message(event.event)
    if message.verb is not verb:
        raise Malformed(f"{event.event} is a {message.verb}, and came over the stream for each {verb}")
    try:
        return Operation(event.id, event.event, schema.decode(event.event, event.payload))
    except RecursionError:
        raise Malformed(f"not a {event.event}: nested too deeply") from None


def dead_letter(
    keys: Keys, stream: str, group: str, entry: bytes, fields: list[bytes], reason: str
) -> tuple[Word, ...]:
    """The command that appends an entry, with where it came from and why, to the dead letter channel.

    Fields of more than 4 MiB together are left out; the stream still has them, under the same entry id.
    """
    why = ("reason", reason.encode(errors="replace")[:1000], "stream", stream, "group", group, "entry", entry)
    kept = fields if sum(map(len, fields)) <= 1 << 22 else []
    return ("XADD", keys.dead, "*", *why, *kept)


def entries(response: Any) -> list[tuple[bytes, list[bytes]]]:
    """Entry id and fields of each entry, from the response to a read of one stream."""
    return response[0][1] if response else []


def _words(words: tuple[Word, ...]) -> bytes:
    """Words as they stand in a packed command, without the count that begins it."""
    return pack(words).partition(b"\r\n")[2]


@functools.lru_cache(4096)  # the same few names come in every entry
def _name(field: str, value: bytes) -> str:
    if not 0 < len(value) <= LONGEST_NAME or not value.isascii() or not value.decode().isprintable():
        raise Malformed(f"{field}: expected 1 to {LONGEST_NAME} printable characters, got {value[:40]!r}")
    return value.decode()
