"""Content-based router: what a message says decides where it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandbox.errors import Malformed
from sandbox.exchange.schema import Operation
from sandbox.messaging.patterns.pipe import Pipe
from sandbox.messaging.patterns.step import Step


@dataclass(frozen=True)
class ContentRouter(Step):
    """Sends each operation to the first route whose predicate holds, unchanged.

    routes     pairs of predicate and pipe, tried in this order
    otherwise  for what no route takes; without one it is set aside, for nothing may vanish for want of a route

    Duplicates and order as for every `Step`. Between two routes there is no order any more: what one project
    sent last over the quick route overtakes what it sent first over the slow one.
    """

    routes: Sequence[tuple[Callable[[Operation], bool], Pipe]]
    otherwise: Pipe | None = None

    def forward(self, operation: Operation) -> list[tuple[Pipe, Operation]]:
        """See `Step.forward`."""
        for applies, pipe in self.routes:
            if applies(operation):
                return [(pipe, operation)]
        if self.otherwise is None:
            raise Malformed(f"no route for {operation.message} {operation.id}")
        return [(self.otherwise, operation)]
