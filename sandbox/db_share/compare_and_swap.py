"""SQLite: a claim is an update of a row that must still be as it was read; nobody is woken, so both ends poll.

This is how Cinder guards a volume's status: no lock is held between reading and writing, the number of
rows that the update has changed says who came first. What was begun is written, in one transaction, by
the next `outcomes`; a receiver carries out what was settled together with its next claim.
"""

from __future__ import annotations

import functools
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sandbox import channel
from sandbox.channel import Backlog, Channel, Status
from sandbox.db_share import ends, sqlite, tables
from sandbox.db_share.ends import Delivery, Queue, Work, nothing
from sandbox.db_share.migration import SQLITE, between
from sandbox.db_share.sqlite import InDoubt, Locked, connect, execute_runs, look, rendered, transaction
from sandbox.db_share.tables import Row, Step
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Schema, Verb
from sandbox.guarantees import Acceptor, Guarantees
from sandbox.site import Site

__all__ = ["CompareAndSwap", "Delivery", "Receiver", "Sender"]

#: most operations in one transaction of a sender
GROUP = 128
#: seconds that a receiver tries to become the writer
PATIENCE = 5.0


@dataclass(frozen=True)
class CompareAndSwap(Channel):
    """Rows of SQLite tables, claimed by compare and swap.

    lease      seconds after which a claim that is not settled lapses
    timeout    seconds after which an operation without outcome is reported UNKNOWN
    poll       seconds between two looks, at either end
    pause      seconds that a receiver lets pass between reading and writing, so that others come in between
    flush      whether a commit waits for the disk; else it survives its process, but not a power cut
    max_bytes  longest encoded body that is taken
    """

    lease: float = 2.0
    timeout: float = 5.0
    poll: float = 0.001
    pause: float = 0.0
    flush: bool = False
    max_bytes: int = 1 << 20

    style: ClassVar[str] = "db_share"

    def __post_init__(self) -> None:
        tables.check_positive(lease=self.lease, timeout=self.timeout, poll=self.poll, max_bytes=self.max_bytes)
        if not self.pause >= 0:
            raise BadArgument("pause", expected="0 or more seconds", got=self.pause)

    @property
    def guarantees(self) -> Guarantees:
        """Accepted means committed, and flushed if so wished; readers see every committed state at once."""
        return ends.promised(Acceptor.DISK if self.flush else Acceptor.KERNEL, self.max_bytes)

    def install(self, site: Site, schema: Schema) -> None:
        """See `Channel.install`. Only this sets WAL mode: two processes that set it on a new file collide."""
        sqlite.create(site, rendered(schema).create())

    def migrate(self, site: Site, old: Schema, new: Schema, renamed: Mapping[str, str]) -> tuple[str, ...]:
        """See `Channel.migrate`. `Definite` where SQLite refuses it: nothing is changed then."""
        return sqlite.change(site, between(rendered(old), rendered(new), SQLITE, renamed))

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`."""
        return Sender(self, site, schema, name)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`."""
        return Receiver(self, site, schema, group, name)

    def backlog(self, site: Site) -> Backlog:
        """See `Channel.backlog`."""
        return sqlite.backlog(site)


class Sender(ends.Sender):
    """Commits what was begun whenever it is asked for outcomes; looks for answers every `poll` seconds."""

    def __init__(self, knobs: CompareAndSwap, site: Site, schema: Schema, name: str) -> None:
        super().__init__(knobs, site, schema, name, rendered(schema))
        self._poll = knobs.poll
        self._db = connect(site, knobs.flush)
        self._queue: deque[Work] = deque()

    def close(self) -> None:
        """See `channel.Sender.close`."""
        self._write()
        self._db.close()

    def _hand_over(self, work: Work) -> None:
        self._queue.append(work)

    def _advance(self, wait: float) -> None:
        until = time.monotonic() + wait
        while True:
            locked = not self._write()
            if self._unanswered:
                self._fetch()
            self._expire()
            left = until - time.monotonic()
            if left <= 0 or self._pending.has_reports:
                return
            if locked or self._unanswered:
                time.sleep(min(left, sqlite.RETRY if locked else self._poll))
            else:
                time.sleep(left)

    def _write(self) -> bool:
        """Write what is queued, as one transaction; False when another is writing, and it has to wait."""
        if not self._queue:
            return True
        group = [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]
        try:
            with transaction(self._db):
                results = self._execute_together(group) or [self._execute(work) for work in group]
        except Locked:
            self._queue.extendleft(reversed(group))
            return False
        except (sqlite3.Error, InDoubt) as error:
            status = Status.UNKNOWN if isinstance(error, InDoubt) else Status.FAILED
            for work in group:
                self._pending.end(work.operation.id, status, f"SQLite: {error}")
            return True
        for work, result in zip(group, results, strict=True):
            self._written(work, result)
        return True

    def _execute_together(self, group: list[Work]) -> list[list[Row] | str] | None:
        """The quick way, if nothing is read and nothing is refused; else nothing has happened."""
        if any(work.message.verb is Verb.SHARE for work in group):
            return None
        self._db.execute("SAVEPOINT together")
        try:
            execute_runs(self._db, [step for work in group for step in work.steps])
        except (sqlite3.Error, OverflowError):
            if not self._db.in_transaction:
                raise
            self._db.execute("ROLLBACK TO together")
            return None
        return [[] for _ in group]

    def _execute(self, work: Work) -> list[Row] | str:
        """What a read has found, or why SQLite has refused this one (which leaves the others as they are)."""
        found: list[Row] = []
        for number, (statement, values) in enumerate(work.steps):
            try:
                found = sqlite.rows(self._db.execute(statement.sql, values))
            except (sqlite3.Error, OverflowError) as error:
                if number or not self._db.in_transaction:
                    raise
                return str(error)
        return found

    def _written(self, work: Work, result: list[Row] | str) -> None:
        if isinstance(result, str):
            self._pending.end(work.operation.id, Status.FAILED, f"refused by SQLite: {result}")
        else:
            self._carried_out(work, result)

    def _fetch(self) -> None:
        """Take the answers out of their tables; while another is writing they stay until the next look."""
        self._trouble = ""
        for message in self._asks:
            table = self._tables.answers(message)
            mine = f"SELECT * FROM {table} WHERE sender = ?1 ORDER BY seq"
            answers = look(self._db, mine, [self._name], self._complain)
            self._looked(len(answers))
            if not answers:
                continue
            try:
                with transaction(self._db):
                    self._db.executemany(f"DELETE FROM {table} WHERE seq = ?1", [(row["seq"],) for row in answers])
            except Locked:
                continue
            for row in answers:
                self._answered(message, row)

    def _expire(self) -> None:
        queued = {work.operation.id for work in self._queue} if self._queue else set()
        for operation in self._pending.expire():
            if operation in queued:
                self._queue = deque(work for work in self._queue if work.operation.id != operation)
                self._pending.end(operation, Status.FAILED, f"another was writing for {self._knobs.timeout} s")
            else:
                self._pending.end(operation, Status.UNKNOWN, self._no_outcome())


class Receiver(ends.Receiver):
    """Claims rows of its group; looks for them every `poll` seconds.

    between   called between reading and writing, where others come in: sleeps for `pause` s unless set
    """

    def __init__(self, knobs: CompareAndSwap, site: Site, schema: Schema, group: str, name: str) -> None:
        super().__init__(knobs, schema, group, name, rendered(schema))
        self._poll = knobs.poll
        self.between = functools.partial(time.sleep, knobs.pause) if knobs.pause else nothing
        self._db = connect(site, knobs.flush)
        self._settlements: dict[Queue, list[tuple[str, int]]] = {}
        self._acts: list[Step] = []

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`."""
        until = time.monotonic() + timeout
        while True:
            taken: list[channel.Delivery] = []
            for queue in self._queues:
                if len(taken) < limit:
                    taken += self._accept(queue, self._claim(queue, limit - len(taken)))
            left = until - time.monotonic()
            if taken or left <= 0:
                return taken
            time.sleep(min(left, self._poll))

    def close(self) -> None:
        """See `channel.Receiver.close`."""
        self._act()
        self._db.close()

    def carry_out(self, steps: list[Step], wake: str | None = None) -> None:
        """See `ends.Receiver.carry_out`. Nobody can be woken; they poll."""
        self._acts += steps
        self._act()

    def carry_out_later(self, queue: Queue, seq: int) -> None:
        """See `ends.Receiver.carry_out_later`."""
        self._settlements.setdefault(queue, []).append((self.group, seq))

    def moment(self, delay: float) -> float:
        """See `ends.Receiver.moment`."""
        return time.monotonic() + delay

    def _claim(self, queue: Queue, limit: int) -> list[Row]:
        now = time.monotonic()
        free = f"SELECT * FROM {queue.table} WHERE grp = ?1 AND visible_at <= ?2 ORDER BY seq LIMIT ?3"
        seen = look(self._db, free, (self.group, now, limit), self._complain)
        if not seen:
            self._act()
            return []
        self.between()
        claimed: list[Row] = []

        def claim() -> None:
            claimed.extend(row for row in seen if self._swap(queue, row, now + self._knobs.lease))

        if not self._act(claim):
            return []  # what is claimed in spite of that lapses
        return [{**row, "attempts": row["attempts"] + 1} for row in claimed]

    def _swap(self, queue: Queue, row: Row, until: float) -> bool:
        """Claim a row if it is still as it was read."""
        swap = (
            f"UPDATE {queue.table} SET claimed_by = ?1, attempts = attempts + 1, visible_at = ?2 "
            "WHERE seq = ?3 AND attempts = ?4 AND visible_at = ?5"
        )
        values = (self.name, until, row["seq"], row["attempts"], row["visible_at"])
        return self._db.execute(swap, values).rowcount == 1

    def _act(self, claim: Callable[[], None] = nothing) -> bool:
        """Carry out what is to be done, and a claim; while others are writing for too long, it stays to be done."""
        if not self._acts and not self._settlements and claim is nothing:
            return True
        try:
            with transaction(self._db, PATIENCE):
                for queue, seqs in self._settlements.items():
                    self._try(self._db.executemany, queue.settle.sql, seqs)
                for statement, values in self._acts:
                    self._try(self._db.execute, statement.sql, values)
                claim()
        except (Locked, InDoubt):
            return False
        except sqlite3.Error as error:
            self._complain(f"refused by SQLite: {error}")
            return False
        self._settlements, self._acts = {}, []
        return True

    def _try(self, execute: Callable[[str, Any], object], sql: str, values: object) -> None:
        """One that is refused is not tried again, and leaves the others as they are."""
        try:
            execute(sql, values)
        except (sqlite3.Error, OverflowError) as error:
            if not self._db.in_transaction:
                raise
            self._complain(f"refused by SQLite: {error}")
