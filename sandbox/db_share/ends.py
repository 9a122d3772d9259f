"""What the two ends have in common, whichever database lies between them.

A channel file adds how work reaches the database and when the other side notices.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import astuple

from sandbox import channel
from sandbox.channel import Outcome, Status
from sandbox.db_share import tables
from sandbox.db_share.pending import Pending
from sandbox.db_share.tables import Row, Step, Tables
from sandbox.errors import Malformed, NoSuchVolume, Refusal
from sandbox.exchange.schema import Message, Operation, Schema, Verb
from sandbox.guarantees import Acceptor, Ask, Guarantees, Order, Reads, Share, Support, Tell
from sandbox.guarantees import Delivery as Delivers
from sandbox.site import Site


def nothing() -> None:
    """What is done where nothing is to be done."""


def promised(has_it: Acceptor, most: int) -> Guarantees:
    """What both channels promise, whoever it is that has what was accepted; readers see every committed state."""
    return Guarantees(
        tell=Tell(Support.LAYERED, Delivers.AT_LEAST_ONCE, Order.PER_SENDER, has_it, True, Support.LAYERED),
        ask=Ask(Support.LAYERED, Delivers.AT_LEAST_ONCE, has_it, True),
        share=Share(Support.NATURAL, Reads.LATEST, has_it),
        max_bytes=most,
    )


class Knobs(Protocol):
    """The knobs that both channels have."""

    @property
    def lease(self) -> float:
        """Seconds after which a claim lapses."""

    @property
    def timeout(self) -> float:
        """Seconds after which an operation is UNKNOWN."""

    @property
    def max_bytes(self) -> int:
        """Longest encoded body that is taken."""


class Work(NamedTuple):
    """One begun operation: what carries it out (one statement, once per group), and the groups that it wakes."""

    operation: Operation
    message: Message
    steps: list[Step]
    groups: tuple[str, ...]


class Sender(channel.Sender):
    """Turns operations into statements and keeps account of what is open.

    looks, empty_looks   how often it has looked for answers, and how often there was none
    """

    def __init__(self, knobs: Knobs, site: Site, schema: Schema, name: str, rendered: Tables) -> None:
        self._knobs, self._site, self._schema, self._name, self._tables = knobs, site, schema, name, rendered
        self._pending = Pending(knobs.timeout)
        self._statements = rendered.sends()
        self._asks = schema.of_verb(Verb.ASK)
        self._unanswered: set[int] = set()  # also those reported UNKNOWN: their answers may still come
        self._trouble = ""  # what the database said when answers were looked for last
        self.late = self.looks = self.empty_looks = 0

    def begin(self, operation: Operation) -> None:
        """See `channel.Sender.begin`."""
        message = tables.check(self._schema, operation, self._knobs.max_bytes)
        work = self._work(message, operation)
        self._pending.add(operation.id, message.answer is not None)
        self._hand_over(work)

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`."""
        until = time.monotonic() + timeout
        while True:
            self._advance(0.0 if self._pending.has_reports or not timeout else self._pending.wait_at_most(until))
            if self._pending.has_reports or not timeout or time.monotonic() >= until:
                return self._pending.reports()

    @abstractmethod
    def _hand_over(self, work: Work) -> None:
        """Queue it for the next transaction; never waits."""

    @abstractmethod
    def _advance(self, wait: float) -> None:
        """Write what is queued, take in what has come, wait up to so many seconds for more."""

    def _params(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Values as the database takes them; `Malformed` for one that it cannot hold."""
        return tuple(values)

    def _work(self, message: Message, operation: Operation) -> Work:
        statement = self._statements.get(message.name) or self._tables.send(message)
        body = astuple(operation.body)
        if message.verb is Verb.SHARE:
            return Work(operation, message, [(statement, self._params(body))], ())
        groups = tables.groups(self._site, message)
        header = (operation.id, self._name)
        return Work(
            operation, message, [(statement, self._params((*header, group, *body))) for group in groups], groups
        )

    def _carried_out(self, work: Work, rows: Sequence[Row]) -> None:
        """Its transaction is committed; `rows` is what a read has found."""
        operation, message = work.operation, work.message
        if message.verb is Verb.ASK:
            self._unanswered.add(operation.id)
        if message.verb is not Verb.SHARE or message.answer is None:
            self._pending.accept(operation.id)
            return
        try:
            states = [tables.answer_of(self._schema, message, row) for row in rows]
        except Malformed as error:
            self._pending.end(operation.id, Status.FAILED, str(error))
        else:
            self._pending.answer(operation.id, states[0] if states else NoSuchVolume(f"no state for {operation.body}"))

    def _complain(self, complaint: str) -> None:
        self._trouble = complaint

    def _no_outcome(self) -> str:
        """Why an operation whose time is up is reported UNKNOWN."""
        late = f"no outcome within {self._knobs.timeout} s"
        return f"{late}; answers cannot be fetched: {self._trouble}" if self._trouble else late

    def _looked(self, found: int) -> None:
        self.looks += 1
        self.empty_looks += not found

    def _answered(self, message: Message, row: Row) -> None:
        """An answer was fetched from its table."""
        operation = row.get("operation")
        if not isinstance(operation, int):
            return  # a stranger's row: it answers nothing
        self._unanswered.discard(operation)
        try:
            if not self._pending.answer(operation, tables.answer_of(self._schema, message, row)):
                self.late += 1
        except Malformed as error:
            self._pending.end(operation, Status.UNKNOWN, str(error))


class Queue:
    """The table of one message, and what a receiver says to it."""

    def __init__(self, rendered: Tables, message: Message) -> None:
        self.message, self.table = message, rendered.name(message.name)
        self.columns = tuple(tables.body_columns(message))
        self.kinds = {"seq": int, "operation": int, "attempts": int, **tables.body_columns(message)}
        self.answer = rendered.answer(message) if message.answer else None
        self.settle, self.release = rendered.settle(message), rendered.release(message)


class Receiver(channel.Receiver):
    """Turns rows into deliveries; rows that are no message of the schema are set aside.

    looks, empty_looks   how often it has looked for rows, and how often it got none: what polling wastes
    """

    def __init__(self, knobs: Knobs, schema: Schema, group: str, name: str, rendered: Tables) -> None:
        self._knobs, self._schema, self.group, self.name = knobs, schema, group, name
        self._queues = [Queue(rendered, message) for message in tables.queues(schema, group)]
        self._bury = rendered.set_aside()
        self.refused: list[str] = []
        self.looks = self.empty_looks = 0

    @abstractmethod
    def carry_out(self, steps: list[Step], wake: str | None = None) -> None:
        """Do this at once, as one transaction, and wake whoever is called so."""

    @abstractmethod
    def carry_out_later(self, queue: Queue, seq: int) -> None:
        """Settle this row with the next claim."""

    @abstractmethod
    def moment(self, delay: float) -> float:
        """What stands for a point in time so many seconds from now."""

    def bury(self, queue: Queue, row: Row, reason: str) -> None:
        """Move a row to the dead letters."""
        letter = tables.dead_letter_values(queue.message, row, reason.replace("\0", "")[:1000])
        self.carry_out([(queue.settle, (self.group, row["seq"])), (self._bury, letter)])

    def _complain(self, complaint: str) -> None:
        """Note something that the database has refused, once."""
        if complaint not in self.refused:
            self.refused.append(complaint)

    def _accept(self, queue: Queue, rows: Sequence[Row]) -> list[channel.Delivery]:
        self.looks += 1
        self.empty_looks += not rows
        taken: list[channel.Delivery] = []
        for row in sorted(rows, key=lambda row: row["seq"]):
            try:
                operation, sender = tables.operation_of(self._schema, queue.message, queue.columns, row)
            except Malformed as error:
                self.refused.append(str(error))
                self.bury(queue, row, str(error))
            else:
                taken.append(Delivery(self, queue, operation, sender, row))
        return taken


class Delivery(channel.Delivery):
    """One claimed row."""

    def __init__(self, receiver: Receiver, queue: Queue, operation: Operation, sender: str, row: Row) -> None:
        self.operation, self.attempt = operation, row["attempts"]
        self._receiver, self._queue, self._sender, self._row = receiver, queue, sender, row

    def reply(self, result: Struct | Refusal) -> None:
        """See `channel.Delivery.reply`: a row for the asker, at once."""
        if self._queue.answer is not None:
            values = tables.answer_values(self._queue.message, result)
            answer = (self.operation.id, self._sender, *values)
            self._receiver.carry_out([(self._queue.answer, answer)], wake=self._sender)

    def settle(self) -> None:
        """See `channel.Delivery.settle`: the row is deleted with the next claim."""
        self._receiver.carry_out_later(self._queue, self._row["seq"])

    def release(self, delay: float = 0.0) -> None:
        """See `channel.Delivery.release`. Leaves a row alone whose lease has lapsed and that another has claimed."""
        receiver = self._receiver
        claim = (receiver.moment(delay), receiver.group, self._row["seq"], receiver.name, self.attempt)
        receiver.carry_out([(self._queue.release, claim)], wake=receiver.group)

    def set_aside(self, reason: str) -> None:
        """See `channel.Delivery.set_aside`."""
        self._receiver.bury(self._queue, self._row, reason)
