"""The sending end of `Streams`."""

from __future__ import annotations

import time
from typing import NamedTuple

from sandbox import channel
from sandbox.channel import Outcome, Status
from sandbox.errors import ConnectionLost, Definite, Malformed, TooLarge
from sandbox.exchange.schema import Operation, Schema, Verb
from sandbox.messaging.connection import CONNECT, PAUSE, RECONNECT, Address, Line, Refused, open_line, wait
from sandbox.messaging.entries import Event, Keys, Packer, read_event
from sandbox.messaging.follower import Follower, Replica


class _Route(NamedTuple):
    """How one message travels."""

    message: str
    verb: Verb
    packer: Packer


class Sender(channel.Sender):
    """One line for what it sends, and one follower each for the answers to it and for the states.

    When the broker is gone, what is on its way is reported UNKNOWN and what comes after FAILED, without an
    attempt to send it. `outcomes` gets the connection back, as soon as it can.

    ignored  entries in its stream of answers that are none
    """

    def __init__(self, address: Address, keys: Keys, schema: Schema, name: str, timeout: float, max_bytes: int) -> None:
        self._address, self._schema, self._name = address, schema, name
        self._timeout, self._max_bytes = timeout, max_bytes
        self._routes = {
            m.name: _Route(m.name, m.verb, Packer(keys.stream(m.verb), m.name, name, schema.version))
            for m in schema.messages.values()
        }
        self._reading = {m.name for m in schema.of_verb(Verb.SHARE) if m.answer is not None}
        self._line: Line | None = open_line(address, CONNECT)
        self._answers = Follower(address, keys.answers_to(name), open_line(address, CONNECT))
        self._answers.start()
        self._states = Follower(address, keys.states, open_line(address, CONNECT))
        self._replica = Replica(schema, max_bytes)
        self._reads: dict[int, Operation] = {}
        self._open: dict[int, tuple[_Route, float]] = {}  #: with its deadline
        self._given_up: dict[int, Verb] = {}
        self._ready: list[Outcome] = []
        self._next_attempt = 0.0
        self.ignored = 0

    def begin(self, operation: Operation) -> None:
        """See `channel.Sender.begin`. What the kernel does not take at once is kept for `outcomes` to send."""
        name, identity = operation.message, operation.id
        if name in self._reading:
            self._begin_read(operation)
            return
        route = self._routes.get(name)
        if route is None:
            self._schema.message(name)  # raises, and says which there are
            return
        payload = self._schema.encode(operation.body)
        if len(payload) > self._max_bytes:
            raise TooLarge(f"{name}: {len(payload)} bytes, at most {self._max_bytes} are taken")
        line = self._line
        try:
            if line is None:
                raise ConnectionLost("there is no connection to the broker")
            line.send(identity, route.packer.pack(identity, payload))
        except ConnectionLost as lost:
            self._ready.append(Outcome(identity, Status.FAILED, reason=str(lost)))
        else:
            self._open[identity] = route, time.monotonic() + self._timeout

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`."""
        end = time.monotonic() + timeout
        left = 0.0 if self._ready else timeout
        while True:
            self._look(left)
            if self._ready:
                ready, self._ready = self._ready, []
                return ready
            left = end - time.monotonic()
            if left <= 0:
                return []

    def close(self) -> None:
        """See `channel.Sender.close`."""
        for line in self._lines():
            line.close()

    # --- what comes back ----------------------------------------------------------------------

    def _lines(self) -> list[Line]:
        return [line for line in (self._line, self._answers.line, self._states.line) if line is not None]

    def _look(self, timeout: float) -> None:
        """Wait up to `timeout` s for something to come, and take it in."""
        lines = self._lines()
        if len(lines) < 3:
            timeout = min(timeout, PAUSE)
        for line in wait(lines, self._until_next_deadline(timeout)):
            if line is self._line:
                self._take_responses(line)
            elif line is self._answers.line:
                for fields in self._answers.receive():
                    self._take_answer(fields)
            else:
                self._fold()
        if len(lines) < 3:
            self._reconnect()
        self._give_up()

    def _take_responses(self, line: Line) -> None:
        try:
            responses = line.receive()
        except ConnectionLost as lost:
            self._lose(line, str(lost))
            return
        known, ready = self._open, self._ready
        for identity, response in responses:
            if isinstance(response, Refused):
                self._finish(identity, Status.FAILED, f"the broker refused it: {response}")
            elif identity in known:
                if known[identity][0].verb is not Verb.ASK:
                    del known[identity]
                ready.append(Outcome(identity, Status.ACCEPTED))
            elif self._given_up.get(identity) is not Verb.ASK:  # of an ask, the answer is what can be late
                self._count_late(identity)

    def _take_answer(self, fields: list[bytes]) -> None:
        try:
            event = read_event(fields, self._max_bytes)
        except Malformed:
            self.ignored += 1
            return
        route, _ = self._open.get(event.id, (None, 0.0))
        if route is not None and route.message == event.event and route.verb is Verb.ASK:
            self._answer(event)
        elif not self._count_late(event.id):
            self.ignored += 1

    def _answer(self, event: Event) -> None:
        del self._open[event.id]
        try:
            answer = self._schema.decode_answer(event.event, event.payload)
        except (Definite, RecursionError) as error:
            self._given_up[event.id] = Verb.ASK
            self._ready.append(Outcome(event.id, Status.UNKNOWN, reason=f"an answer came that is none: {error}"))
        else:
            self._ready.append(Outcome(event.id, Status.ANSWERED, answer))

    def _count_late(self, identity: int) -> bool:
        if self._given_up.pop(identity, None) is None:
            return False
        self.late += 1
        return True

    # --- reading states -------------------------------------------------------------------------

    def _begin_read(self, operation: Operation) -> None:
        """Answer from the replica, once it has caught up with what lay in the stream."""
        self._states.start()
        self._reads[operation.id] = operation
        self._open[operation.id] = self._routes[operation.message], time.monotonic() + self._timeout
        self._fold()

    def _fold(self) -> None:
        """Fold in what the broker has pushed, and answer the reads that waited for it."""
        for fields in self._states.receive():
            self._replica.fold(fields)
        if not self._states.caught_up or not self._reads:
            return
        for operation in self._reads.values():
            del self._open[operation.id]
            try:
                answer = self._replica.answer(operation.message, operation.body)
            except Malformed as error:
                self._ready.append(Outcome(operation.id, Status.FAILED, reason=str(error)))
            else:
                self._ready.append(Outcome(operation.id, Status.ANSWERED, answer))
        self._reads.clear()

    # --- what does not come back ----------------------------------------------------------------

    def _until_next_deadline(self, timeout: float) -> float:
        for _, deadline in self._open.values():
            return min(timeout, deadline - time.monotonic())
        return timeout

    def _give_up(self) -> None:
        """Report the operations whose time is over. The oldest come first, and all have the same time."""
        now = time.monotonic()
        while self._open:
            identity, (_, deadline) = next(iter(self._open.items()))
            if deadline > now:
                return
            if self._reads.pop(identity, None) is not None:  # reading changes nothing
                self._finish(identity, Status.FAILED, f"the states could not be read within {self._timeout:g} s")
            else:
                self._finish(identity, Status.UNKNOWN, f"no outcome within {self._timeout:g} s")

    def _finish(self, identity: int, status: Status, reason: str) -> None:
        if identity not in self._open:
            return
        route, _ = self._open.pop(identity)
        if status is Status.UNKNOWN:
            self._given_up[identity] = route.verb
        self._ready.append(Outcome(identity, status, reason=reason))

    def _lose(self, line: Line, reason: str) -> None:
        """An ask that was accepted stays open: its answer may still come."""
        self._line = None
        for identity in line.open:
            self._finish(identity, Status.UNKNOWN, reason)

    def _reconnect(self) -> None:
        """Try to get back what is lost, but not all the time."""
        now = time.monotonic()
        if now < self._next_attempt:
            return
        self._next_attempt = now + PAUSE
        if self._line is None:
            try:
                self._line = Line(self._address, RECONNECT)
            except ConnectionLost:
                return
        for follower in (self._answers, self._states):
            if follower.line is None:
                follower.reconnect(RECONNECT)
