"""The two ends of a channel, each in a process of its own, doing what a claim tells them over a link.

`send_end` and `receive_end` run in participants; `handles` are how a claim holds them. An end answers only
when it has done what it was told, so a claim knows at which point it kills.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from sandbox.channel import Channel, Delivery, Outcome, Receiver, Sender, Status, is_final
from sandbox.errors import BadArgument, Definite, Refusal
from sandbox.exchange.parties import StateOwner
from sandbox.exchange.schema import EXCHANGE, CreateVolume, GetState, Operation, SetState, VolumeCreated
from sandbox.harness.participant import Link
from sandbox.site import Site

#: s between two looks for what a claim wants
LOOK = 0.005


@dataclass(frozen=True)
class Seen:
    """A delivery as a receiver saw it; `time` in s of the monotonic clock, just after it was taken."""

    operation: Operation
    attempt: int
    time: float

    @property
    def id(self) -> int:
        """The operation's id."""
        return self.operation.id


def send_end(link: Link, channel: Channel, site: Site, name: str) -> None:
    """A sender that does what it is told, and looks for outcomes in between unless it is frozen."""
    end = _Sending(channel.sender(site, EXCHANGE, name))
    link.send(("answer", None))
    while True:
        while not link.poll(LOOK):
            end.idle()
        command, *arguments = link.recv()
        link.send(("answer", getattr(end, command)(*arguments)))
        if command == "close":
            return


class _Sending:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._log: list[Outcome] = []
        self._messages: dict[int, str] = {}
        self._frozen = False

    def idle(self) -> None:
        if not self._frozen:
            self._log += self._sender.outcomes(0)

    def begin(self, operations: Sequence[Operation]) -> dict[int, str]:
        """Begin each; id -> error of those that raised a definite one."""
        raised = {}
        for operation in operations:
            self._messages[operation.id] = operation.message
            try:
                self._sender.begin(operation)
            except Definite as error:
                raised[operation.id] = f"{type(error).__name__}: {error}"
        return raised

    def outcomes(self) -> list[Outcome]:
        return self._log

    def late(self) -> int:
        return self._sender.late

    def wait(self, ids: Sequence[int], seconds: float, least: Status | None = None) -> list[Outcome]:
        """Until each has an outcome of status `least` (None: a final one), or the time is up."""
        deadline = time.monotonic() + seconds
        waiting = set(ids) - {o.operation for o in self._log if self._enough(o, least)}
        while waiting and (left := deadline - time.monotonic()) > 0:
            found = self._sender.outcomes(min(left, 0.05))
            self._log += found
            waiting -= {o.operation for o in found if self._enough(o, least)}
            if not found:
                time.sleep(0.001)  # a sender with nothing open returns at once
        return self._log

    def begin_and_freeze(self, operations: Sequence[Operation], seconds: float) -> list[Outcome]:
        """Begin, wait until each is accepted, and never call the channel again: the point at which to kill."""
        self.begin(operations)
        self.wait([operation.id for operation in operations], seconds, Status.ACCEPTED)
        self._frozen = True
        return self._log

    def close(self) -> None:
        self._sender.close()

    def _enough(self, outcome: Outcome, least: Status | None) -> bool:
        if least is not None:
            return outcome.status >= least
        return is_final(EXCHANGE, self._messages[outcome.operation], outcome.status)


def receive_end(link: Link, channel: Channel, site: Site, group: str, name: str) -> None:
    """A receiver that does what it is told, and works in between when it is told to."""
    end = _Receiving(channel.receiver(site, EXCHANGE, group, name))
    link.send(("answer", None))
    while True:
        while not link.poll(0 if end.working else None):
            end.work_once()
        command, *arguments = link.recv()
        link.send(("answer", getattr(end, command)(*arguments)))
        if command == "close":
            return


class _Receiving:
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._held: list[Delivery] = []
        self._extra: list[Delivery] = []
        self._log: list[Seen] = []
        self._clerk = Clerk()
        self.working = False

    def work(self) -> None:
        """From now on take, answer and settle whenever there is nothing else to do."""
        self.working = True

    def work_once(self) -> None:
        for delivery in self._take(0.01, 16):
            self._log.append(Seen(delivery.operation, delivery.attempt, time.monotonic()))
            answer = self._clerk.answer(delivery.operation.body)
            if answer is not None:
                delivery.reply(answer)
            delivery.settle()

    def seen(self) -> list[Seen]:
        return self._log

    def take(self, count: int, seconds: float) -> list[Seen]:
        """Take until there are `count` or the time is up, and hold them."""
        deadline = time.monotonic() + seconds
        found: list[Seen] = []
        while len(found) < count:
            taken = self._take(max(0.0, deadline - time.monotonic()), count - len(found))
            found += [Seen(delivery.operation, delivery.attempt, time.monotonic()) for delivery in taken]
            self._held += taken
            if not taken and time.monotonic() >= deadline:
                break
        self._log += found
        return found

    def act(self, verb: str, ids: Sequence[int] | None, *arguments: Any) -> str:
        """Settle, release, reply to ... what is held, in the order of `ids`; the error if it was a `BadArgument`."""
        chosen = [d for i in ids for d in self._held if d.operation.id == i] if ids is not None else list(self._held)
        try:
            for delivery in chosen:
                getattr(delivery, verb)(*arguments)
        except BadArgument as error:
            return str(error)
        if verb != "reply":
            self._held = [delivery for delivery in self._held if delivery not in chosen]
        return ""

    def carry_out(self) -> None:
        """What was settled lazily is settled when this returns; what else comes is kept for the next take."""
        self._extra += self._receiver.take(0, 1)

    def take_and_settle(self, count: int, seconds: float) -> float:
        """Take and settle; for how many s at most anything was claimed and not yet settled."""
        began = time.monotonic()
        if len(self.take(count, seconds)) == count:
            began = max(began, self._log[-count].time - LOOK)
        self.act("settle", None)
        self.carry_out()
        return time.monotonic() - began

    def close(self) -> None:
        self._receiver.close()

    def _take(self, timeout: float, limit: int) -> list[Delivery]:
        if self._extra:
            taken, self._extra = self._extra[:limit], self._extra[limit:]
            return taken
        return self._receiver.take(timeout, limit)


class Clerk:
    """Does the business for a claim: each answer can be told from every other."""

    def __init__(self) -> None:
        self._owner = StateOwner()

    def answer(self, body: Struct) -> Struct | Refusal | None:
        """The answer to a body, None where nobody asks."""
        if isinstance(body, CreateVolume):
            return volume_created(body)
        if isinstance(body, SetState | GetState):
            return self._owner.work(body).answer
        return None


def volume_created(body: CreateVolume) -> VolumeCreated:
    """The only right answer to this request."""
    return VolumeCreated(body.volume, f"host-of-{body.volume}")
