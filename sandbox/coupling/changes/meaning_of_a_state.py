"""Change what a state means, under the same name."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import FIRST, Listener, Release, Speaker
from sandbox.exchange.schema import GetState, Message, Metadata, SetState, State, Verb, VolumeState, Whole

#: what the old release calls by one name, the new one calls by the other
SWAPPED: dict[str, Any] = {"reserved": "attaching", "attaching": "reserved"}


class SaysSwapped(Speaker):
    def say(self, meant: Any) -> Any:
        if not isinstance(meant, SetState):
            return meant
        return carry(meant, SetState, state=SWAPPED.get(meant.state, meant.state))

    def hear(self, answer: Any) -> Any:
        return carry(answer, VolumeState, state=SWAPPED.get(answer.state, answer.state))


class SetPhase(Body, frozen=True, forbid_unknown_fields=False):
    volume: Whole
    state: State
    version: Whole
    phase: str | None = None
    metadata: Metadata = ""


class VolumePhase(Body, frozen=True, forbid_unknown_fields=False):
    volume: Whole
    state: State
    version: Whole
    phase: str | None = None
    metadata: Metadata = ""


class SaysPhaseToo(Speaker):
    def say(self, meant: Any) -> Any:
        if not isinstance(meant, SetState):
            return meant
        return carry(meant, SetPhase, phase=SWAPPED.get(meant.state, meant.state))

    def hear(self, answer: Any) -> Any:
        return carry(answer, VolumeState)


class KeepsState(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, SetState) if isinstance(body, SetPhase) else body

    def answer(self, result: Any) -> Any:
        return carry(result, VolumePhase, phase=SWAPPED.get(result.state, result.state))


class MeaningOfAState(Change):
    """`reserved` and `attaching` have changed places: the words stay, their meaning does not."""

    title, facet, verb = "change the meaning of a state", Facet.SEMANTICS, Verb.SHARE
    after = Release(FIRST.schema, SaysSwapped)
    both = Release(
        exchange(Message("get_state", Verb.SHARE, GetState, VolumePhase, "volume_state"), set_state=SetPhase),
        SaysPhaseToo,
        KeepsState,
    )
    advice = "a new field for the new meaning; say both"
