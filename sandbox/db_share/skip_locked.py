"""PostgreSQL: receivers lock the rows they claim and skip those that others have locked; NOTIFY wakes them.

A sender never waits for the server. What was begun is committed, in one transaction, by the next
`outcomes`; while that is under way, more gathers for the next one (a natural group commit: nothing is
reported before the commit that holds it is flushed, and if PostgreSQL undoes it, all that it held has
certainly failed). A receiver carries out what was settled together with its next claim.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sandbox import channel
from sandbox.channel import Backlog, Channel, Status
from sandbox.db_share import ends, postgres, tables
from sandbox.db_share.ends import Delivery, Queue, Work
from sandbox.db_share.migration import POSTGRES, between
from sandbox.db_share.pipeline import Pipeline, Transaction
from sandbox.db_share.postgres import NOTIFY, UNFLUSHED, array, bell, params, rendered, rows
from sandbox.db_share.tables import Statement, Step
from sandbox.db_share.waking import Waking
from sandbox.exchange.schema import Schema, Verb
from sandbox.guarantees import Acceptor, Guarantees
from sandbox.site import Site

__all__ = ["Delivery", "Receiver", "Sender", "SkipLocked"]

#: most operations in one transaction of a sender
GROUP = 128
#: seconds that a stalled server may keep a receiver beyond the time it was given
GRACE = 1.0
#: purposes of transactions; any other is a group of operations or the queue that is claimed from
FETCH, ACT = "fetch", "act"


@dataclass(frozen=True)
class SkipLocked(Channel):
    """Rows of PostgreSQL tables, claimed with FOR UPDATE SKIP LOCKED.

    lease      seconds of server time after which a claim that is not settled lapses
    timeout    seconds after which an operation without outcome is reported UNKNOWN
    repoll     seconds between two looks for lapsed leases and delayed rows, of which nobody notifies
    notify     False: both ends look every `poll` seconds instead; they count that in `looks` and `empty_looks`
    max_bytes  longest encoded body that is taken
    """

    lease: float = 2.0
    timeout: float = 5.0
    repoll: float = 0.25
    notify: bool = True
    poll: float = 0.01
    max_bytes: int = 1 << 20

    style: ClassVar[str] = "db_share"
    needs: ClassVar[tuple[str, ...]] = ("postgres",)

    def __post_init__(self) -> None:
        tables.check_positive(lease=self.lease, timeout=self.timeout, repoll=self.repoll, poll=self.poll)
        tables.check_positive(max_bytes=self.max_bytes)

    @property
    def guarantees(self) -> Guarantees:
        """Accepted means committed and flushed; readers see every committed state at once."""
        return ends.promised(Acceptor.DISK, self.max_bytes)

    def install(self, site: Site, schema: Schema) -> None:
        """See `Channel.install`. Refuses a server that does not flush: what it accepts would not be on disk."""
        postgres.create(site, rendered(site, schema).create())

    def migrate(self, site: Site, old: Schema, new: Schema, renamed: Mapping[str, str]) -> tuple[str, ...]:
        """See `Channel.migrate`. `Definite` where PostgreSQL refuses it: nothing is changed then."""
        return postgres.change(site, between(rendered(site, old), rendered(site, new), POSTGRES, renamed))

    def uninstall(self, site: Site) -> None:
        """See `Channel.uninstall`."""
        postgres.drop(site)

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`."""
        return Sender(self, site, schema, name)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`."""
        return Receiver(self, site, schema, group, name)

    def backlog(self, site: Site) -> Backlog:
        """See `Channel.backlog`."""
        return postgres.backlog(site)


class Sender(ends.Sender):
    """Commits what was begun whenever it is asked for outcomes; fetches answers when notified, or when it is time."""

    def __init__(self, knobs: SkipLocked, site: Site, schema: Schema, name: str) -> None:
        super().__init__(knobs, site, schema, name, rendered(site, schema))
        prepare = [NOTIFY, UNFLUSHED, *self._statements.values()]
        self._pipe = Pipeline(site.address("postgres"), postgres.SENDING, bell(site, name), prepare)
        self._waking = Waking(self._pipe, site, knobs.poll, notify=knobs.notify)
        self._group: list[Work] = []  # in the open transaction
        self._committing, self._fetching = 0, False
        self._fetches = [
            Statement(f"fetch_{ask.name}", f"DELETE FROM {self._tables.answers(ask)} WHERE sender = $1 RETURNING *")
            for ask in self._asks
        ]

    def close(self) -> None:
        """See `channel.Sender.close`."""
        self._commit()
        self._pipe.close()

    def _params(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return params(values)

    def _hand_over(self, work: Work) -> None:
        self._note_loss()
        if not self._pipe.mend():
            self._pending.end(work.operation.id, Status.FAILED, self._pipe.lost)
            return
        # A statement that does not fit the tables must not undo the work of others: its first use stands alone.
        alone = bool(work.steps) and work.steps[0][0] not in self._pipe.proven
        if alone:
            self._commit()
        self._pipe.add(work.steps)
        self._group.append(work)
        if alone or len(self._group) >= GROUP:
            self._commit()

    def _advance(self, wait: float) -> None:
        if not self._committing:
            self._commit()
        self._pipe.wait(self._waking.until_look(wait) if self._unanswered else wait)
        while (done := self._pipe.finished()) is not None:
            if done.purpose is FETCH:
                self._fetched(done)
            else:
                self._committed(done.purpose, done)
        self._note_loss()
        self._fetch()
        for operation in self._pending.expire():
            self._pending.end(operation, Status.UNKNOWN, self._no_outcome())

    def _commit(self) -> None:
        """Close the transaction of all that was begun since the last one."""
        if not self._group:
            return
        self._pipe.add(self._waking.call(dict.fromkeys(name for work in self._group for name in work.groups)))
        self._pipe.commit(self._group)
        self._group = []
        self._committing += 1

    def _committed(self, group: list[Work], done: Transaction) -> None:
        self._committing -= 1
        results = iter(done.results)
        for work in group:
            if done.error:
                self._pending.end(work.operation.id, Status.FAILED, f"undone by PostgreSQL: {done.error}")
                continue
            found = [next(results) for _ in work.steps]
            reads = not work.groups and work.message.answer
            self._carried_out(work, rows(found[0], tables.answer_columns(work.message)) if reads else [])

    def _fetch(self) -> None:
        if self._pipe.rung and not (self._pipe.lost or self._fetching) and self._fetches:
            self._commit()
            # Without a flush: if a crash brings the answers back, they are fetched again and counted late.
            self._pipe.rung, self._fetching = False, True
            self._pipe.send([(UNFLUSHED, ()), *((fetch, params([self._name])) for fetch in self._fetches)], FETCH)

    def _fetched(self, done: Transaction) -> None:
        self._fetching, self._trouble = False, done.error
        if done.error:  # the answers are still there: once more, if it was only that a column has been added
            self._pipe.rung |= done.stale
            return
        self._looked(sum(result.ntuples for result in done.results[1:]))
        for message, result in zip(self._asks, done.results[1:], strict=True):
            for row in rows(result, {"operation": int, **tables.answer_columns(message)}):
                self._answered(message, row)

    def _note_loss(self) -> None:
        if (loss := self._pipe.loss()) is None:
            return
        for work in self._group:
            self._pending.end(work.operation.id, Status.FAILED, f"not committed: {loss.reason}")
        self._group, self._committing, self._fetching = [], 0, False
        lost = [work for each in loss.abandoned if isinstance(each.purpose, list) for work in each.purpose]
        self._unanswered.update(work.operation.id for work in lost if work.message.verb is Verb.ASK)
        self._pending.end_all(loss.reason)


class Receiver(ends.Receiver):
    """Claims rows of its group; sleeps until notified, or for `poll` seconds.

    Nothing on its connection waits for a flush: a crash of the server that loses a claim, an answer or
    a settlement loses all that came after it as well, so that the row is delivered again.
    """

    def __init__(self, knobs: SkipLocked, site: Site, schema: Schema, group: str, name: str) -> None:
        super().__init__(knobs, schema, group, name, rendered(site, schema))
        self._pipe = Pipeline(site.address("postgres"), postgres.RECEIVING, bell(site, group))
        self._waking = Waking(self._pipe, site, knobs.repoll if knobs.notify else knobs.poll, notify=knobs.notify)
        self._claims = {queue: postgres.claim(queue) for queue in self._queues}
        self._settles = {queue: postgres.settle_all(queue) for queue in self._queues}
        self._settlements: dict[Queue, list[int]] = {}
        self._doubtful: list[list[Step]] = []  # a loss of the connection has left open whether these happened
        self._held: list[channel.Delivery] = []
        self._claiming = False

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`. A stalled server may keep it up to `GRACE` s longer."""
        until = time.monotonic() + timeout
        while True:
            self._fill(until + GRACE, limit)
            if self._held or time.monotonic() >= until:
                break
            self._waking.sleep(until)
        taken, self._held = self._held[:limit], self._held[limit:]
        return taken

    def close(self) -> None:
        """See `channel.Receiver.close`."""
        if self._connected():
            self._pipe.send(self._take_settlements(), ACT)
            until = time.monotonic() + GRACE
            while self._pipe.busy and time.monotonic() < until:
                self._receive(until)
        self._pipe.close()

    def carry_out(self, steps: list[Step], wake: str | None = None) -> None:
        """See `ends.Receiver.carry_out`. Repeated after a loss of the connection: at least once."""
        sent = [(statement, params(values)) for statement, values in steps] + self._waking.call([wake])
        if self._pipe.lost:
            self._doubtful.append(sent)
        else:
            self._pipe.send(sent, ACT)

    def carry_out_later(self, queue: Queue, seq: int) -> None:
        """See `ends.Receiver.carry_out_later`."""
        self._settlements.setdefault(queue, []).append(seq)

    def moment(self, delay: float) -> float:
        """See `ends.Receiver.moment`: the server adds it to its time."""
        return delay

    def _fill(self, until: float, limit: int) -> None:
        """Claim what there is, of one message after the other, up to `limit` rows."""
        for queue in self._queues:
            if len(self._held) >= limit or not self._connected():
                break
            self._receive(until)  # an answer under way first: claiming beside it would slow it down
            if not self._claiming:
                self._pipe.rung, self._claiming = False, True
                wanted = (self.name, self._knobs.lease, self.group, limit - len(self._held))
                self._pipe.send([*self._take_settlements(), (self._claims[queue], params(wanted))], queue)
            self._receive(until)

    def _receive(self, until: float) -> None:
        """Take in what comes until the claim is answered."""
        while True:
            while (done := self._pipe.finished()) is not None:
                self._finish(done)
            self._note_loss()
            left = until - time.monotonic()
            if not self._pipe.busy or left <= 0:
                return
            self._pipe.wait(left)

    def _finish(self, done: Transaction) -> None:
        if done.purpose is not ACT:
            self._claiming = False
            if done.error:
                self._doubtful.append(done.steps[:-1])
            else:
                self._held += self._accept(done.purpose, rows(done.results[-1], done.purpose.kinds))
        if done.error:
            self._complain(f"refused by PostgreSQL: {done.error}")

    def _take_settlements(self) -> list[Step]:
        settled, self._settlements = self._settlements, {}
        return [(self._settles[queue], params((self.group, array(seqs)))) for queue, seqs in settled.items()]

    def _connected(self) -> bool:
        self._note_loss()
        if not self._pipe.mend():
            return False
        doubtful, self._doubtful = self._doubtful, []
        for steps in doubtful:
            self._pipe.send(steps, ACT)
        return True

    def _note_loss(self) -> None:
        if (loss := self._pipe.loss()) is None:
            return
        self._claiming = False  # a claim that nobody heard of lapses
        for lost in loss.abandoned:
            self._doubtful.append(lost.steps if lost.purpose is ACT else lost.steps[:-1])
