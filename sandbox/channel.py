"""The contract: one way to integrate two parties.

    Channel   a value that describes the way; makes the two ends, travels to other processes
    Sender    begin(operation) hands over and never waits; outcomes() tells what became of it
    Receiver  take() claims deliveries; receivers of one group compete, each group has its own copy
    Delivery  reply, settle, release, set_aside - replying and settling are separate acts, so that
              settling before or after the work is a policy of the user, not of the channel

Groups. A *tell* goes to every group of listeners in `site.groups`; an *ask* goes to the one
group `ASK_GROUP`; *share*, where a channel needs an owner for it, goes to `OWNER_GROUP`, which has
exactly one receiver. A channel that shares state directly (a table, a snapshot) has no owner.

A channel knows nothing of the harness. The shortest way to write one is `sandbox.minimal`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

import msgspec
from msgspec import Struct

from sandbox.exchange.schema import Operation, Schema, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.errors import Refusal
    from sandbox.guarantees import Guarantees
    from sandbox.site import Site

ASK_GROUP = "volumes"
OWNER_GROUP = "states"


class Status(IntEnum):
    """What became of an operation, as its sender knows it."""

    ACCEPTED = 1  #: handed to the acceptor that the channel declares; final for a tell and a write
    ANSWERED = 2  #: the answer (or refusal) is here; final for an ask and a read
    FAILED = 3  #: certainly did not happen
    UNKNOWN = 4  #: nobody can say whether it happened


class Outcome(Struct, frozen=True):
    """One report on one operation. An ask may report ACCEPTED before it reports a final status."""

    operation: int
    status: Status
    answer: Struct | Refusal | None = None
    reason: str = ""


class Sender(ABC):
    """The sending end. Used by one thread of one process."""

    @abstractmethod
    def begin(self, operation: Operation) -> None:
        """Hand over one operation; never wait for its outcome (so that open loop is possible).

        Raises a `Definite` error (`TooLarge`, `Malformed`) for one that cannot be sent at all; it
        then has no outcome. Everything later, a lost connection included, is reported by `outcomes`.
        """

    @abstractmethod
    def outcomes(self, timeout: float) -> list[Outcome]:
        """What became known since the last call; waits up to `timeout` s (0: only looks) for the first.

        May return at once when nothing is open.

        Each operation gets exactly one final outcome, unless it is still open when the sender
        closes. An answer that comes after UNKNOWN was reported is dropped and counted in `late`.
        """

    def close(self) -> None:
        """Give back sockets and files. Open operations stay open: their outcome is indeterminate."""

    #: answers that came after their operation had been reported UNKNOWN
    late: int = 0


class Delivery(ABC):
    """One claimed operation.

    operation  decoded and validated against the receiver's schema
    attempt    1 for the first delivery, counting up where the channel knows of earlier ones
    """

    operation: Operation
    attempt: int

    @abstractmethod
    def reply(self, result: Struct | Refusal) -> None:
        """Send the answer to whoever asked. Does not settle. No-op for messages without an answer."""

    @abstractmethod
    def settle(self) -> None:
        """Done with it: it is not delivered to this group again.

        May be carried out lazily, at the latest when the receiver's next `take` returns or it is
        closed; a receiver that dies before then gets (or gives) the operation again.
        """

    @abstractmethod
    def release(self, delay: float = 0.0) -> None:
        """Give it back to be delivered again, not before `delay` seconds (at-most-once: raises BadArgument)."""

    @abstractmethod
    def set_aside(self, reason: str) -> None:
        """Move it to the dead letter channel, with the reason; it is not delivered again."""


class Receiver(ABC):
    """The receiving end of one group. Used by one thread of one process."""

    @abstractmethod
    def take(self, timeout: float, limit: int = 1) -> list[Delivery]:
        """Claim up to `limit` deliveries, waiting up to `timeout` s for the first.

        A claim that is neither settled, released nor set aside within the channel's lease (or
        whose receiver has died, where the channel notices) is delivered again.
        """

    def close(self) -> None:
        """Carry out what was settled lazily; give back sockets and files. Open claims lapse."""

    #: reason of every input that was refused and set aside because it was not a message of the schema
    refused: list[str]


@dataclass(frozen=True)
class Backlog:
    """What lies in the channel, so that "drained" can be decided and not guessed.

    ready      operations, over all groups, that nobody has claimed
    claimed    operations that are claimed and not settled
    lease      seconds until the last of these claims lapses (0.0 when there is none)
    set_aside  operations and refused inputs in the dead letter channel
    """

    ready: int
    claimed: int
    lease: float = 0.0
    set_aside: int = 0


class Channel(ABC):
    """One way to integrate two parties; subclasses are frozen dataclasses whose fields are knobs.

    style   "file_share", "db_share", "rpc", "messaging" or your own word: decides colour and place in charts
    needs   media whose servers the session must provide: "postgres", "redis"
    sound   whether it is meant to hold in production (the naive siblings are not)
    """

    style: ClassVar[str] = "custom"
    needs: ClassVar[tuple[str, ...]] = ()
    sound: ClassVar[bool] = True

    @property
    @abstractmethod
    def guarantees(self) -> Guarantees:
        """What this channel, with its knobs as they are, promises."""

    @abstractmethod
    def install(self, site: Site, schema: Schema) -> None:
        """Make folders, tables, streams. Called once, before any end is opened.

        Every group of listeners in `site.groups` is known by now: nothing told later may miss one.
        """

    @abstractmethod
    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """Open a sending end. `name` is unique within the run and is its return address."""

    @abstractmethod
    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """Open a receiving end in a group; `name` is unique within the run."""

    @abstractmethod
    def backlog(self, site: Site) -> Backlog | None:
        """What lies in the channel now, seen from outside (no end needs to be open); None: it cannot tell."""

    def admit(self, site: Site, group: str) -> None:
        """Let one more group of listeners in, after `install`; for one that is in already, nothing changes.

        It gets what is told from now on: in a medium where the copies are made behind the sender, by everybody;
        in any other by the senders that are opened with a site whose `groups` name it. Its receivers are opened with
        such a site too. Default: nothing to do, the medium needs no preparing for a group.
        """

    def migrate(self, site: Site, old: Schema, new: Schema, renamed: Mapping[str, str]) -> tuple[str, ...]:
        """Change what `install` made for schema `old` into what it makes for `new`, with all that lies in it.

        `renamed` tells a name of a message or a field in `old` from its new one; whatever else is not in `new` is
        removed, with its content. All or nothing; ends may be open meanwhile, and meet the new form from then on.
        Returns the statements that were carried out. Default: none, the medium itself knows no schema.
        """
        return ()

    def uninstall(self, site: Site) -> None:
        """Remove what `install` made on shared servers. Files under `site.folder` are removed by the session."""

    @classmethod
    def title(cls) -> str:
        """The name by which it is listed: the class name in lower case with underscores."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")


def is_final(schema: Schema, message: str, status: Status) -> bool:
    """Whether `status` is the last one that an operation will get."""
    return status is not Status.ACCEPTED or schema.messages[message].answer is None


class Envelope(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The header that styles without columns of their own put around a body, by the schema's codec.

    id        the operation's id: correlation identifier of its answer
    message   name of the message, which selects the class of the body
    body      the body, still encoded, so that the right class can decode it
    sender    return address
    version   the sender's schema version
    """

    id: Whole
    message: str
    body: msgspec.Raw
    sender: str = ""
    version: str = "1.0"
