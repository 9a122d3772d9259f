"""The null channel: accepts everything at once and delivers nothing.

What a run costs on it is what the harness itself costs: pacing, journals, accounts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from sandbox import channel
from sandbox.channel import Backlog, Channel, Outcome, Status
from sandbox.exchange.schema import Operation, Schema
from sandbox.guarantees import Acceptor, Ask, Delivery, Guarantees, Share, Support, Tell
from sandbox.site import Site


@dataclass(frozen=True)
class Null(Channel):
    """Tell only: accepted by nobody, delivered never."""

    style: ClassVar[str] = "null"
    sound: ClassVar[bool] = False

    @property
    def guarantees(self) -> Guarantees:
        """None to speak of."""
        return Guarantees(
            tell=Tell(Support.LAYERED, Delivery.NONE, accepted_by=Acceptor.NOBODY),
            ask=Ask(Support.ABSENT),
            share=Share(Support.ABSENT),
        )

    def install(self, site: Site, schema: Schema) -> None:
        """Nothing to make."""

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`."""
        return Sender()

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`."""
        return Receiver()

    def backlog(self, site: Site) -> Backlog:
        """Always empty, truthfully."""
        return Backlog(0, 0)


class Sender(channel.Sender):
    """Accepts at once."""

    def __init__(self) -> None:
        self._accepted: list[Outcome] = []

    def begin(self, operation: Operation) -> None:
        """See `channel.Sender.begin`."""
        self._accepted.append(Outcome(operation.id, Status.ACCEPTED))

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`."""
        if not self._accepted and timeout:
            time.sleep(timeout)
        accepted, self._accepted = self._accepted, []
        return accepted


class Receiver(channel.Receiver):
    """Never gets anything."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`."""
        time.sleep(timeout)
        return []
