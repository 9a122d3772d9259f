"""Wire tap: somebody listens in, and neither side is touched."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.exchange.schema import Operation
from sandbox.messaging.patterns.pipe import Pipe
from sandbox.messaging.patterns.step import Step


@dataclass(frozen=True)
class WireTap(Step):
    """Copies everything to a pipe of its own.

    tap     where the copies go
    onward  where the original goes, for a channel in which everyone competes (asks; a channel without groups):
            the tap then stands inline, and when it is down, nothing passes

    Where the source gives every group a copy, the tap is just one more group, and `onward` stays empty: producer
    and consumers notice nothing, and a tap that is down misses nothing either. Joining the group of a consumer
    instead steals from it: of two that compete, each gets a part.

    Duplicates and order as for every `Step`. Inline, the copy goes out first: what was acted upon is on record.
    """

    tap: Pipe
    onward: Pipe | None = None

    def forward(self, operation: Operation) -> list[tuple[Pipe, Operation]]:
        """See `Step.forward`."""
        copies = [(self.tap, operation)]
        return copies if self.onward is None else [*copies, (self.onward, operation)]
