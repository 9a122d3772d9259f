"""The shortest way to write a channel: three primitives on bytes, everything else layered on top.

    put(place, box, data)       leave `data` in the box
    take(place, box)            claim one: (token, data), or None when the box is empty
    settle(place, box, token)   the claimed one is done with

A box is a name made of letters, digits, dots and dashes. `place` is whatever `open` returns (by default
the site): connections go there. On these `Minimal` layers

    tell    one box per group of listeners; the sender puts into each of them
    ask     one box for requests; answers come to a box of the sender, matched by operation id
    share   asking the owner: writes and reads are requests to the box of the one owner

at the price of polling and of one put per group. See `docs/adding-a-channel.md`.
"""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from sandbox import channel
from sandbox.channel import ASK_GROUP, OWNER_GROUP, Backlog, Channel, Envelope, Outcome, Status
from sandbox.errors import BadArgument, Definite, Malformed, Refusal, TooLarge
from sandbox.exchange.schema import UNREADABLE, Operation, Schema, Verb
from sandbox.guarantees import Acceptor, Ask, Delivery, Guarantees, Order, Share, Support, Tell
from sandbox.site import Site

_WORD = re.compile(r"[A-Za-z0-9._-]{0,100}")


@dataclass(frozen=True)
class Minimal(Channel):
    """Base of a channel given by put, take and settle. Polls every `poll` seconds."""

    poll: float = 0.001

    #: what your `take` promises: does an unsettled claim come back when its receiver dies?
    delivery: ClassVar[Delivery] = Delivery.AT_MOST_ONCE
    order: ClassVar[Order] = Order.NONE
    #: who has the bytes when your `put` returns?
    accepted_by: ClassVar[Acceptor] = Acceptor.KERNEL

    @abstractmethod
    def put(self, place: Any, box: str, data: bytes) -> None:
        """Leave `data` in the box; when this returns, `accepted_by` has it."""

    @abstractmethod
    def take(self, place: Any, box: str) -> tuple[Any, bytes] | None:
        """Claim one message for this receiver alone and return (token, data); None when there is none."""

    @abstractmethod
    def settle(self, place: Any, box: str, token: Any) -> None:
        """The claimed message is done with: it never comes back."""

    def open(self, site: Site) -> Any:
        """What the primitives get as `place`: override to connect once per sender or receiver."""
        return site

    def install(self, site: Site, schema: Schema) -> None:
        """Nothing, unless your medium needs preparing."""

    def backlog(self, site: Site) -> Backlog | None:
        """Three primitives cannot count; override to let the harness see that all is drained."""
        return None

    @property
    def guarantees(self) -> Guarantees:
        """From `delivery`, `order` and `accepted_by`; the layers add what they add."""
        return Guarantees(
            tell=Tell(Support.NATURAL, self.delivery, self.order, self.accepted_by, True, Support.LAYERED),
            ask=Ask(Support.LAYERED, self.delivery, self.accepted_by, True),
            share=Share(Support.LAYERED, accepted_by=Acceptor.PEER, needs_owner=True),
        )

    def sender(self, site: Site, schema: Schema, name: str) -> channel.Sender:
        """See `Channel.sender`."""
        return _Sender(self, site, schema, name)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> channel.Receiver:
        """See `Channel.receiver`."""
        return _Receiver(self, site, schema, group)


def _boxes(site: Site, verb: Verb) -> list[str]:
    if verb is Verb.TELL:
        return [f"tell.{group}" for group in site.groups]
    return [ASK_GROUP if verb is Verb.ASK else OWNER_GROUP]


def _dead(data: bytes, reason: str) -> bytes:
    """What was set aside, and why: a line that a person can read, whatever comes after it."""
    return msgspec.json.encode({"reason": reason}) + b"\n" + data


