"""Rename a column of the shared state, under the eyes of its own readers or of another team's."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, Order, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import GetState, Message, Metadata, SetState, State, Verb, VolumeState, Whole
from sandbox.harness.history import Process


class SetStatus(Body, frozen=True):
    volume: Whole
    status: State
    version: Whole
    metadata: Metadata = ""


class VolumeStatus(Body, frozen=True):
    volume: Whole
    status: State
    version: Whole
    metadata: Metadata = ""


class SaysStatus(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, SetStatus, status=meant.state) if isinstance(meant, SetState) else meant

    def hear(self, answer: Any) -> Any:
        return carry(answer, VolumeState, state=answer.status)


class KeepsStatus(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, SetState, state=body.status) if isinstance(body, SetStatus) else body

    def answer(self, result: Any) -> Any:
        return carry(result, VolumeStatus, status=result.state)


class SetBoth(Body, frozen=True, forbid_unknown_fields=False):
    volume: Whole
    version: Whole
    state: State | None = None
    status: State | None = None
    metadata: Metadata = ""


class VolumeBoth(Body, frozen=True, forbid_unknown_fields=False):
    volume: Whole
    version: Whole
    state: State | None = None
    status: State | None = None
    metadata: Metadata = ""


class SaysBoth(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, SetBoth, status=meant.state) if isinstance(meant, SetState) else meant

    def hear(self, answer: Any) -> Any:
        return carry(answer, VolumeState, state=answer.status or answer.state)


class KeepsBoth(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, SetState, state=body.status or body.state) if isinstance(body, SetBoth) else body

    def answer(self, result: Any) -> Any:
        return carry(result, VolumeBoth, status=result.state)


class RenameColumn(Change):
    """`state` is called `status` from now on, where the states of the volumes are kept."""

    title, facet, verb = "rename a column of the shared state", Facet.DATA_FORMAT, Verb.SHARE
    after = Release(
        exchange(Message("get_state", Verb.SHARE, GetState, VolumeStatus, "volume_state"), set_state=SetStatus),
        SaysStatus,
        KeepsStatus,
    )
    both = Release(
        exchange(Message("get_state", Verb.SHARE, GetState, VolumeBoth, "volume_state"), set_state=SetBoth),
        SaysBoth,
        KeepsBoth,
    )
    advice = "keep both columns until nobody reads the old one"
    renamed = (("state", "status"),)


class OtherTeamReads(RenameColumn):
    """Another team reads the states where their owner keeps them; the owner, who does not know, renames `state`."""

    title, facet, orders = "another team reads the private state", Facet.TOPOLOGY, (Order.SENDER_FIRST,)
    advice = "a view (an interface) that keeps the old name"

    def is_new(self, process: Process) -> bool:
        """Everybody but the other team's reader, who is never told."""
        return not process.name.startswith("reader")
