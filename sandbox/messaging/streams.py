"""Streams with consumer groups on Valkey or Redis: settled after the work, so nothing accepted is lost.

    tell    an event appended to one stream, which each group of listeners reads at its own pace
    ask     an event appended to another stream; the answer goes to the stream that the return address
            names, and finds its ask by correlation identifier
    share   states as events: every reader folds them into a replica of its own, and reads only that

A claim lapses after `lease` s: receivers look every quarter of it for claims to take over, so an operation
whose receiver died is delivered again after 1 to 1.25 leases. Entries stay in the streams until `uninstall`.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from typing import ClassVar

from sandbox.channel import ASK_GROUP, Backlog, Channel
from sandbox.errors import BadArgument, ConnectionLost, RunFailed
from sandbox.exchange.schema import Schema, Verb
from sandbox.guarantees import Acceptor, Ask, Guarantees, Order, Reads, Share, Support, Tell
from sandbox.messaging import pending
from sandbox.messaging.connection import CONNECT, Address, Line, open_line
from sandbox.messaging.entries import Keys
from sandbox.messaging.pending import LONGEST
from sandbox.messaging.streams_receiver import Delivery, Place, Receiver
from sandbox.messaging.streams_sender import Sender
from sandbox.site import Site

__all__ = ["Delivery", "Receiver", "Sender", "Streams"]


@dataclass(frozen=True)
class Streams(Channel):
    """Events in streams.

    lease    seconds until a claim that was not settled lapses
    timeout  seconds until an operation without its outcome is reported UNKNOWN
    flush    the broker flushes to disk before it accepts; needs a server that is set so
    """

    lease: float = 2.0
    timeout: float = 5.0
    flush: bool = False

    style: ClassVar[str] = "messaging"
    needs = ("redis",)

    def __post_init__(self) -> None:
        for knob, value in (("lease", self.lease), ("timeout", self.timeout)):
            if not 0.01 <= value <= LONGEST:
                raise BadArgument(knob, expected=f"0.01 to {LONGEST:g} s", got=value)
        if self.flush:  # this value needs another server than its class
            object.__setattr__(self, "needs", ("redis_always",))

    @property
    def guarantees(self) -> Guarantees:
        """Accepted into the broker's memory (a power cut may cost a second), with `flush` onto its disk."""
        accepted_by = Acceptor.DISK if self.flush else Acceptor.SERVER
        return Guarantees(
            tell=Tell(
                Support.NATURAL,
                order=Order.PER_SENDER,
                accepted_by=accepted_by,
                receiver_may_be_away=True,
                one_to_many=Support.NATURAL,
            ),
            ask=Ask(Support.LAYERED, accepted_by=accepted_by, receiver_may_be_away=True),
            share=Share(Support.LAYERED, Reads.MONOTONIC, accepted_by),
        )

    def install(self, site: Site, schema: Schema) -> None:
        """Make the streams and all groups. Raises `RunFailed` when the site's name is in use already."""
        keys = Keys.of(site)
        with closing(open_line(self._address(site), CONNECT)) as line:
            for stream, group in [*((keys.tells, group) for group in site.groups), (keys.asks, ASK_GROUP)]:
                line.call("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")

    def admit(self, site: Site, group: str) -> None:
        """See `Channel.admit`. The stream makes the copies: the group gets what anybody tells from now on."""
        with closing(open_line(self._address(site), CONNECT)) as line:
            try:
                line.call("XGROUP", "CREATE", Keys.of(site).tells, group, "$")
            except RunFailed as refused:
                if "BUSYGROUP" not in str(refused):
                    raise

    def uninstall(self, site: Site) -> None:
        """Delete every key of the run."""
        cursor: bytes = b"0"
        with closing(open_line(self._address(site), CONNECT)) as line:
            while True:
                cursor, found = line.call("SCAN", cursor, "MATCH", Keys.of(site).pattern, "COUNT", 1000)
                if found:
                    line.call("UNLINK", *found)
                if cursor == b"0":
                    return

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`. Raises `ServerUnavailable` when there is no broker."""
        return Sender(self._address(site), Keys.of(site), schema, name, self.timeout, self.guarantees.max_bytes)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`. Raises `ServerUnavailable` when there is no broker."""
        groups = (*site.groups, ASK_GROUP)
        if group not in groups:
            raise BadArgument("group", expected=f"one of {', '.join(groups)} (nobody owns the states)", got=group)
        verb = Verb.ASK if group == ASK_GROUP else Verb.TELL
        place = Place(Keys.of(site), verb, group, name, self.lease)
        return Receiver(self._address(site), place, schema, self.guarantees.max_bytes)

    def backlog(self, site: Site) -> Backlog | None:
        """See `Channel.backlog`. None while there is no broker to ask."""
        with suppress(ConnectionLost), closing(Line(self._address(site), CONNECT)) as line:
            return pending.count(line, site, Keys.of(site), self.lease)
        return None

    def _address(self, site: Site) -> Address:
        return Address.parse(site.address(self.needs[0]))
