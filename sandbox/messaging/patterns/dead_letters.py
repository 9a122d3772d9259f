"""Dead letter channel: what was set aside, looked at and, after the repair, given back."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from sandbox.channel import Outcome, Status
from sandbox.exchange.schema import Operation
from sandbox.messaging.patterns.pipe import Pipe
from sandbox.messaging.patterns.shelves import DeadLetter, shelf_of


@dataclass(frozen=True)
class DeadLetters:
    """The dead letter channel of a pipe.

    Duplicates: what is replayed goes to every group of the pipe once more, under its old id, also to those that had
    understood it the first time; give a pipe of the one group as `to` where they are not idempotent. A replayer that
    dies between acceptance and removal leaves the letter, to be replayed once more. Order: it comes after everything.
    """

    pipe: Pipe

    def look(self) -> list[DeadLetter]:
        """All of them, oldest first, of each group."""
        return shelf_of(self.pipe.channel, self.pipe.site).letters()

    def replay(self, letter: DeadLetter, body: Struct | None = None, to: Pipe | None = None) -> Outcome:
        """Begin it again and remove the letter once it was accepted; `Malformed` where it needs repair first.

        body  the repaired body; without one it is read again, by the schema that the pipe has now
        to    where it goes instead
        """
        to = to or self.pipe
        body = body or to.schema.decode(letter.message, letter.payload)
        (outcome,) = to.send(Operation(letter.id, letter.message, body))
        if outcome.status in (Status.ACCEPTED, Status.ANSWERED):
            shelf_of(self.pipe.channel, self.pipe.site).remove(letter)
        return outcome
