"""The tables of a schema, rendered from its messages: a field is a column, never one opaque document.

    image_downloaded       one row per group told; columns of the queue, then those of the message
    create_volume          the same for a request, in the one group of those who answer
    create_volume_answer   an answer, or the kind and reason of a refusal, until its asker fetches it
    volume_state           shared state: the columns of the answer to a read, found by those of the read
    dead_letters           what was set aside, as a document, with the reason

What is read is read by the names of the columns: one more does not disturb, one fewer is refused.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from sandbox.channel import ASK_GROUP, OWNER_GROUP
from sandbox.errors import BadArgument, Malformed, Refusal, TooLarge
from sandbox.exchange.schema import Message, Operation, Schema, Verb, Whole, refusal
from sandbox.site import Site

#: columns that a queue adds to those of its message. A row can be claimed from `visible_at` on: that is
#: the end of its lease while `claimed_by` names somebody, and the end of a delay otherwise.
QUEUE = ("seq", "operation", "sender", "grp", "attempts", "claimed_by", "visible_at")
#: columns that a table of answers adds to those of the answer
ANSWER = ("seq", "operation", "sender", "refused", "reason")
#: columns of the dead letters
DEAD_LETTER = ("message", "operation", "sender", "grp", "content", "reason")

Row = Mapping[str, Any]


class Statement(NamedTuple):
    """SQL and the name under which a connection may prepare it."""

    name: str
    sql: str


#: a statement and its parameters
Step = tuple[Statement, tuple[Any, ...]]


class _Header(Struct, frozen=True):
    operation: Whole
    sender: str


@functools.cache
def body_columns(message: Message) -> Mapping[str, type]:
    """`Message.columns`, inspected once: this is asked for every row."""
    return message.columns()


@functools.cache
def answer_columns(message: Message) -> Mapping[str, type]:
    """`Message.answer_columns`, inspected once."""
    return message.answer_columns()


@dataclass(frozen=True)
class Dialect:
    """How one database wants it said.

    prefix   what stands before every table's name ('"schema".', or nothing)
    mark     a parameter's place, with %d for its number
    key      type of a key that counts up by itself and never comes back
    found_by the index by which a queue's rows are found, with {column} for what comes before the key
    count    type of a small number
    moment   type of a point in time
    now      default for it
    moment_of  the point in time that a parameter (%s) stands for
    """

    prefix: str
    mark: str
    key: str
    found_by: str
    count: str
    moment: str
    now: str
    moment_of: str


def quoted(name: str) -> str:
    """An identifier, quoted so that nothing in it is SQL (both databases follow the standard here)."""
    return '"' + name.replace('"', '""') + '"'


class Tables:
    """The SQL for one schema in one dialect. Every value is a parameter; identifiers come from the schema only."""

    def __init__(self, schema: Schema, dialect: Dialect) -> None:
        self.schema, self._dialect = schema, dialect
        self.dead_letters = self.name("dead_letters")

    def name(self, table: str) -> str:
        """A table's full name, quoted."""
        return self._dialect.prefix + quoted(table)

    def answers(self, message: Message) -> str:
        """The name of the table of the answers to a request."""
        return self.name(f"{message.name}_answer")

    def create(self) -> list[str]:
        """The statements that make all tables."""
        made = [
            f"CREATE TABLE {self.dead_letters} (seq {self._dialect.key}, {_typed(dict.fromkeys(DEAD_LETTER, str))})"
        ]
        for message in self.schema.messages.values():
            if message.verb is not Verb.SHARE:
                made += self.create_queue(message)
                made += self.create_answers(message) if message.answer else []
            elif message.answer:
                made += self.create_state(message)
        return made

    def send(self, message: Message) -> Statement:
        """Insert a message (operation, sender, group, body), write a state (body) or read it (body)."""
        if message.verb is not Verb.SHARE:
            columns = ("operation", "sender", "grp", *body_columns(message))
            sql = self._insert(self.name(message.name), columns)
        else:
            sql = self._read(message) if message.answer else self._write(message)
        return Statement(message.name, sql)

    def sends(self) -> dict[str, Statement]:
        """Of every message that can be sent."""
        found = {}
        for name, message in self.schema.messages.items():
            with contextlib.suppress(Malformed):
                found[name] = self.send(message)
        return found

    def answer(self, message: Message) -> Statement:
        """Insert an answer: operation, sender, kind and reason of a refusal, then the answer's columns."""
        columns = (*ANSWER[1:], *answer_columns(message))
        return Statement(f"answer_{message.name}", self._insert(self.answers(message), columns))

    def settle(self, message: Message) -> Statement:
        """Delete the row of this group with this key."""
        group, seq = (self._dialect.mark % n for n in (1, 2))
        delete = f"DELETE FROM {self.name(message.name)} WHERE grp = {group} AND seq = {seq}"
        return Statement(f"settle_{message.name}", delete)

    def release(self, message: Message) -> Statement:
        """Let a row go from a moment on: moment, group, key, and who claims it for which time."""
        moment, group, seq, claimer, attempts = (self._dialect.mark % n for n in (1, 2, 3, 4, 5))
        return Statement(
            f"release_{message.name}",
            f"UPDATE {self.name(message.name)} SET claimed_by = NULL, visible_at = {self._dialect.moment_of % moment} "
            f"WHERE grp = {group} AND seq = {seq} AND claimed_by = {claimer} AND attempts = {attempts}",
        )

    def set_aside(self) -> Statement:
        """Insert a dead letter."""
        return Statement("set_aside", self._insert(self.dead_letters, DEAD_LETTER))

    def _insert(self, table: str, columns: Iterable[str]) -> str:
        names = [quoted(column) for column in columns]
        marks = ", ".join(self._dialect.mark % n for n in range(1, len(names) + 1))
        return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"

    def _write(self, message: Message) -> str:
        read = self._read_of(message)
        columns = list(body_columns(message))
        new = ", ".join(f"{quoted(column)} = excluded.{quoted(column)}" for column in columns)
        keys = ", ".join(quoted(column) for column in body_columns(read))
        return f"{self._insert(self.name(state_name(read)), columns)} ON CONFLICT ({keys}) DO UPDATE SET {new}"

    def _read(self, message: Message) -> str:
        # By full names: what SQLite does not know as a column in quotes alone, it takes for a text.
        found = ", ".join(f"s.{quoted(column)}" for column in answer_columns(message))
        wanted = " AND ".join(
            f"s.{quoted(column)} = {self._dialect.mark % n}" for n, column in enumerate(body_columns(message), start=1)
        )
        return f"SELECT {found} FROM {self.name(state_name(message))} AS s WHERE {wanted}"

    def _read_of(self, write: Message) -> Message:
        """The read whose state a write belongs to: the one whose key the write has."""
        for message in self.schema.of_verb(Verb.SHARE):
            if message.answer and set(body_columns(message)) <= set(body_columns(write)):
                return message
        raise Malformed(f"{write.name}: no read of this schema finds a state by columns that {write.name} has")

    def create_queue(self, message: Message) -> list[str]:
        """The statements that make the table of a message that is told or asked."""
        _no_clash(message.name, body_columns(message), QUEUE)
        table, dialect = self.name(message.name), self._dialect
        return [
            f"CREATE TABLE {table} (seq {dialect.key}, operation bigint, sender text, grp text, "
            f"{_typed(body_columns(message))}, "
            f"attempts {dialect.count} NOT NULL DEFAULT 0, claimed_by text, "
            f"visible_at {dialect.moment} NOT NULL DEFAULT {dialect.now}, {dialect.found_by.format(column='grp')})"
        ]

    def create_answers(self, message: Message) -> list[str]:
        """The same for the answers to it."""
        _no_clash(message.name, answer_columns(message), ANSWER)
        table, dialect = self.answers(message), self._dialect
        return [
            f"CREATE TABLE {table} (seq {dialect.key}, operation bigint, sender text, refused text, reason text, "
            f"{_typed(answer_columns(message))}, {dialect.found_by.format(column='sender')})"
        ]

    def create_state(self, message: Message) -> list[str]:
        """The same for the state that a message reads."""
        keys = ", ".join(quoted(column) for column in body_columns(message))
        columns = _typed(answer_columns(message))
        return [f"CREATE TABLE {self.name(state_name(message))} ({columns}, PRIMARY KEY ({keys}))"]


