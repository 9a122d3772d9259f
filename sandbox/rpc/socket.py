"""Point-to-point RPC over a stream socket: no broker, nothing stored, both ends up at the same time.

    tell    a call to one receiver of every group (layered: calling everyone), acknowledged when it settles;
            or, with `cast`, fire and forget
    ask     a call to one receiver of the group that answers: what RPC was made for
    share   asking the owner

What the sender is told is true: *failed* where the call was certainly not begun (nobody listens, unknown
method, wrong version), *unknown* where the time ran out or the connection broke with the call under way.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from dataclasses import dataclass
from typing import ClassVar, get_args

from msgspec import Struct

from sandbox import channel, guarantees
from sandbox.channel import ASK_GROUP, OWNER_GROUP, Channel, Outcome
from sandbox.errors import BadArgument, Definite, Malformed, Refusal, RemoteError
from sandbox.exchange.codec import UNWRITABLE
from sandbox.exchange.schema import UNREADABLE, Operation, Schema, Verb
from sandbox.guarantees import Acceptor, Ask, Guarantees, Order, Reads, Share, Support, Tell
from sandbox.rpc.calls import Call
from sandbox.rpc.directory import Transport, announce, folder_of
from sandbox.rpc.dispatch import Called, check_length, complain, methods, pack_answer, speaks
from sandbox.rpc.framing import HEADER, Request, pack_done, pack_error, pack_request, readers, unpack_request
from sandbox.rpc.links import Group, Links, all_listen
from sandbox.rpc.peers import Peer, Peers
from sandbox.site import Site

_AT_MOST_ONCE = guarantees.Delivery.AT_MOST_ONCE


@dataclass(frozen=True)
class Socket(Channel):
    """Calls over Unix sockets, or over TCP on the loopback interface.

    timeout     s until a call without an answer is reported UNKNOWN
    cast        tells are fire and forget: accepted when the kernel has the bytes
    transport   "unix": a socket file in the site's folder; "tcp": a port that the system chooses, and a secret
    max_bytes   longest encoded body, request or answer
    max_queued  most bytes a sender queues for a receiver that does not read; further calls to it fail
    """

    timeout: float = 5.0
    cast: bool = False
    transport: Transport = "unix"
    max_bytes: int = 1 << 20
    max_queued: int = 16 << 20

    style: ClassVar[str] = "rpc"
    longest: ClassVar[float] = 1e9  #: timeout in s; a call that waits for ever is a mistake of its own

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= self.longest:
            raise BadArgument("timeout", expected=f"more than 0 s, up to {self.longest:g}", got=self.timeout)
        if self.transport not in get_args(Transport):
            raise BadArgument("transport", expected="'unix' or 'tcp'", got=self.transport)
        if not 0 < self.max_bytes < 1 << 31:
            raise BadArgument("max_bytes", expected="between 1 and 2**31 - 1", got=self.max_bytes)
        if self.max_queued < 0:
            raise BadArgument("max_queued", expected="0 or more", got=self.max_queued)

    @property
    def guarantees(self) -> Guarantees:
        """At most once everywhere: nothing is stored, so nothing can come again."""
        acceptor = Acceptor.KERNEL if self.cast else Acceptor.PEER
        return Guarantees(
            tell=Tell(Support.NATURAL, _AT_MOST_ONCE, Order.PER_SENDER, acceptor, False, Support.LAYERED),
            ask=Ask(Support.NATURAL, _AT_MOST_ONCE, Acceptor.PEER, False),
            share=Share(Support.LAYERED, Reads.LATEST, Acceptor.PEER, needs_owner=True),
            max_bytes=self.max_bytes,
        )

    def install(self, site: Site, schema: Schema) -> None:
        """The folders in which receivers announce themselves."""
        for group in (*site.groups, ASK_GROUP, OWNER_GROUP):
            folder_of(site, group).mkdir(parents=True, exist_ok=True)

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`."""
        return Sender(self, site, schema)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> channel.Receiver:
        """See `Channel.receiver`. `BadArgument`: the name is in use, or makes too long a path for a socket file."""
        return Receiver(self, site, schema, group, name)

    def backlog(self, site: Site) -> None:
        """Nothing is stored, and what the kernel's buffers hold cannot be seen from outside: it cannot tell."""
        return


