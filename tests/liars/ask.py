"""Liars about asking."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, ClassVar

import honest
from honest import Honest
from msgspec import Struct

from liars.base import Liar, Lie, Presence, present, unlogged
from sandbox.channel import ASK_GROUP, Outcome, Status
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.errors import OverQuota, Refusal, RemoteError
from sandbox.exchange.schema import Operation, Schema
from sandbox.guarantees import Acceptor, Delivery
from sandbox.site import Site


class SwapsAnswers(Liar):
    """Of two asks that are open at the same time, each gets the other's answer."""

    lies_about = "ask.support"

    class sending(honest.Sender):
        swapped: ClassVar[dict[int, int]] = {}

        def answered(self, operation: int, body: bytes) -> None:
            partner = self.swapped.pop(operation, None)
            if partner is None and operation in self.open:
                partner = next((other for other in self.open if other not in (operation, *self.swapped)), operation)
                self.swapped[partner] = operation
            super().answered(operation if partner is None else partner, body)


class GivesLateAnswers(Liar):
    """Gives an answer whose ask is over to the oldest ask that is still open."""

    lies_about = "ask.support"

    class sending(honest.Sender):
        def answered(self, operation: int, body: bytes) -> None:
            super().answered(operation if operation in self.open else next(iter(self.open), operation), body)


class LosesKinds(Liar):
    """Every refusal arrives as RemoteError."""

    lies_about = "ask.support"

    class delivering(honest.Delivering):
        def reply(self, result: Struct | Refusal) -> None:
            super().reply(RemoteError(str(result)) if isinstance(result, OverQuota) else result)


class LosesAsks(Liar):
    """Says at least once, but an ask whose receiver dies is gone."""

    lies_about = "ask.delivery"

    class receiving(honest.Receiver):
        def claim(self, limit: int) -> list[tuple[Any, ...]]:
            rows = super().claim(limit)
            if self.group == ASK_GROUP:
                for row in rows:
                    self.db.execute("UPDATE message SET due = due + 1e9 WHERE id = ?", row[:1])
            return rows


class AsksComeTwice(Liar):
    """Says at most once, and delivers again."""

    lies_about = "ask.delivery"
    ask = replace(Honest.ask, delivery=Delivery.AT_MOST_ONCE)

    def backlog(self, site: Site) -> None:
        return None


class SettlesNoAsk(Liar):
    """An ask that was settled comes back when its lease is over."""

    lies_about = "ask.delivery"

    class delivering(honest.Delivering):
        def settle(self) -> None:
            if self.operation.message == "create_volume":
                self.release(self.knobs.lease)
            else:
                super().settle()

    def backlog(self, site: Site) -> None:
        return None


class AcceptsAsksForThePeer(Liar):
    """Says that the receiver has settled the ask, and has not asked."""

    lies_about = "ask.accepted_by"
    ask = replace(Honest.ask, accepted_by=Acceptor.PEER)


class ForgetsAsksWithItsServer(Lie, SkipLocked):
    """Says that asks are on disk: they are in an unlogged table, which PostgreSQL empties after a crash."""

    lies_about = "ask.accepted_by"

    def install(self, site: Site, schema: Schema) -> None:
        super().install(site, schema)
        unlogged(site, "create_volume")


class BuffersAsks(Liar):
    """Says that the kernel has the ask, and still has it itself."""

    lies_about = "ask.accepted_by"

    class sending(honest.Sender):
        buffer: ClassVar[list[tuple[Operation, bytes]]] = []

        def ask(self, operation: Operation, body: bytes) -> None:
            self.buffer.append((operation, body))
            self.ready.append(Outcome(operation.id, Status.ACCEPTED))

        def outcomes(self, timeout: float) -> list[Outcome]:
            if not self.ready:
                while self.buffer:
                    super().ask(*self.buffer.pop(0))
                    self.ready.pop()
            return super().outcomes(timeout)


class DropsAsksWhenAway(Presence, Liar):
    """Says that the receiver may be away, and drops the ask."""

    lies_about = "ask.receiver_may_be_away"

    class sending(honest.Sender):
        def ask(self, operation: Operation, body: bytes) -> None:
            super().ask(operation, body)
            if not present(self.site, ASK_GROUP):
                self.db.execute("DELETE FROM message WHERE operation = ?", (operation.id,))


class WaitsForever(Presence, Liar):
    """Says that the receiver must be there, and says nothing when it is not."""

    lies_about = "ask.receiver_may_be_away"
    ask = replace(Honest.ask, receiver_may_be_away=False)

    class sending(honest.Sender):
        def ask(self, operation: Operation, body: bytes) -> None:
            super().ask(operation, body)
            if not present(self.site, ASK_GROUP):
                self.open[operation.id] = operation.message, time.monotonic() + 1e9