def state_name(message: Message) -> str:
    """The name of the table that a message reads, not quoted."""
    return message.state or message.name


def queues(schema: Schema, group: str) -> list[Message]:
    """The messages whose tables a receiver of `group` takes from; none for an owner: shared state has none here."""
    if group == OWNER_GROUP:
        return []
    return schema.of_verb(Verb.ASK if group == ASK_GROUP else Verb.TELL)


def groups(site: Site, message: Message) -> tuple[str, ...]:
    """The groups that get a row of `message` each."""
    return (ASK_GROUP,) if message.verb is Verb.ASK else site.groups


def check(schema: Schema, operation: Operation, most: int) -> Message:
    """The message of an operation that can be sent; raises `UnknownMessage`, `TooLarge` or `Malformed`."""
    message = schema.message(operation.message)
    try:
        length = len(schema.encode(operation.body))
    except (UnicodeEncodeError, OverflowError) as error:
        raise Malformed(f"{operation.message}: {error}") from None
    if length > most:
        raise TooLarge(f"{operation.message}: {length} bytes encoded, at most {most} are taken")
    return message


def operation_of(schema: Schema, message: Message, columns: Iterable[str], row: Row) -> tuple[Operation, str]:
    """The operation in a row and its sender; `Malformed` says where the row departs from the schema."""
    try:
        header = msgspec.convert({"operation": row.get("operation"), "sender": row.get("sender")}, _Header)
    except msgspec.ValidationError as error:
        raise Malformed(f"not a row of {message.name}: {error}") from None
    body = schema.convert(message.name, {column: row[column] for column in columns if column in row})
    return Operation(header.operation, message.name, body), header.sender


