"""Messages out of order."""

from __future__ import annotations

from typing import Any

from sandbox.channel import Channel
from sandbox.coupling.change import Change, Facet, Order
from sandbox.exchange.release import FIRST, Listener, Release, Speaker
from sandbox.exchange.schema import Operation, SetState, Verb


class Swaps(Speaker):
    def arrange(self, operations: list[Operation]) -> list[Operation]:
        """The last two writes of every volume change places."""
        last: dict[int, list[int]] = {}
        for index, operation in enumerate(operations):
            if isinstance(operation.body, SetState):
                last[operation.body.volume] = [*last.get(operation.body.volume, []), index][-2:]
        for pair in last.values():
            operations[pair[0]], operations[pair[-1]] = operations[pair[-1]], operations[pair[0]]
        return operations


class KeepsTheNewest(Listener):
    """Passes over a write that is older than what it has."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}

    def understand(self, body: Any) -> Any:
        if isinstance(body, SetState):
            if body.version < self._newest.get(body.volume, 0):
                return None
            self._newest[body.volume] = body.version
        return body


class OutOfOrder(Change):
    """A retry or a second connection lets the last write of a volume arrive before the one it follows."""

    title, facet, verb = "messages out of order", Facet.ORDER, Verb.SHARE
    orders = (Order.SENDER_FIRST,)
    after = Release(FIRST.schema, Swaps)
    both = Release(FIRST.schema, Swaps, KeepsTheNewest)
    advice = "an owner in front that compares versions"

    @classmethod
    def has_practice(cls, channel: Channel) -> bool:
        """Where an owner stands in front of the state, it can compare."""
        return channel.guarantees.share.needs_owner

    def is_new(self, process: object) -> bool:
        """The owner is renewed with the writer."""
        return True
