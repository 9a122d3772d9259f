"""Rename a field of an answer: the way back is coupled too."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import CreateVolume, Message, Verb, VolumeCreated, Whole


class OnNode(Body, frozen=True):
    volume: Whole
    node: str


class Hears(Speaker):
    def hear(self, answer: Any) -> Any:
        return carry(answer, VolumeCreated, host=answer.node)


class Answers(Listener):
    def answer(self, result: Any) -> Any:
        return carry(result, OnNode, node=result.host)


class HostAndNode(Body, frozen=True, forbid_unknown_fields=False):
    volume: Whole
    host: str | None = None
    node: str | None = None


class HearsBoth(Speaker):
    def hear(self, answer: Any) -> Any:
        return carry(answer, VolumeCreated, host=answer.node or answer.host)


class AnswersBoth(Listener):
    def answer(self, result: Any) -> Any:
        return carry(result, HostAndNode, node=result.host)


class RenameAnswerField(Change):
    """A volume is created on a `node` from now on, and no longer on a `host`."""

    title, facet, verb = "rename a field of the answer", Facet.DATA_FORMAT, Verb.ASK
    after = Release(exchange(Message("create_volume", Verb.ASK, CreateVolume, OnNode)), Hears, Answers)
    both = Release(exchange(Message("create_volume", Verb.ASK, CreateVolume, HostAndNode)), HearsBoth, AnswersBoth)
    advice = "answer with both names until nobody reads the old one"
    renamed = (("host", "node"),)
