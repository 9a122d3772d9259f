"""What a channel promises, verb by verb. Declared here, proved by `sandbox.conformance`.

Every field below is checked against the running channel; a channel that promises more than it
holds is rejected, and so is one that promises less on a point that a user would rely on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sandbox.exchange.schema import Verb


class Support(StrEnum):
    """How a style comes by a verb."""

    NATURAL = "natural"  #: it is what the style was made for
    LAYERED = "layered"  #: built on top of it, at a price that the charts show
    ABSENT = "absent"  #: not offered; the harness skips it and says so


class Delivery(StrEnum):
    """What happens to an operation whose receiver dies before it has settled."""

    AT_MOST_ONCE = "at most once"  #: never delivered again; may be lost, but then not acknowledged or declared so
    AT_LEAST_ONCE = "at least once"  #: delivered again, to the same or another receiver; may be worked twice
    NONE = "none"  #: never delivered at all (the null channel)


class Acceptor(StrEnum):
    """Who has the operation when the sender is told that it was accepted."""

    NOBODY = "nobody"  #: the sender's own memory
    KERNEL = "kernel"  #: the operating system: survives the sender's death, not a power cut
    PEER = "peer"  #: the receiver has settled it
    SERVER = "server"  #: a broker or database: survives the sender, and its own kill up to its flush interval
    DISK = "disk"  #: flushed to disk before it was acknowledged


class Order(StrEnum):
    """In which order one receiver sees the operations of one sender (without redeliveries)."""

    PER_SENDER = "per sender"
    NONE = "none"


class Reads(StrEnum):
    """What a reader of shared state may see."""

    LATEST = "latest"  #: a read begun after a write was accepted sees that write or a later one
    MONOTONIC = "monotonic"  #: may be stale, but never goes back to an older version


@dataclass(frozen=True)
class Tell:
    """Promises for *tell*: one message, nobody answers."""

    support: Support
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    order: Order = Order.NONE
    accepted_by: Acceptor = Acceptor.NOBODY
    receiver_may_be_away: bool = False  #: accepted while no receiver runs, and delivered when one comes
    one_to_many: Support = Support.ABSENT  #: every group gets its own copy


@dataclass(frozen=True)
class Ask:
    """Promises for *ask*: a request and its answer."""

    support: Support
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    accepted_by: Acceptor = Acceptor.NOBODY
    receiver_may_be_away: bool = False  #: a request made while no receiver runs is answered when one comes


@dataclass(frozen=True)
class Share:
    """Promises for *share*: state written by one, read by many."""

    support: Support
    reads: Reads = Reads.MONOTONIC
    accepted_by: Acceptor = Acceptor.NOBODY
    needs_owner: bool = False  #: reads and writes go through an owner process that must be up


@dataclass(frozen=True)
class Guarantees:
    """All promises of one channel."""

    tell: Tell
    ask: Ask
    share: Share
    max_bytes: int = 1 << 20  #: longest encoded body that is taken; anything longer is refused as TooLarge

    def of(self, verb: Verb) -> Tell | Ask | Share:
        """The promises for one verb."""
        if verb is Verb.TELL:
            return self.tell
        return self.ask if verb is Verb.ASK else self.share
