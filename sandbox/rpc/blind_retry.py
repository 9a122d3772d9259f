"""A call with a timeout, and when nothing has come by then, the same call once more.

    for attempt in range(5):
        try: return service.create_volume(..., timeout=0.5)
        except Timeout: sleep(0.2)

No call hangs any more, and a receiver that was away for a moment is found again. But a timeout does not say that
the work was not done, only that nobody knows: the answer may be lost, or late, or the request may still lie in
front of a receiver that is paused. The next call, at the same receiver or another one, does the work *again*: two
volumes for one request, and quota taken for both. And where a receiver is slow, each attempt adds to what it has
to do (a retry storm).

What is called again is whatever had no answer, harmless or not. Even a write that only replaces is not: an old
one that comes again replaces a newer one.

Only an answer ends it: an ask that its receiver has settled and not answered is asked again all the same. With
several groups of listeners one that is silent makes all others work again: everyone is called once more.

`idempotency_key` is the same sender with a receiver that remembers.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar

from sandbox import channel, guarantees
from sandbox.channel import Outcome, Status
from sandbox.errors import BadArgument, RemoteError
from sandbox.exchange.schema import Operation, Schema
from sandbox.guarantees import Guarantees, Order
from sandbox.rpc import socket
from sandbox.rpc.dispatch import Called
from sandbox.rpc.framing import pack_error
from sandbox.rpc.peers import Peer
from sandbox.rpc.socket import Socket
from sandbox.site import Site


@dataclass(frozen=True)
class BlindRetry(Socket):
    """Calls that are made again.

    timeout   s that each attempt waits for its answer
    attempts  how often an operation is called, at most
    pause     s between the end of an attempt and the next one
    """

    timeout: float = 0.5
    attempts: int = 5
    pause: float = 0.2

    sound: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attempts < 1:
            raise BadArgument("attempts", expected="1 or more", got=self.attempts)
        if not 0 <= self.pause < math.inf:
            raise BadArgument("pause", expected="seconds, 0 or more", got=self.pause)

    @property
    def guarantees(self) -> Guarantees:
        """At least once, as long as the sender lives and has attempts left; a cast is never made again."""
        calls, again = super().guarantees, guarantees.Delivery.AT_LEAST_ONCE
        ask = replace(calls.ask, delivery=again)
        tell = calls.tell if self.cast else replace(calls.tell, delivery=again, order=Order.NONE)
        return replace(calls, tell=tell, ask=ask)

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`."""
        return Sender(self, site, schema)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> channel.Receiver:
        """See `Channel.receiver`."""
        return Receiver(self, site, schema, group, name)


@dataclass
class Tried:
    """An operation that may have to be called again; `possible`: an attempt has perhaps been carried out."""

    operation: Operation
    left: int
    possible: bool = False


class Sender(socket.Sender):
    """Calls, and calls again. `late` counts every answer that came after its attempt had been given up."""

    def __init__(self, knobs: BlindRetry, site: Site, schema: Schema) -> None:
        super().__init__(knobs, site, schema)
        self._attempts, self._pause = knobs.attempts, knobs.pause
        self._tried: dict[int, Tried] = {}
        self._due: deque[tuple[float, Tried]] = deque()  # the pause is the same for all: in order of time

    def begin(self, operation: Operation) -> None:
        """See `channel.Sender.begin`."""
        super().begin(operation)
        self._tried[operation.id] = Tried(operation, self._attempts - 1)

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`. Whoever does not ask for outcomes does not call again either."""
        deadline = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                super().begin(self._due.popleft()[1].operation)
            until = min(deadline, self._due[0][0]) if self._due else deadline
            known = [final for each in super().outcomes(max(0.0, until - now)) if (final := self._final(each))]
            if known or time.monotonic() >= deadline:
                return known

    def _final(self, outcome: Outcome) -> Outcome | None:
        """The outcome, or None if the operation is called once more."""
        tried = self._tried[outcome.operation]
        tried.possible |= outcome.status is Status.UNKNOWN
        gone = outcome.status in (Status.UNKNOWN, Status.FAILED)
        if gone and tried.left and RemoteError.__name__ not in outcome.reason:  # which says that it was set aside
            tried.left -= 1
            self._due.append((time.monotonic() + self._pause, tried))
            return None
        del self._tried[outcome.operation]
        if gone and tried.possible:  # that the last attempt has certainly failed does not undo the ones before
            return Outcome(outcome.operation, Status.UNKNOWN, reason=outcome.reason)
        return outcome


class Receiver(socket.Receiver):
    """Takes calls, each as if it were the first."""

    def _delivery(self, peer: Peer, call: Called) -> Delivery:
        return Delivery(self, peer, call)


class Delivery(socket.Delivery):
    """See `channel.Delivery`."""

    def release(self, delay: float = 0.0) -> None:
        """Tell the caller to call again, which takes one of its attempts. `BadArgument`: a delay, or a cast."""
        if self._call.cast:
            super().release(delay)
        if delay:
            raise BadArgument("delay", expected="0 (the caller decides when it calls again)", got=delay)
        if not self._answered:
            self._answered = True
            said = pack_error(self._call.id, "Definite", "given back; call again", self._receiver.encode)
            self._receiver.peers.say(self._peer, said)