def answer_of(schema: Schema, message: Message, row: Row) -> Struct | Refusal:
    """The answer in a row, or the refusal that came instead; `Malformed` as above."""
    if row.get("refused") is not None:
        return refusal(str(row["refused"])[:100], str(row.get("reason"))[:1000])
    return schema.convert_answer(message.name, {c: row[c] for c in answer_columns(message) if c in row})


def answer_values(message: Message, result: Struct | Refusal) -> tuple[Any, ...]:
    """What `Tables.answer` wants after operation and sender."""
    if isinstance(result, Refusal):
        return (type(result).__name__, str(result)[:1000], *(None for _ in answer_columns(message)))
    return (None, None, *msgspec.structs.astuple(result))


def dead_letter_values(message: Message, row: Row, reason: str) -> tuple[Any, ...]:
    """What `Tables.set_aside` wants; any row can be kept, also one that no schema allows."""
    content = msgspec.json.encode(dict(row)).decode()
    return (message.name, *(_as_text(row.get(c)) for c in ("operation", "sender", "grp")), content, reason)


def check_positive(**knobs: float) -> None:
    """Raise `BadArgument` for a knob that is not above 0."""
    for knob, value in knobs.items():
        if not isinstance(value, (int, float)) or not value > 0:
            raise BadArgument(knob, expected="a number above 0", got=value)


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)


def _typed(columns: Mapping[str, type]) -> str:
    return ", ".join(f"{quoted(name)} {'bigint' if kind is int else 'text'}" for name, kind in columns.items())


def _no_clash(name: str, columns: Iterable[str], taken: tuple[str, ...]) -> None:
    for column in columns:
        if column in taken:
            raise BadArgument(f"field of {name}", expected=f"none of {', '.join(taken)}", got=column)
