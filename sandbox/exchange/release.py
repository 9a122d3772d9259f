"""A release: one version of the services, as one party of a run was built.

The business - bills, volumes, states - is written once, in terms of `EXCHANGE`. A release is what stands around it:
the messages it knows (`schema`), how it says what is meant in them (`Speaker`), and how it understands
what it gets (`Listener`). Two parties of one run may be of different releases: that is how change is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from sandbox.errors import BadArgument, Refusal
from sandbox.exchange.parties import Effect, Party
from sandbox.exchange.schema import EXCHANGE, Operation, Schema


class Speaker:
    """The sending side of release 1: it says what is meant as it is."""

    def say(self, meant: Struct) -> Struct | tuple[Struct, ...]:
        """The message, or messages, that say what is meant; none: ()."""
        return meant

    def hear(self, answer: Struct) -> Struct:
        """An answer, in terms of the business."""
        return answer

    def arrange(self, operations: list[Operation]) -> list[Operation]:
        """The order in which they are sent."""
        return operations


class Listener:
    """The receiving side of release 1: it takes what it gets as it is. One object for the life of a receiver."""

    def understand(self, body: Struct) -> Struct | None:
        """A message, in terms of the business; None when there is nothing to do about it."""
        return body

    def answer(self, result: Struct) -> Struct:
        """What the business answers, as this release says it."""
        return result


@dataclass(frozen=True)
class Release:
    """One version of the services; a value that travels to the participant."""

    schema: Schema = EXCHANGE
    speaker: type[Speaker] = Speaker
    listener: type[Listener] = Listener

    def speaking(self, meant: Sequence[Operation]) -> tuple[Speaker, list[Operation]]:
        """The speaker, and the operations as it says them. What says one thing in two messages gives both its id."""
        speaker = self.speaker()
        if self.speaker is Speaker:
            return speaker, list(meant)
        said: list[Operation] = []
        for operation in meant:
            bodies = speaker.say(operation.body)
            for body in bodies if isinstance(bodies, tuple) else (bodies,):
                said.append(Operation(operation.id, self._name_of(type(body)), body))
        return speaker, speaker.arrange(said)

    def _name_of(self, body: type[Struct]) -> str:
        """The message whose body is of this class, or of a subclass that reads more tolerantly."""
        for name, message in self.schema.messages.items():
            if issubclass(message.body, body):
                return name
        known = ", ".join(message.body.__name__ for message in self.schema.messages.values())
        raise BadArgument("what the speaker says", expected=f"a body of this release's schema ({known})", got=body)

    def party(self, business: Party) -> Party:
        """The business as this release understands it."""
        return business if self.listener is Listener else _Understanding(business, self.listener())


class _Understanding(Party):
    """The business behind a listener."""

    def __init__(self, business: Party, listener: Listener) -> None:
        self._business, self._listener = business, listener

    def work(self, body: Struct) -> Effect | None:
        """What is understood is done; its answer is said as the listener says it."""
        meant = self._listener.understand(body)
        if meant is None:
            return None
        check(meant)
        effect = self._business.work(meant)
        if effect is None or effect.answer is None or isinstance(effect.answer, Refusal):
            return effect
        return effect._replace(answer=self._listener.answer(effect.answer))


def check(meant: Struct) -> None:
    """Raise `msgspec.ValidationError` unless what was understood is what its class says: the books must hold it."""
    msgspec.convert(msgspec.structs.asdict(meant), type(meant))


#: release 1 of everything
FIRST = Release()
