"""A pipe: one channel, installed at one place, as one party sees it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.channel import Channel, Outcome, Receiver, Sender, is_final
from sandbox.errors import TimedOut
from sandbox.exchange.schema import EXCHANGE, Operation, Schema
from sandbox.site import Site

if TYPE_CHECKING:
    from sandbox.harness.session import Session

_names = itertools.count(1)


@dataclass(frozen=True)
class Pipe:
    """Any channel between two steps; a value, able to travel to another process.

    schema  what this party believes the messages look like
    """

    channel: Channel
    site: Site
    schema: Schema = EXCHANGE

    @classmethod
    def lay(
        cls,
        channel: str | type[Channel] | Channel,
        groups: Iterable[str] = ("metering",),
        schema: Schema = EXCHANGE,
        session: Session | None = None,
        **knobs: Any,
    ) -> Pipe:
        """A new one, with the groups that will listen; `channel`, session and knobs as for `sandbox.run`."""
        from sandbox.catalogue import find
        from sandbox.harness.session import default_session

        found = find(channel, **knobs)
        pipe = cls(found, (session or default_session()).site(found, groups), schema)
        found.install(pipe.site, schema)
        return pipe

    def read_as(self, schema: Schema) -> Pipe:
        """The same pipe, seen by somebody who believes in another schema."""
        return replace(self, schema=schema)

    def sender(self, name: str) -> Sender:
        """Open a sending end."""
        return self.channel.sender(self.site, self.schema, name)

    def receiver(self, group: str, name: str) -> Receiver:
        """Open a receiving end."""
        return self.channel.receiver(self.site, self.schema, group, name)

    def send(self, *operations: Operation, patience: float = 5.0) -> list[Outcome]:
        """Begin all in this order and return their final outcomes; `TimedOut` if some have none after `patience` s."""
        with closing(self.sender(_name("sender"))) as sender:
            for operation in operations:
                sender.begin(operation)
            names = {operation.id: operation.message for operation in operations}
            found: list[Outcome] = []
            deadline = time.monotonic() + patience
            while len(found) < len(operations):
                if time.monotonic() > deadline:
                    raise TimedOut(f"{len(operations) - len(found)} operations without an outcome after {patience:g} s")
                new = sender.outcomes(0.05)
                found += [o for o in new if is_final(self.schema, names[o.operation], o.status)]
        return found

    def receive(self, group: str, count: int, patience: float = 5.0) -> list[Operation]:
        """Take and settle until there are `count`, or until none has come for `patience` s; in order of delivery."""
        found: list[Operation] = []
        with closing(self.receiver(group, _name("receiver"))) as receiver:
            deadline = time.monotonic() + patience
            while len(found) < count and time.monotonic() < deadline:
                for delivery in receiver.take(0.05, count - len(found)):
                    found.append(delivery.operation)
                    delivery.settle()
                    deadline = time.monotonic() + patience
        return found

    def remove(self) -> None:
        """Remove what it has made on shared servers."""
        self.channel.uninstall(self.site)


def _name(role: str) -> str:
    return f"{role}-{os.getpid()}-{next(_names)}"
