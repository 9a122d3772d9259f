"""The receiver is away, or slow, while the sender sends."""

from __future__ import annotations

from sandbox.coupling.change import Change, Facet, Order
from sandbox.exchange.schema import Verb

ONCE = (Order.RECEIVER_FIRST,)


class ReceiverAway(Change):
    """The receiver is away while everything is sent, and comes half a second later."""

    title, facet, orders = "the receiver is away", Facet.TEMPORAL, ONCE
    away = 0.5
    advice = "store it in between: another style"


class ReceiverSlow(Change):
    """Each volume takes 0.4 s of work, five are asked for at once; whoever asks waits for a second."""

    title, facet, orders, verb = "the receiver is slower than patience", Facet.TEMPORAL, ONCE, Verb.ASK
    operations, service = 5, 0.4
    advice = "a time-out longer than the queue; or cast, and ask later"
