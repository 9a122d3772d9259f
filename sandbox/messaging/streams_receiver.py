"""The receiving end of `Streams`."""

from __future__ import annotations

import heapq
import time
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec import Struct

from sandbox import channel
from sandbox.errors import BadArgument, ConnectionLost, Definite, Refusal, RunFailed
from sandbox.exchange.schema import Operation, Schema, Verb
from sandbox.messaging.connection import CONNECT, PAUSE, RECONNECT, Address, Line, Refused, Word, open_line, wait
from sandbox.messaging.entries import Keys, add_event, dead_letter, entries, read_event, read_operation
from sandbox.messaging.pending import LONGEST, Scan, give_back

#: seconds beyond its timeout that `take` allows the broker for a response that is under way
_GRACE = 0.25
#: tags of the commands whose responses matter; everything else is tagged with the command itself
_READ, _SCAN, _CLAIM = "read", "scan", "claim"
#: how refusals begin that will pass: the disk or the memory is full, or the broker is still loading its file
_FOR_NOW = ("MISCONF", "OOM", "LOADING")


class Place(NamedTuple):
    """Which stream a receiver reads, for whom."""

    keys: Keys
    verb: Verb
    group: str
    name: str
    lease: float

    @property
    def stream(self) -> str:
        """The stream of its verb."""
        return self.keys.stream(self.verb)