class Sender(channel.Sender):
    """Calls. See `channel.Sender`."""

    def __init__(self, knobs: Socket, site: Site, schema: Schema) -> None:
        self._schema, self._max_bytes, self._timeout = schema, knobs.max_bytes, knobs.timeout
        self._version, self._encode, self._numbers = schema.version, schema.codec.encode, itertools.count()
        self._expiry = math.inf  # no call expires before
        self._links = Links(schema, knobs.max_queued)
        groups = {
            name: Group(folder_of(site, name), knobs.transport, knobs.max_bytes + HEADER, self._links)
            for name in (*site.groups, ASK_GROUP, OWNER_GROUP)
        }
        goes_to = {Verb.TELL: site.groups, Verb.ASK: (ASK_GROUP,), Verb.SHARE: (OWNER_GROUP,)}
        # message -> it, to whom it goes, whether it is cast: looked up once and not at every call
        self._routes = {
            name: (it, [groups[group] for group in goes_to[it.verb]], knobs.cast and it.verb is Verb.TELL)
            for name, it in schema.messages.items()
        }
        for group in groups.values():
            group.look(time.monotonic())

    def begin(self, operation: Operation) -> None:
        """Call; nothing is waited for. See `channel.Sender.begin`."""
        name, body = operation.message, operation.body
        route = self._routes.get(name)
        if route is None:
            self._schema.message(name)  # says which there are
            return
        message, groups, cast = route
        number = next(self._numbers)
        try:
            frame = pack_request(number, operation.id, name, self._version, body, cast, self._encode)
        except UNWRITABLE as error:
            raise Malformed(f"{name} cannot be written as {self._schema.codec.name.upper()}: {error}") from None
        if len(frame) > self._max_bytes:
            check_length(name, body, self._schema, self._max_bytes)
        now = time.monotonic()
        call = Call(number, operation.id, message, len(groups), now + self._timeout, cast)
        if len(groups) == 1 or all_listen(groups, call, now):
            for group in groups:
                group.carry(call, frame, now)
        if not call.parts:  # a cast, or nobody is there
            self._links.concluded.append(call.outcome())
        elif call.deadline < self._expiry:
            self._expiry = call.deadline

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`."""
        links, now = self._links, time.monotonic()
        if now >= self._expiry:
            self._expire(now)
        if timeout <= 0 or links.concluded:
            links.attend(0)
        else:
            self._wait(now, now + timeout)
        self.late = links.late
        concluded, links.concluded = links.concluded, []
        return concluded

    def close(self) -> None:
        """Close all connections. Calls under way stay open: their outcome is indeterminate."""
        self._links.close()

    def _wait(self, now: float, deadline: float) -> None:
        links = self._links
        while True:
            links.attend((deadline if deadline < self._expiry else self._expiry) - now)
            if not links.concluded and (now := time.monotonic()) >= self._expiry:
                self._expire(now)
            if links.concluded or now >= deadline:
                return

    def _expire(self, now: float) -> None:
        self._expiry = self._links.expire(now, f"no answer within {self._timeout:g} s")


class Receiver(channel.Receiver):
    """Takes calls. See `channel.Receiver`.

    set_aside  reason of every delivery that was set aside. Nothing is stored here: this list and the error
               at the sender are all there is of a dead letter channel.
    """

    def __init__(self, knobs: Socket, site: Site, schema: Schema, group: str, name: str) -> None:
        self.refused: list[str] = []
        self.set_aside: list[str] = []
        self.schema, self.max_bytes = schema, knobs.max_bytes
        announced = announce(folder_of(site, group), name, knobs.transport)
        self.peers = Peers(announced, knobs.max_bytes + HEADER, self.refused, schema.codec)
        self._decode, self._read, self.encode = methods(schema), readers(schema.codec), schema.codec.encode

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`. Acknowledgements of what was settled leave first, together."""
        self.peers.flush()
        if taken := self._unpack(limit):
            return taken
        left, deadline = timeout, time.monotonic() + timeout
        while True:
            self.peers.hear(left)
            if taken := self._unpack(limit):
                return taken
            self.peers.flush()  # what was refused is told so
            if not (left := max(0.0, deadline - time.monotonic())):
                return taken

    def close(self) -> None:
        """Acknowledge what was settled, tell the senders of calls that nobody took, and stop listening."""
        if self.peers.closed:
            return
        self.peers.hear(0)
        late = Definite("the receiver closed before it took it")
        for peer, frame in self.peers.heard:
            with contextlib.suppress(Malformed):
                self._say_failed(peer, unpack_request(frame, self._read), late)
        self.peers.heard.clear()
        self.peers.close()

    def _unpack(self, limit: int) -> list[channel.Delivery]:
        taken: list[channel.Delivery] = []
        heard, decode, version = self.peers.heard, self._decode, self.schema.version
        while heard and len(taken) < limit:
            peer, frame = heard.popleft()
            try:
                call = decode(frame)
            except UNREADABLE:
                self._refuse(peer, frame)
                continue
            if call.version == version or speaks(call.version, version):
                taken.append(self._delivery(peer, call))
            else:
                self._refuse(peer, frame)
        return taken

    def _delivery(self, peer: Peer, call: Called) -> Delivery:
        return Delivery(self, peer, call)

    def _refuse(self, peer: Peer, frame: bytes) -> None:
        """Find out what is wrong with it, which took no time while all was well, and tell the sender."""
        try:
            request = unpack_request(frame, self._read)
        except Malformed as error:
            self.peers.refuse(peer, frame, error)
            return
        try:
            complain(request, self.schema)
        except Definite as error:
            self.refused.append(str(error)[:300])
            self._say_failed(peer, request, error)

    def _say_failed(self, peer: Peer, request: Request, error: Definite) -> None:
        if not request.cast:
            self.peers.later(peer, pack_error(request.id, type(error).__name__, str(error), self.encode))


class Delivery(channel.Delivery):
    """One call that was taken. See `channel.Delivery`. Only the first answer to it leaves."""

    attempt = 1
    _answered = False

    def __init__(self, receiver: Receiver, peer: Peer, call: Called) -> None:
        self.operation = Operation(call.operation, call.message.name, call.args)
        self._receiver, self._peer, self._call = receiver, peer, call

    def reply(self, result: Struct | Refusal) -> None:
        """Answer, at once. A refusal of a kind that is not allowed to travel arrives as `RemoteError`.

        Raises `TooLarge` for an answer that is longer than the channel's limit; the asker can still be refused.
        """
        receiver, call = self._receiver, self._call
        if self._answered or call.acknowledged:
            return
        frame = pack_answer(call.id, call.message.name, result, receiver.schema, receiver.max_bytes)
        self._answered = True
        receiver.peers.say(self._peer, frame)

    def settle(self) -> None:
        """Acknowledge what nobody answers, with the next `take`. An ask is not acknowledged: it is answered."""
        call = self._call
        if call.acknowledged and not self._answered and not call.cast:
            self._answered = True
            self._receiver.peers.later(self._peer, pack_done(call.id, self._receiver.encode))

    def release(self, delay: float = 0.0) -> None:
        """Always raises `BadArgument`: nothing is stored, so nothing can come again."""
        hint = "Do the work now, reply() a refusal, or set_aside() it: the sender learns of it and may call again."
        raise BadArgument("release", expected="a channel that delivers at least once", got="socket", hint=hint)

    def set_aside(self, reason: str) -> None:
        """Give it up: an asker gets `RemoteError`; of a tell or write its sender learns that the outcome is unknown.

        Not that it failed: the work may have been done in part.
        """
        self._receiver.set_aside.append(reason)
        if not self._answered and not self._call.cast:
            self._answered = True
            said = pack_error(self._call.id, RemoteError.__name__, reason, self._receiver.encode)
            self._receiver.peers.say(self._peer, said)
