"""Publish and subscribe without storage: what everybody writes first, and loses messages with.

    tell    PUBLISH; the broker passes it on to everyone who has subscribed at that moment, and forgets it

The broker answers with how many it has passed it on to. None at all is reported FAILED; but one that is away
among several is not missed: "accepted" says that somebody heard it, not who.

It fails in three ways, all silent to the sender:
    whoever is away (dead, restarting, not started yet) never hears what was told meanwhile;
    whoever is too slow is cut off, once more lies before it than the broker is willing to keep;
    subscribers never compete: a second worker of one group gets everything as well, and bills it twice.
There is nothing to settle, to give back or to set aside. `streams` mends all of it, with a log and groups.
"""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import hiredis
import msgspec
from msgspec import Struct

from sandbox import channel
from sandbox.channel import Channel, Envelope, Outcome, Status
from sandbox.errors import BadArgument, ConnectionLost, Definite, Malformed, Refusal, TooLarge
from sandbox.exchange.schema import UNREADABLE, Operation, Schema, Verb
from sandbox.guarantees import Acceptor, Ask, Guarantees, Order, Share, Support, Tell
from sandbox.guarantees import Delivery as Promise
from sandbox.messaging import connection
from sandbox.messaging.connection import CONNECT, PAUSE, RECONNECT, Address, Line, Refused, open_line, pack
from sandbox.site import Site

_MISSING = object()


@dataclass(frozen=True)
class PubSub(Channel):
    """Tell only: an answer or a state needs somebody who keeps it until it is fetched."""

    style: ClassVar[str] = "messaging"
    sound: ClassVar[bool] = False
    needs = ("redis",)

    @property
    def guarantees(self) -> Guarantees:
        """At most once, accepted by nobody: when the sender is told, the broker has forgotten it already."""
        return Guarantees(
            tell=Tell(
                Support.NATURAL,
                Promise.AT_MOST_ONCE,
                Order.PER_SENDER,
                Acceptor.NOBODY,
                receiver_may_be_away=False,
                one_to_many=Support.NATURAL,
            ),
            ask=Ask(Support.ABSENT),
            share=Share(Support.ABSENT),
        )

    def install(self, site: Site, schema: Schema) -> None:
        """Nothing to make: a topic is there as long as somebody listens."""

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`. Raises `ServerUnavailable` when there is no broker."""
        return Sender(Address.parse(site.address("redis")), _topic(site), schema, self.guarantees.max_bytes)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`. The group makes no difference: everyone gets everything."""
        if group not in site.groups:
            raise BadArgument("group", expected=f"one of {', '.join(site.groups)}", got=group)
        return Receiver(Address.parse(site.address("redis")), _topic(site), schema)

    def backlog(self, site: Site) -> None:
        """Nobody can look into the sockets between broker and subscribers."""


class Sender(channel.Sender):
    """See `channel.Sender`."""

    def __init__(self, address: Address, topic: str, schema: Schema, max_bytes: int) -> None:
        self._address, self._topic, self._schema, self._max_bytes = address, topic, schema, max_bytes
        self._line: Line | None = open_line(address, CONNECT)
        self._ready: list[Outcome] = []

    def begin(self, operation: Operation) -> None:
        """See `channel.Sender.begin`."""
        message, body = self._schema.message(operation.message), self._schema.encode(operation.body)
        if message.verb is not Verb.TELL:
            raise Malformed(f"{message.name} is a {message.verb}, and there are only tells here")
        if len(body) > self._max_bytes:
            raise TooLarge(f"{message.name}: {len(body)} bytes, at most {self._max_bytes} are taken")
        envelope = Envelope(operation.id, message.name, msgspec.Raw(body), version=self._schema.version)
        try:
            if self._line is None:
                raise ConnectionLost("there is no connection to the broker")
            self._line.send(operation.id, pack(("PUBLISH", self._topic, self._schema.codec.encode(envelope))))
        except ConnectionLost as lost:
            self._ready.append(Outcome(operation.id, Status.FAILED, reason=str(lost)))

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`. Gets a lost connection back, as soon as it can."""
        if self._line is None:
            with suppress(ConnectionLost):
                self._line = Line(self._address, RECONNECT)
        if self._line is None:
            time.sleep(min(timeout, PAUSE))
        elif connection.wait([self._line], 0 if self._ready else timeout):
            self._take_responses(self._line)
        ready, self._ready = self._ready, []
        return ready

    def _take_responses(self, line: Line) -> None:
        try:
            for identity, heard_by in line.receive():
                self._ready.append(_outcome(identity, heard_by))
        except ConnectionLost as lost:
            self._line = None
            self._ready += [Outcome(identity, Status.UNKNOWN, reason=str(lost)) for identity in line.open]

    def close(self) -> None:
        """See `channel.Sender.close`."""
        if self._line is not None:
            self._line.close()


