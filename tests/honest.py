"""An honest channel, written straight to the contract, that every liar in `liars/` spoils in one place.

One SQLite file: a table of messages, one of answers, one of states. Slow and simple on purpose.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar

from msgspec import Struct

from sandbox import channel
from sandbox.channel import ASK_GROUP, Backlog, Channel, Outcome, Status
from sandbox.errors import BadArgument, NoSuchVolume, Refusal, TooLarge
from sandbox.exchange.schema import GetState, Operation, Schema, SetState, Verb
from sandbox.guarantees import Acceptor, Ask, Delivery, Guarantees, Order, Reads, Share, Support, Tell
from sandbox.site import Site

_TABLES = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE message (id INTEGER PRIMARY KEY, box TEXT, operation INT, name TEXT, body BLOB, sender TEXT,
                          attempt INT DEFAULT 0, claimed INT DEFAULT 0, due REAL DEFAULT 0);
    CREATE TABLE answer (id INTEGER PRIMARY KEY, sender TEXT, operation INT, body BLOB);
    CREATE TABLE state (volume INT PRIMARY KEY, body BLOB);
    CREATE TABLE dead (operation INT, reason TEXT);
"""
_CLAIM = """
    UPDATE message SET attempt = attempt + 1, claimed = 1, due = :now + :lease
    WHERE id IN (SELECT id FROM message WHERE box = :box AND due <= :now ORDER BY id LIMIT :limit)
    RETURNING id, operation, name, body, sender, attempt
"""


class Sender(channel.Sender):
    """See `channel.Sender`."""

    def __init__(self, knobs: Honest, site: Site, schema: Schema, name: str) -> None:
        self.knobs, self.site, self.schema, self.name = knobs, site, schema, name
        self.db = knobs.connect(site)
        self.ready: list[Outcome] = []
        self.open: dict[int, tuple[str, float]] = {}

    def begin(self, operation: Operation) -> None:
        body = self.schema.encode(operation.body)
        self.check_size(body)
        verb = self.schema.message(operation.message).verb
        if verb is Verb.TELL:
            self.tell(operation, body)
        elif verb is Verb.ASK:
            self.ask(operation, body)
        else:
            self.share(operation, body)

    def check_size(self, body: bytes) -> None:
        if len(body) > self.knobs.guarantees.max_bytes:
            raise TooLarge(f"{len(body)} bytes")

    def tell(self, operation: Operation, body: bytes) -> None:
        self.put(list(self.site.groups), operation, body)
        self.ready.append(Outcome(operation.id, Status.ACCEPTED))

    def ask(self, operation: Operation, body: bytes) -> None:
        self.open[operation.id] = operation.message, time.monotonic() + self.knobs.timeout
        self.put([ASK_GROUP], operation, body)
        self.ready.append(Outcome(operation.id, Status.ACCEPTED))

    def put(self, boxes: list[str], operation: Operation, body: bytes) -> None:
        rows = [(box, operation.id, operation.message, body, self.name) for box in boxes]
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany("INSERT INTO message (box, operation, name, body, sender) VALUES (?,?,?,?,?)", rows)

    def share(self, operation: Operation, body: bytes) -> None:
        if isinstance(operation.body, SetState):
            self.write(operation.body.volume, body)
            self.ready.append(Outcome(operation.id, Status.ACCEPTED))
        elif isinstance(operation.body, GetState):
            self.ready.append(Outcome(operation.id, Status.ANSWERED, self.read(operation.body.volume)))

    def write(self, volume: int, body: bytes) -> None:
        self.db.execute("REPLACE INTO state VALUES (?, ?)", (volume, body))

    def read(self, volume: int) -> Struct | Refusal:
        found = self.db.execute("SELECT body FROM state WHERE volume = ?", (volume,)).fetchone()
        return self.schema.decode_answer("get_state", found[0]) if found else NoSuchVolume(f"no {volume}")

    def outcomes(self, timeout: float) -> list[Outcome]:
        deadline = time.monotonic() + timeout
        while True:
            self.collect()
            if self.ready or not self.open or time.monotonic() >= deadline:
                break
            time.sleep(0.002)
        ready, self.ready = self.ready, []
        return ready

    def collect(self) -> None:
        if self.db.execute("SELECT 1 FROM answer WHERE sender = ?", (self.name,)).fetchone():
            found = self.db.execute("DELETE FROM answer WHERE sender = ? RETURNING id, operation, body", (self.name,))
            for _, operation, body in sorted(found):
                self.answered(operation, body)
        for operation, (_, expiry) in list(self.open.items()):
            if time.monotonic() >= expiry:
                del self.open[operation]
                self.ready.append(Outcome(operation, Status.UNKNOWN, reason="no answer in time"))

    def answered(self, operation: int, body: bytes) -> None:
        if operation not in self.open:
            self.late += 1
            return
        message, _ = self.open.pop(operation)
        self.ready.append(Outcome(operation, Status.ANSWERED, self.schema.decode_answer(message, body)))

    def close(self) -> None:
        self.db.close()


