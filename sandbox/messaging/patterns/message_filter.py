"""Message filter: lets pass what somebody wants to hear, so that they need not know the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.exchange.schema import Operation
from sandbox.messaging.patterns.pipe import Pipe
from sandbox.messaging.patterns.step import Step


@dataclass(frozen=True)
class MessageFilter(Step):
    """Passes on, unchanged, what matches every expression; the rest is settled and gone, without a trace.

    outlet    where what matches goes
    matching  field -> regular expression that its text must match from the beginning, as in OpenStack's
              `NotificationFilter`; the field "message" is the name of the message, and a field that a message does
              not have does not match

    Duplicates and order as for every `Step`. What a filter drops looks, from outside, just like a loss: an
    expression with a typing error is a silent failure. `Running.stop` says how many were dropped.
    """

    outlet: Pipe
    matching: Mapping[str, str]

    def forward(self, operation: Operation) -> list[tuple[Pipe, Operation]]:
        """See `Step.forward`."""
        return [(self.outlet, operation)] if self.lets_pass(operation) else []

    def lets_pass(self, operation: Operation) -> bool:
        """Whether every expression matches."""
        return all(
            (value := _value(operation, name)) is not None and re.match(expression, str(value))
            for name, expression in self.matching.items()
        )


def _value(operation: Operation, name: str) -> object:
    return operation.message if name == "message" else getattr(operation.body, name, None)
