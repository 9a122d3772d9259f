"""Another codec for the same fields."""

from __future__ import annotations

from sandbox.channel import Channel
from sandbox.coupling.change import Change, Facet, Order
from sandbox.exchange.codec import EITHER, MSGPACK
from sandbox.exchange.release import Release
from sandbox.exchange.schema import EXCHANGE, Schema

MESSAGES = tuple(EXCHANGE.messages.values())


class AnotherCodec(Change):
    """The same fields, as MessagePack instead of JSON."""

    title, facet = "another codec", Facet.TECHNOLOGY
    after = Release(Schema(MESSAGES, codec=MSGPACK))
    both = Release(Schema(MESSAGES, codec=EITHER))
    advice = "read both before anybody writes the new one"

    @classmethod
    def why_not(cls, channel: Channel, order: Order) -> str:
        """A table has columns."""
        return "typed columns" if channel.style == "db_share" else ""