class Delivering(channel.Delivery):
    """See `channel.Delivery`."""

    def __init__(self, receiver: Receiver, row: tuple[Any, ...]) -> None:
        self.row, operation, name, body, self.sender, self.attempt = row[0], *row[1:]
        self.knobs, self.schema, self.db = receiver.knobs, receiver.schema, receiver.db
        self.operation = Operation(operation, name, self.schema.decode(name, body))

    def reply(self, result: Struct | Refusal) -> None:
        body = self.schema.encode_answer(result)
        new = (self.sender, self.operation.id, body)
        self.db.execute("INSERT INTO answer (sender, operation, body) VALUES (?, ?, ?)", new)

    def settle(self) -> None:
        self.db.execute("DELETE FROM message WHERE id = ?", (self.row,))

    def release(self, delay: float = 0.0) -> None:
        if self.knobs.guarantees.tell.delivery is Delivery.AT_MOST_ONCE:
            raise BadArgument("release", expected="a channel that delivers again", got="at most once")
        due = time.monotonic() + delay
        self.db.execute("UPDATE message SET claimed = 0, due = ? WHERE id = ?", (due, self.row))

    def set_aside(self, reason: str) -> None:
        self.db.execute("INSERT INTO dead VALUES (?, ?)", (self.operation.id, reason))
        self.settle()


class Receiver(channel.Receiver):
    """See `channel.Receiver`."""

    def __init__(self, knobs: Honest, site: Site, schema: Schema, group: str, name: str) -> None:
        self.knobs, self.schema, self.group, self.name = knobs, schema, group, name
        self.db = knobs.connect(site)
        self.refused = []

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        deadline = time.monotonic() + timeout
        while True:
            taken = self.claim(limit)
            if taken or time.monotonic() >= deadline:
                return [self.knobs.delivering(self, row) for row in taken]
            time.sleep(0.002)

    def claim(self, limit: int) -> list[tuple[Any, ...]]:
        now = time.monotonic()
        if not self.db.execute("SELECT 1 FROM message WHERE box = ? AND due <= ?", (self.group, now)).fetchone():
            return []
        values = {"now": now, "lease": self.knobs.lease, "box": self.group, "limit": limit}
        return sorted(self.db.execute(_CLAIM, values))

    def close(self) -> None:
        self.db.close()


@dataclass(frozen=True)
class Honest(Channel):
    """Promises much, and keeps it."""

    lease: float = 30.0
    timeout: float = 30.0

    tell: ClassVar[Tell] = Tell(
        Support.LAYERED, Delivery.AT_LEAST_ONCE, Order.PER_SENDER, Acceptor.KERNEL, True, Support.NATURAL
    )
    ask: ClassVar[Ask] = Ask(Support.LAYERED, Delivery.AT_LEAST_ONCE, Acceptor.KERNEL, True)
    share: ClassVar[Share] = Share(Support.NATURAL, Reads.LATEST, Acceptor.KERNEL, needs_owner=False)

    sending: ClassVar[type[Sender]] = Sender
    receiving: ClassVar[type[Receiver]] = Receiver
    delivering: ClassVar[type[Delivering]] = Delivering

    @property
    def guarantees(self) -> Guarantees:
        return Guarantees(self.tell, self.ask, self.share, max_bytes=4096)

    def connect(self, site: Site) -> sqlite3.Connection:
        db = sqlite3.connect(site.folder / "honest.db", timeout=20, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")  # accepted by the kernel, and says so
        return db

    def install(self, site: Site, schema: Schema) -> None:
        with closing(self.connect(site)) as db:
            db.executescript(_TABLES)

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        return self.sending(self, site, schema, name)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        return self.receiving(self, site, schema, group, name)

    def backlog(self, site: Site) -> Backlog:
        with closing(self.connect(site)) as db:
            now = time.monotonic()
            total, claimed, last = db.execute(
                "SELECT count(*), total(claimed AND due > :now), max(due * claimed) FROM message", {"now": now}
            ).fetchone()
            (dead,) = db.execute("SELECT count(*) FROM dead").fetchone()
        return Backlog(total - int(claimed), int(claimed), max(0.0, (last or 0.0) - now), dead)
