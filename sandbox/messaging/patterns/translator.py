"""Message translator: two parties that believe in different schemas, and neither has to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from sandbox.exchange.schema import Operation
from sandbox.messaging.patterns.pipe import Pipe
from sandbox.messaging.patterns.step import Step


@dataclass(frozen=True)
class Translator(Step):
    """Puts each message into the words of the other side's schema: names, fields, units.

    outlet    where the translation goes; it must fit that pipe's schema
    into      name of a message -> name of its translation and a function from body to body

    What has no translation, or one that does not fit the other schema, is set aside with the reason: a guess
    would be billed. Wrong units do fit, and no schema notices: that is what the bill is for.

    Duplicates and order as for every `Step`; the translation keeps the id, so it can still be told apart.
    """

    outlet: Pipe
    into: Mapping[str, tuple[str, Callable[[Struct], Struct]]]

    def forward(self, operation: Operation) -> list[tuple[Pipe, Operation]]:
        """See `Step.forward`."""
        self.source.schema.message(operation.message)
        if operation.message not in self.into:
            raise LookupError(f"no translation of {operation.message}")
        name, translate = self.into[operation.message]
        translated = Operation(operation.id, name, translate(operation.body))
        self.outlet.schema.check(translated)
        return [(self.outlet, translated)]
