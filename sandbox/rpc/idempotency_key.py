"""A call that is made again under the same key, at a receiver that knows which keys it has done.

The sender is that of `blind_retry`. The operation's id is the key, the same at each attempt. The receivers of a
group share a memory (`sandbox.idempotent`): what was done is not done again, and the answer that was given is given
again, also by another receiver than the one that gave it. An attempt that comes while the first one is
at work waits for its end.

How long it remembers is a knob. An attempt that comes after `keep` s is a new operation, so `keep` has to be longer
than any sender goes on trying: here attempts * (timeout + pause), and as long as the receivers may be paused.

After a restart the receiver still knows what it had *noted*, for the memory is a file (with `memory="process"` it
knows nothing, and each call that is made again is worked again). What was at work when it was killed is in doubt: it
may or may not be done. It is worked again, so one window for a second volume remains, from the work to the note: that
is microseconds and not the seconds of a timeout. Only a note within the same transaction as the work leaves none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from sandbox.exchange.schema import Schema
from sandbox.idempotent import Delivery, Receiver, Where, check_memory, create_memory, open_memory
from sandbox.rpc.blind_retry import BlindRetry, Sender
from sandbox.site import Site

__all__ = ["Delivery", "IdempotencyKey", "Receiver", "Sender"]


@dataclass(frozen=True)
class IdempotencyKey(BlindRetry):
    """Calls that are made again and worked once.

    memory  "file": shared by the group, survives a killed receiver; "process": neither
    keep    s for which an answer is remembered
    most    answers that are remembered
    work    s that a piece of work may take; after that it is in doubt although its receiver lives
    """

    memory: Where = "file"
    keep: float = 60.0
    most: int = 100_000
    work: float = 30.0

    sound: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_memory(self.memory, keep=self.keep, most=self.most, work=self.work)

    def install(self, site: Site, schema: Schema) -> None:
        """See `Channel.install`."""
        super().install(site, schema)
        create_memory(self.memory, site)

    def admit(self, site: Site, group: str) -> None:
        """See `Channel.admit`."""
        super().admit(site, group)
        create_memory(self.memory, replace(site, groups=(group,)))

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`."""
        inner = super().receiver(site, schema, group, name)
        return Receiver(inner, open_memory(self, site, group, name, inner), schema)