class _Sender(channel.Sender):
    def __init__(self, channel: Minimal, site: Site, schema: Schema, name: str) -> None:
        self._channel, self._schema, self._name = channel, schema, name
        self._encode, self._decode = schema.codec.encode, schema.codec.decoder(Envelope)
        self._place = channel.open(site)
        self._site = site
        self._ready: list[Outcome] = []
        self._waiting: dict[int, str] = {}
        self._collect()  # so that a medium which needs it has the box for answers before the first request

    def begin(self, operation: Operation) -> None:
        message = self._schema.message(operation.message)
        body = self._schema.encode(operation.body)
        if len(body) > self._channel.guarantees.max_bytes:
            raise TooLarge(f"{operation.message}: {len(body)} bytes, at most {self._channel.guarantees.max_bytes}")
        sent = Envelope(operation.id, operation.message, msgspec.Raw(body), self._name, self._schema.version)
        try:
            for box in _boxes(self._site, message.verb):
                self._channel.put(self._place, box, self._encode(sent))
        except Definite as error:
            self._ready.append(Outcome(operation.id, Status.FAILED, reason=str(error)))
        except OSError as error:  # part of it may have gone out
            self._ready.append(Outcome(operation.id, Status.UNKNOWN, reason=str(error)))
        else:
            if message.verb is not Verb.TELL:
                self._waiting[operation.id] = operation.message
            if message.verb is not Verb.SHARE:
                self._ready.append(Outcome(operation.id, Status.ACCEPTED))

    def outcomes(self, timeout: float) -> list[Outcome]:
        deadline = time.monotonic() + timeout
        while not self._ready and self._waiting:
            self._collect()
            left = deadline - time.monotonic()
            if self._ready or left <= 0:
                break
            time.sleep(min(self._channel.poll, left))  # not longer than asked: a pacer waits here
        ready, self._ready = self._ready, []
        return ready

    def _collect(self) -> None:
        box = f"answers.{self._name}"
        while (taken := self._channel.take(self._place, box)) is not None:
            token, data = taken
            try:
                self._note(self._decode(data))
            except (*UNREADABLE, Definite) as error:  # not an answer to anything: its question will time out
                self._channel.put(self._place, f"dead.{box}", _dead(data, str(error)))
            self._channel.settle(self._place, box, token)

    def _note(self, answer: Envelope) -> None:
        name = self._waiting.get(answer.id)
        if name is None:
            self.late += 1
            return
        if self._schema.messages[name].answer is None:
            self._ready.append(Outcome(answer.id, Status.ACCEPTED))
        else:
            result = self._schema.decode_answer(name, bytes(answer.body))
            self._ready.append(Outcome(answer.id, Status.ANSWERED, result))
        del self._waiting[answer.id]


class _Receiver(channel.Receiver):
    def __init__(self, channel: Minimal, site: Site, schema: Schema, group: str) -> None:
        self._channel, self._schema = channel, schema
        self._encode, self._decode = schema.codec.encode, schema.codec.decoder(Envelope)
        self._place = channel.open(site)
        self._box = group if group in (ASK_GROUP, OWNER_GROUP) else f"tell.{group}"
        self.refused: list[str] = []

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        deadline = time.monotonic() + timeout
        taken: list[channel.Delivery] = []
        while len(taken) < limit:
            claim = self._channel.take(self._place, self._box)
            if claim is not None:
                self._accept(taken, *claim)
            elif taken or time.monotonic() >= deadline:
                break
            else:
                time.sleep(self._channel.poll)
        return taken

    def _accept(self, taken: list[channel.Delivery], token: Any, data: bytes) -> None:
        try:
            envelope = self._decode(data)
            body = self._schema.decode(envelope.message, envelope.body)
            if not _WORD.fullmatch(envelope.sender):  # it becomes part of the name of a box, and boxes may be folders
                raise Malformed(f"not a return address: {envelope.sender[:80]!r}")
        except (*UNREADABLE, Definite) as error:
            self._bury(token, data, str(error))
        else:
            operation = Operation(envelope.id, envelope.message, body)
            taken.append(_Delivery(self, operation, token, data, envelope.sender))

    def _bury(self, token: Any, data: bytes, reason: str) -> None:
        self.refused.append(reason)
        self._channel.put(self._place, f"dead.{self._box}", _dead(data, reason))
        self._channel.settle(self._place, self._box, token)


class _Delivery(channel.Delivery):
    attempt = 1

    def __init__(self, receiver: _Receiver, operation: Operation, token: Any, data: bytes, sender: str) -> None:
        self.operation = operation
        self._receiver, self._token, self._data, self._sender = receiver, token, data, sender

    def reply(self, result: Struct | Refusal) -> None:
        self._answer(self._receiver._schema.encode_answer(result))

    def settle(self) -> None:
        message = self._receiver._schema.messages[self.operation.message]
        if message.verb is Verb.SHARE and message.answer is None:
            self._answer(self._receiver._encode({}))  # the owner has the write: only now is it accepted
        self._receiver._channel.settle(self._receiver._place, self._receiver._box, self._token)

    def _answer(self, body: bytes) -> None:
        answer = Envelope(self.operation.id, self.operation.message, msgspec.Raw(body))
        self._receiver._channel.put(self._receiver._place, f"answers.{self._sender}", self._receiver._encode(answer))

    def release(self, delay: float = 0.0) -> None:
        promised = self._receiver._channel.delivery
        if promised is not Delivery.AT_LEAST_ONCE:
            raise BadArgument("release", expected="a channel that delivers at least once", got=str(promised))
        if delay:
            raise BadArgument("delay", expected="0 (this channel cannot delay)", got=delay)
        self._receiver._channel.put(self._receiver._place, self._receiver._box, self._data)
        self.settle()

    def set_aside(self, reason: str) -> None:
        self._receiver._bury(self._token, self._data, reason)