class Receiver(channel.Receiver):
    """See `channel.Receiver`. Subscribed from its opening on; what was told before is gone."""

    def __init__(self, address: Address, topic: str, schema: Schema) -> None:
        self._address, self._topic, self._schema = address, topic, schema
        self._decode = schema.codec.decoder(Envelope)
        self._deliveries: list[channel.Delivery] = []
        open_line(address, CONNECT).close()  # where there is no broker, it says what to do
        self._socket: socket.socket | None = None
        self.refused: list[str] = []
        self._subscribe(CONNECT)

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`. Subscribes again after a lost connection, and has missed what lay between."""
        deadline = time.monotonic() + timeout
        while not self._deliveries:
            left = max(0.0, deadline - time.monotonic())
            if self._socket is None:
                with suppress(ConnectionLost):
                    self._subscribe(RECONNECT)
            elif select.select([self._socket], [], [], left)[0]:
                self._read(self._socket)
            if time.monotonic() >= deadline:
                break
            if self._socket is None:
                time.sleep(min(PAUSE, left))
        taken, self._deliveries = self._deliveries[:limit], self._deliveries[limit:]
        return taken

    def close(self) -> None:
        """See `channel.Receiver.close`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _subscribe(self, timeout: float) -> None:
        """Returns when the broker has confirmed: what is told from now on will come."""
        self._reader = hiredis.Reader(notEnoughData=_MISSING)
        self._socket = connection.connect(self._address, timeout)
        self._socket.sendall(pack(("SUBSCRIBE", self._topic)))
        while self._socket is not None and not self._read(self._socket):
            pass

    def _read(self, peer: socket.socket) -> int:
        """Take in what has come; how many pushes that were."""
        try:
            data = peer.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.close()
            return 0
        self._reader.feed(data)
        pushes = 0
        while (push := self._reader.gets()) is not _MISSING:
            pushes += 1
            if push[0] == b"message":
                self._deliver(push[2])
        return pushes

    def _deliver(self, data: bytes) -> None:
        try:
            envelope = self._decode(data)
            body = self._schema.decode(envelope.message, envelope.body)
        except (*UNREADABLE, Definite) as error:
            self.refused.append(str(error))  # and gone: there is no place for it
        else:
            self._deliveries.append(Delivery(Operation(envelope.id, envelope.message, body)))


class Delivery(channel.Delivery):
    """See `channel.Delivery`. It exists nowhere but here."""

    attempt = 1

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    def reply(self, result: Struct | Refusal) -> None:
        """Nobody waits for an answer to a tell."""

    def settle(self) -> None:
        """Nothing to do: the broker has forgotten it already."""

    def release(self, delay: float = 0.0) -> None:
        """Raises `BadArgument`: there is nobody to give it back to."""
        raise BadArgument("release", expected="a channel that keeps what it delivers", got="publish and subscribe")

    def set_aside(self, reason: str) -> None:
        """It is gone: there is no dead letter channel."""


def _topic(site: Site) -> str:
    return f"{site.name}:told"


def _outcome(identity: int, heard_by: Any) -> Outcome:
    if isinstance(heard_by, Refused):
        return Outcome(identity, Status.FAILED, reason=f"the broker refused it: {heard_by}")
    if heard_by == 0:
        return Outcome(identity, Status.FAILED, reason="nobody has subscribed")
    return Outcome(identity, Status.ACCEPTED)