class Receiver(channel.Receiver):
    """One line. At most one read or look at others' claims is under way; all else is sent without waiting.

    When the broker is gone, `take` waits for it and returns nothing. What was settled or answered
    meanwhile is sent when it is back, and what was on its way is sent again: doing it twice is harmless.
    """

    def __init__(self, address: Address, place: Place, schema: Schema, max_bytes: int) -> None:
        self._address, self._place, self._schema, self._max_bytes = address, place, schema, max_bytes
        self._stream, self._group = place.stream, place.group
        self._scan = Scan(self._stream, self._group, place.name, place.lease)
        self._line: Line | None = open_line(address, CONNECT)
        self._next_attempt = 0.0
        self._limit = 1
        self._under_way = self._empty = False
        self._next_scan = 0.0
        self._due: list[float] = []
        self._chosen: dict[bytes, int] = {}
        self._claimed: deque[channel.Delivery] = deque()
        self._settled: list[bytes] = []
        self._again: list[tuple[Word, ...]] = []
        self.refused: list[str] = []

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`. Raises `RunFailed` when the broker has no such stream or group (any more)."""
        deadline = time.monotonic() + timeout
        self._limit, self._empty = limit, False
        while not self._claimed:
            left = deadline - time.monotonic()
            if self._line is None:
                self._reconnect(left)
                if self._line is None and left <= 0:
                    break
            elif left <= -_GRACE or (left <= 0 and self._empty):
                break
            else:
                self._go_on(self._line, left)
        claimed = self._claimed
        return [claimed.popleft() for _ in range(min(limit, len(claimed)))]

    def close(self) -> None:
        """See `channel.Receiver.close`. Waits up to 1 s for the broker to settle."""
        end = time.monotonic() + 1
        if self._line is None:
            self._reconnect(0)
        if self._line is not None:
            self._put_settled(self._line)
            self._flush(self._line)
        while self._line is not None and self._line.open and (left := end - time.monotonic()) > 0:
            wait([self._line], left)
            self._receive(self._line)
        if self._line is not None:
            self._line.close()
            self._line = None

    # --- for deliveries ---------------------------------------------------------------------

    def settle(self, entry: bytes) -> None:
        """Settle in the same write as the next read."""
        self._settled.append(entry)

    def reply(self, sender: str, operation: Operation, result: Struct | Refusal) -> None:
        """Send an answer now; nobody waits for one to a tell."""
        if self._place.verb is not Verb.ASK:
            return
        stream, version = self._place.keys.answers_to(sender), self._schema.version
        payload = self._schema.encode_answer(result)
        self._post(add_event(stream, operation.message, operation.id, self._place.name, version, payload))

    def give_back(self, entry: bytes, delay: float) -> None:
        """Leave it to whoever looks for claims to take over after `delay` s: this receiver will look then."""
        self._post(give_back(self._stream, self._group, entry, delay))
        due = time.monotonic() + delay + 0.002  # the broker counts in whole ms
        heapq.heappush(self._due, due)
        self._next_scan = min(self._next_scan, due)

    def set_aside(self, entry: bytes, fields: list[bytes], reason: str) -> None:
        """First into the dead letter channel, then settled: whoever dies between does it twice, not never."""
        self._post(dead_letter(self._place.keys, self._stream, self._group, entry, fields, reason))
        self._post(("XACK", self._stream, self._group, entry))

    # --- what goes out ------------------------------------------------------------------------

    def _go_on(self, line: Line, left: float) -> None:
        """See to it that a read or a scan is under way, and take in what comes."""
        if not self._under_way:
            self._under_way = True
            self._put_settled(line)
            until_scan = self._next_scan - time.monotonic()
            if until_scan <= 0:
                line.put(_SCAN, self._scan.command())
            else:
                line.put(_READ, self._read(min(left, until_scan)))
            self._flush(line)
        wait([line], left + _GRACE)
        self._receive(line)

    def _read(self, patience: float) -> tuple[Word, ...]:
        block = ("BLOCK", max(1, round(patience * 1000))) if patience > 0 else ()  # 0 would mean for ever
        whose = ("GROUP", self._group, self._place.name)
        return ("XREADGROUP", *whose, "COUNT", self._limit, *block, "STREAMS", self._stream, ">")

    def _put_settled(self, line: Line) -> None:
        if self._settled:
            command: tuple[Word, ...] = ("XACK", self._stream, self._group, *self._settled)
            line.put(command, command)
            self._settled.clear()

    def _post(self, command: tuple[Word, ...]) -> None:
        """Send a command whose response nobody waits for; without a connection, as soon as there is one."""
        if self._line is None:
            self._again.append(command)
        else:
            self._line.put(command, command)
            self._flush(self._line)

    def _flush(self, line: Line) -> None:
        with suppress(ConnectionLost):  # reading finds out as well, and first finds what had come before
            line.flush()

    # --- what comes in ------------------------------------------------------------------------

    def _receive(self, line: Line) -> None:
        try:
            responses = line.receive()
        except ConnectionLost:
            self._lose(line)
            return
        for tag, response in responses:
            if isinstance(tag, tuple):
                continue  # posted: a refusal would change nothing here, the asker's patience or the lease decides
            if isinstance(response, Refused):
                self._under_way = False
                if str(response).startswith(_FOR_NOW):
                    time.sleep(PAUSE)
                    continue
                raise RunFailed(f"the broker does not let {self._place.name} read {self._stream}: {response}")
            if tag is _SCAN:
                self._take_over(line, response)
            else:
                self._under_way = False
                if tag is _CLAIM:
                    self._deliver([item for item in response if item and item[1]])
                else:
                    self._empty = not response
                    self._deliver(entries(response))

    def _take_over(self, line: Line, page: list[Any]) -> None:
        """Claim what may be taken over, and settle when to look again."""
        now = time.monotonic()
        while self._due and self._due[0] <= now:
            heapq.heappop(self._due)
        self._chosen, more = self._scan.found(page, self._limit)
        self._next_scan = now if more else min([now + self._place.lease / 4, *self._due[:1]])
        if self._chosen:
            line.put(_CLAIM, self._scan.take_over(self._chosen))
            self._flush(line)
        else:
            self._under_way = False

    def _deliver(self, claimed: list[tuple[bytes, list[bytes]]]) -> None:
        for entry, fields in claimed:
            try:
                event = read_event(fields, self._max_bytes)
                operation = read_operation(self._schema, self._place.verb, event)
            except Definite as error:
                self.refused.append(str(error))
                self.set_aside(entry, fields, str(error))
            else:
                attempt = self._chosen.get(entry, 0) + 1
                self._claimed.append(Delivery(self, entry, fields, event.sender, operation, attempt))

    # --- a broken connection --------------------------------------------------------------------

    def _lose(self, line: Line) -> None:
        self._line, self._under_way = None, False
        self._again += [tag for tag in line.open if isinstance(tag, tuple)]

    def _reconnect(self, left: float) -> None:
        """One attempt, or the pause before the next."""
        pause = self._next_attempt - time.monotonic()
        if pause > 0:
            time.sleep(max(0, min(pause, left)))
            return
        self._next_attempt = time.monotonic() + PAUSE
        with suppress(ConnectionLost):
            self._line = line = Line(self._address, RECONNECT)
            for command in self._again:
                line.put(command, command)
            self._again.clear()
            line.flush()


class Delivery(channel.Delivery):
    """An entry that is pending for this receiver."""

    def __init__(
        self, receiver: Receiver, entry: bytes, fields: list[bytes], sender: str, operation: Operation, attempt: int
    ) -> None:
        self.operation, self.attempt = operation, attempt
        self._receiver, self._entry, self._fields, self._sender = receiver, entry, fields, sender

    def reply(self, result: Struct | Refusal) -> None:
        """See `channel.Delivery.reply`. Sent at once; sent again if the connection breaks before it was confirmed."""
        self._receiver.reply(self._sender, self.operation, result)

    def settle(self) -> None:
        """See `channel.Delivery.settle`. Carried out with the next `take`."""
        self._receiver.settle(self._entry)

    def release(self, delay: float = 0.0) -> None:
        """See `channel.Delivery.release`. Up to a day; other receivers look for it every quarter of a lease."""
        if not 0 <= delay <= LONGEST:
            raise BadArgument("delay", expected=f"0 to {LONGEST:g} s", got=delay)
        self._receiver.give_back(self._entry, delay)

    def set_aside(self, reason: str) -> None:
        """See `channel.Delivery.set_aside`. A stream of its own keeps the entry, with the reason and its origin."""
        self._receiver.set_aside(self._entry, self._fields, reason)
