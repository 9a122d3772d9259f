"""A change: what one side does differently from now on. `changes/` holds one in each file.

    class AddRegion(Change):
        \"\"\"Every download says in which region it was.\"\"\"

        title, facet = "add a field", Facet.DATA_FORMAT
        after = Release(exchange(image_downloaded=WithRegion), SaysRegion, HearsRegion)

A change of what is said gives the release `after` it (and `both`, the release that speaks to old and new, for the
best practice). A change of place, number or time overrides the methods of `Change` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from sandbox.exchange.release import FIRST, Release
from sandbox.exchange.schema import EXCHANGE, Message, Schema, Verb

if TYPE_CHECKING:
    from sandbox.channel import Channel
    from sandbox.harness.history import Process
    from sandbox.harness.stage import Part, Stage


class Facet(StrEnum):
    """What two parties may both depend on (after Hohpe)."""

    TECHNOLOGY = "technology"
    LOCATION = "location"
    TOPOLOGY = "topology"
    DATA_FORMAT = "data format"
    SEMANTICS = "semantics"
    CONVERSATION = "conversation"
    ORDER = "order"
    TEMPORAL = "temporal"


class Order(StrEnum):
    """Who has the change first."""

    SENDER_FIRST = "sender_first"  #: the sender is new, the receiver old, and is renewed when the sender is done
    RECEIVER_FIRST = "receiver_first"  #: the receiver is new, the sender old
    BACKLOG = "backlog"  #: what the old sender has left behind is read by the new receiver


ROLL_OUTS = (Order.SENDER_FIRST, Order.RECEIVER_FIRST, Order.BACKLOG)


class Change:
    """One change. Its docstring says what happens, in a sentence or two.

    title     a few words;  facet: what it is about;  verb: the part of the exchange that it is shown on
    orders    in which orders it can be rolled out
    before, after   the releases on the two sides of it
    both      the release of the best practice: it speaks to the old ones and to the new ones
    advice    what the best practice is, in a few words, or why there is none that is better
    renamed   pairs of old and new name of fields and messages: what a migration must know
    elsewhere whether messages may lie where the channel's backlog does not look: another place, another group
    """

    title: ClassVar[str]
    facet: ClassVar[Facet]
    verb: ClassVar[Verb] = Verb.TELL
    orders: ClassVar[tuple[Order, ...]] = ROLL_OUTS
    before: ClassVar[Release] = FIRST
    after: ClassVar[Release] = FIRST
    both: ClassVar[Release | None] = None
    advice: ClassVar[str] = ""
    renamed: ClassVar[tuple[tuple[str, str], ...]] = ()
    elsewhere: ClassVar[bool] = False
    #: groups of listeners that the sender knows from the start, and those that should have everything in the end
    groups: tuple[str, ...] = ("metering",)
    expecting: tuple[str, ...] = ("metering",)
    #: s that the receivers come after the sender has begun;  operations of a trial;  s of work for each
    away: ClassVar[float] = 0.0
    operations: ClassVar[int] = 16
    service: ClassVar[float] = 0.0

    def __init__(self, order: Order, practised: bool) -> None:
        """For one trial: in this order, with the best practice or without."""
        self.order, self.practised = order, practised

    @classmethod
    def name(cls) -> str:
        """The name by which it is listed: the class name in lower case with underscores."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")

    @classmethod
    def why_not(cls, channel: Channel, order: Order) -> str:
        """Why this channel cannot be changed so, in a few words; "" when it can."""
        return ""

    @classmethod
    def has_practice(cls, channel: Channel) -> bool:
        """Whether there is a best practice that can be tried; else `advice` says why not."""
        return cls.both is not None

    # --- for changes of place, number and time ----------------------------------------------

    def is_new(self, process: Process) -> bool:
        """Whether a process is on the changed side from the start."""
        from sandbox.harness.history import Role

        sender = process.role is Role.SENDER and not process.name.startswith("reader")
        return sender if self.order is Order.SENDER_FIRST else not sender

    def prepare(self, stage: Stage) -> None:
        """Before the channel is installed."""

    def part(self, process: Process, part: Part, new: bool) -> Part:
        """The part of a participant, `new` or not, after its release was chosen."""
        return part

    def installed(self, stage: Stage) -> None:
        """The channel is installed; nobody is on stage."""

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """Who is there from the start, instead of those who usually are."""
        return usual

    def newcomers(self) -> list[Process]:
        """Receivers that there were none of before the change. They come with the new receivers."""
        return []

    def end(self, stage: Stage) -> None:
        """The run is over: take back what `installed` has done."""

    def group_of(self, process: Process) -> str:
        """On which group's account the effects of a receiver stand."""
        return process.group


def exchange(*more: Message, without: Sequence[str] = (), version: str = "1.0", **bodies: type[Struct]) -> Schema:
    """`EXCHANGE` with other bodies for the messages named, some messages more, and some without."""
    messages = [
        replace(message, body=bodies.get(name, message.body))
        for name, message in EXCHANGE.messages.items()
        if name not in without
    ]
    return Schema([*messages, *more], version)


class Body(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the bodies of a change: strict, as those of release 1 are."""


def carry(body: Struct, kind: type[Struct], **fields: Any) -> Any:
    """A `kind` with the fields that both have, and those given."""
    known = {name: getattr(body, name) for name in kind.__struct_fields__ if hasattr(body, name)}
    return kind(**{**known, **fields})
