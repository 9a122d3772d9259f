"""Faults that stand between a sender and its channel: what is handed over is not what the sender meant to."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from sandbox.channel import Backlog, Channel, Outcome, Receiver
from sandbox.channel import Sender as End
from sandbox.exchange.schema import Operation, Schema
from sandbox.faults.switch import HookedFault, Within
from sandbox.guarantees import Guarantees
from sandbox.harness.stage import Part
from sandbox.site import Site


class Sender(End):
    """The sender's end with somebody in between, who passes everything on. Override what is to be different.

    hook.switch.on says whether the fault is open; hook.strike(operation) puts on record that it strikes.
    """

    def __init__(self, hook: Within, inner: End) -> None:
        self.hook, self.inner = hook, inner

    def begin(self, operation: Operation) -> None:
        """See `channel.Sender.begin`."""
        self.inner.begin(operation)

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`."""
        found = self.inner.outcomes(timeout)
        self.late = self.inner.late
        return found

    def close(self) -> None:
        """See `channel.Sender.close`."""
        self.inner.close()


class Meddling(HookedFault):
    """A fault of a sender's hand-over. Override `meddle`."""

    @abstractmethod
    def meddle(self, hook: Within, inner: End, another: Callable[[], End]) -> Sender:
        """The end that the sender gets, around its own one; `another` opens a second one."""

    def change(self, part: Part, hook: Within) -> Part:
        """See `HookedFault.change`."""
        return replace(part, channel=Meddled(part.channel, self, hook)).hooked(hook)


@dataclass(frozen=True)
class Meddled(Channel):
    """A channel whose sending ends have somebody in between."""

    channel: Channel
    fault: Meddling
    hook: Within

    sound: ClassVar[bool] = False

    @property
    def guarantees(self) -> Guarantees:
        """Those of the channel."""
        return self.channel.guarantees

    def install(self, site: Site, schema: Schema) -> None:
        """That of the channel."""
        self.channel.install(site, schema)

    def sender(self, site: Site, schema: Schema, name: str) -> End:
        """The channel's, and somebody in between."""
        own = self.channel.sender(site, schema, name)
        return self.fault.meddle(self.hook, own, partial(self.channel.sender, site, schema, f"{name}-again"))

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """That of the channel."""
        return self.channel.receiver(site, schema, group, name)

    def backlog(self, site: Site) -> Backlog | None:
        """That of the channel."""
        return self.channel.backlog(site)
