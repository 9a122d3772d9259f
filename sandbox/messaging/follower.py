"""Reading a stream as it grows, without consumer groups: every reader sees every entry.

A sender follows the stream of its answers, and folds the stream of states into a replica of its own.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from sandbox.errors import ConnectionLost, Definite, NoSuchVolume, Refusal
from sandbox.exchange.schema import Schema, Verb
from sandbox.messaging.connection import Address, Line, Refused
from sandbox.messaging.entries import entries, read_event, read_operation

_BATCH = 256


class Follower:
    """Follows one stream from its start, on a connection of its own, because a blocking read occupies it.

    line       the connection; None while there is none
    caught_up  everything that lay in the stream when it began has been read
    """

    def __init__(self, address: Address, stream: str, line: Line) -> None:
        self.line: Line | None = line
        self.caught_up = False
        self._address, self._stream = address, stream
        self._last: bytes = b"0"
        self._started = False

    def start(self) -> None:
        """Begin to read; from then on a read is always under way."""
        if not self._started:
            self._started = True
            self._read()

    def receive(self) -> list[list[bytes]]:
        """The fields of each entry that has come. Never waits; a broken connection is dropped."""
        found: list[list[bytes]] = []
        if self.line is None:
            return found
        try:
            for _, response in self.line.receive():
                if isinstance(response, Refused):
                    self.drop()
                elif response:
                    for entry, fields in entries(response):
                        self._last = entry
                        found.append(fields)
                    self._read()
                else:  # to a read that does not block: there is no more
                    self.caught_up = True
                    self._read()
        except ConnectionLost:
            self.drop()
        return found

    def reconnect(self, timeout: float) -> None:
        """Try once to get a connection, within about `timeout` s, and go on where the broken one ended."""
        try:
            self.line = Line(self._address, timeout)
        except ConnectionLost:
            return
        if self._started:
            self._read()

    def drop(self) -> None:
        """Close the connection."""
        if self.line is not None:
            self.line.close()
            self.line = None

    def _read(self) -> None:
        if self.line is None:
            return
        block = ("BLOCK", 0) if self.caught_up else ()
        self.line.put(None, ("XREAD", "COUNT", _BATCH, *block, "STREAMS", self._stream, self._last))
        try:
            self.line.flush()
        except ConnectionLost:
            self.drop()


class Replica:
    """The states as one reader knows them: what has been folded in so far, which may be stale but never goes back.

    ignored  entries of the stream that are no states of the schema
    """

    def __init__(self, schema: Schema, max_bytes: int) -> None:
        self.ignored = 0
        self._schema, self._max_bytes = schema, max_bytes
        self._states: dict[int, dict[str, Any]] = {}

    def fold(self, fields: list[bytes]) -> None:
        """Take in one entry, unless a later version of that state is known already."""
        try:
            event = read_event(fields, self._max_bytes)
            body = read_operation(self._schema, Verb.SHARE, event).body
            state = msgspec.structs.asdict(body)
            volume, version = state["volume"], state["version"]
        except (Definite, KeyError):
            self.ignored += 1
            return
        known = self._states.get(volume)
        if known is None or known["version"] < version:
            self._states[volume] = state

    def answer(self, message: str, body: Struct) -> Struct | Refusal:
        """What is known of a volume, or `NoSuchVolume`. Raises `Malformed` where the schema cannot say it."""
        volume = msgspec.structs.asdict(body).get("volume", -1)
        state = self._states.get(volume)
        if state is None:
            return NoSuchVolume(f"volume {volume} has no state yet")
        return self._schema.convert_answer(message, state)
