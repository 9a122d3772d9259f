"""Liars about telling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import honest
from honest import Honest

from liars.base import Liar, Lie, Presence, present, unlogged
from sandbox.channel import ASK_GROUP, Backlog, Outcome, Status
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.exchange.schema import Operation, Schema
from sandbox.guarantees import Acceptor, Delivery, Support, Tell
from sandbox.site import Site


class Garbles(Liar):
    """Loses what is not ASCII on the way."""

    lies_about = "tell.support"

    class sending(honest.Sender):
        def put(self, boxes: list[str], operation: Operation, body: bytes) -> None:
            if boxes != [ASK_GROUP]:
                body = body.decode("ascii", "ignore").encode()
            super().put(boxes, operation, body)


class SettlesWhenTaken(Liar):
    """Says at least once, but what was taken is gone."""

    lies_about = "tell.delivery"

    class receiving(honest.Receiver):
        def claim(self, limit: int) -> list[tuple[Any, ...]]:
            rows = super().claim(limit)
            if self.group != ASK_GROUP:
                for row in rows:  # counted as claimed until released or settled, but never due again
                    self.db.execute("UPDATE message SET due = due + 1e9 WHERE id = ?", row[:1])
            return rows


class ComesTwice(Liar):
    """Says at most once, and delivers again."""

    lies_about = "tell.delivery"
    tell = replace(Honest.tell, delivery=Delivery.AT_MOST_ONCE)

    def backlog(self, site: Site) -> None:
        return None


class DeliversAfterAll(Liar):
    """Says that nothing is ever delivered."""

    lies_about = "tell.delivery"
    tell = Tell(Support.LAYERED, Delivery.NONE)

    def backlog(self, site: Site) -> Backlog | None:
        return None


class SettlesNothing(Liar):
    """What was settled comes back when its lease is over."""

    lies_about = "tell.delivery"

    class delivering(honest.Delivering):
        def settle(self) -> None:
            if self.operation.message == "create_volume":
                super().settle()
            else:
                self.release(self.knobs.lease)

        def set_aside(self, reason: str) -> None:
            super().set_aside(reason)
            super().settle()

    def backlog(self, site: Site) -> None:
        return None


class Reorders(Liar):
    """Says in order, and delivers each batch backwards."""

    lies_about = "tell.order"

    class receiving(honest.Receiver):
        def claim(self, limit: int) -> list[tuple[Any, ...]]:
            return super().claim(limit)[::-1]


class BuffersInMemory(Liar):
    """Says that the kernel has it, and still has it itself."""

    lies_about = "tell.accepted_by"

    class sending(honest.Sender):
        buffer: ClassVar[list[tuple[Operation, bytes]]] = []

        def tell(self, operation: Operation, body: bytes) -> None:
            self.buffer.append((operation, body))
            self.ready.append(Outcome(operation.id, Status.ACCEPTED))

        def outcomes(self, timeout: float) -> list[Outcome]:
            if not self.ready:
                self.flush()
            return super().outcomes(timeout)

        def flush(self) -> None:
            while self.buffer:
                super().tell(*self.buffer.pop(0))
                self.ready.pop()


class AcceptsForThePeer(Liar):
    """Says that the receiver has settled it, and has not asked."""

    lies_about = "tell.accepted_by"
    tell = replace(Honest.tell, accepted_by=Acceptor.PEER)


class ForgetsWithItsServer(Lie, SkipLocked):
    """Says that it is on disk: it is in an unlogged table, which PostgreSQL empties after a crash."""

    lies_about = "tell.accepted_by"

    def install(self, site: Site, schema: Schema) -> None:
        super().install(site, schema)
        unlogged(site, "image_downloaded")


class DropsWhenAway(Presence, Liar):
    """Accepts while no receiver runs, and drops it."""

    lies_about = "tell.receiver_may_be_away"

    class sending(honest.Sender):
        def tell(self, operation: Operation, body: bytes) -> None:
            boxes = [group for group in self.site.groups if present(self.site, group)]
            self.put(boxes, operation, body)
            self.ready.append(Outcome(operation.id, Status.ACCEPTED))


class AcceptsWhenAway(Liar):
    """Says that the receiver must be there, and accepts without it."""

    lies_about = "tell.receiver_may_be_away"
    tell = replace(Honest.tell, receiver_may_be_away=False)


class MissesAGroup(Liar):
    """Says that every group gets a copy, and serves the first."""

    lies_about = "tell.one_to_many"

    class sending(honest.Sender):
        def tell(self, operation: Operation, body: bytes) -> None:
            self.put(list(self.site.groups[:1]), operation, body)
            self.ready.append(Outcome(operation.id, Status.ACCEPTED))
