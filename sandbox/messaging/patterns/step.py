"""A step: takes from one group of a pipe, begins on others, and settles when all of that was accepted.

Order and duplicates, for every pattern built on it:
    duplicates  a step that dies between acceptance and settling passes the same on again, under the same id,
                by which an idempotent receiver knows it; to settle first would lose it instead
    order       kept from one pipe to the next where both keep it, with one step at work and nothing failing;
                what an outlet did not accept is released, and comes later than what came after it
    losses      none where the source delivers at least once; from an at-most-once source, what it had taken
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

from sandbox.channel import Delivery, Outcome, Sender, Status, is_final
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Operation
from sandbox.harness.participant import Link, Participant
from sandbox.harness.session import Session, default_session
from sandbox.messaging.patterns.pipe import Pipe

#: s that a step waits for a delivery before it looks whether it should stop, and after an outlet has failed
LOOK, BREATH = 0.05, 0.05
#: s that it waits for an outlet's final outcome
PATIENCE = 5.0


@dataclass(frozen=True)
class Step(ABC):
    """Base of the patterns: a value that says what becomes of an operation; `start` makes a process of it.

    source, group  where it takes from; the group should be its own, else it competes with those in it
    """

    source: Pipe
    group: str

    @abstractmethod
    def forward(self, operation: Operation) -> list[tuple[Pipe, Operation]]:
        """What to begin where, in this order; nothing: it is settled and gone. What raises is set aside."""

    def finish(self, delivery: Delivery) -> None:
        """Everything was accepted: settle. The moment before is where a step that dies makes a duplicate."""
        delivery.settle()

    def start(self, session: Session | None = None, name: str = "") -> Running:
        """Run it in a process of its own, until it is stopped or the session ends; returns when it listens."""
        member = (session or default_session()).participant(name or f"{type(self).__name__.lower()}-{self.group}")
        member.begin(_serve, self, member.name)
        member.receive(timeout=30)
        return Running(member)


class Running:
    """A step at work; a context manager that stops it."""

    def __init__(self, member: Participant) -> None:
        self._member = member
        self._counts: dict[str, int] | None = None

    def stop(self) -> dict[str, int]:
        """End it after what it has in hand; how many it has forwarded, dropped, set aside and released."""
        if self._counts is None:
            self._member.send("stop")
            try:
                self._counts = self._member.finish(timeout=2 * PATIENCE)
            finally:
                self._member.close()
        return self._counts

    def kill(self) -> None:
        """SIGKILL: nobody knows what it has done."""
        self._member.kill()
        self._member.close()
        self._counts = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Worker:
    def __init__(self, step: Step, name: str) -> None:
        self._step, self._name = step, name
        self._receiver = step.source.receiver(step.group, name)
        self._senders: dict[str, Sender] = {}
        self.counts = Counter(forwarded=0, dropped=0, set_aside=0, released=0)

    def pass_on(self, link: Link) -> None:
        while not link.poll(0):
            for delivery in self._receiver.take(LOOK):
                self._handle(delivery)

    def _handle(self, delivery: Delivery) -> None:
        try:
            onward = self._step.forward(delivery.operation)
        except Exception as error:  # whatever it is: what cannot be digested must not end the step
            delivery.set_aside(f"{type(error).__name__}: {error}")
            self.counts["set_aside"] += 1
            return
        for pipe, operation in onward:
            outcome = self._send(pipe, operation)
            if outcome.status not in (Status.ACCEPTED, Status.ANSWERED):
                self._give_back(delivery, outcome)
                return
            if outcome.answer is not None:
                delivery.reply(outcome.answer)
        self._step.finish(delivery)
        self.counts["forwarded" if onward else "dropped"] += 1

    def _send(self, pipe: Pipe, operation: Operation) -> Outcome:
        sender = self._senders.get(pipe.site.name)
        if sender is None:
            sender = self._senders[pipe.site.name] = pipe.sender(self._name)
        sender.begin(operation)
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            for outcome in sender.outcomes(left):
                if outcome.operation == operation.id and is_final(pipe.schema, operation.message, outcome.status):
                    return outcome
        return Outcome(operation.id, Status.UNKNOWN, reason=f"no outcome within {PATIENCE:g} s")

    def _give_back(self, delivery: Delivery, outcome: Outcome) -> None:
        try:
            delivery.release()
            self.counts["released"] += 1
        except BadArgument:  # the source delivers at most once
            delivery.set_aside(f"could not be passed on: {outcome.reason}")
            self.counts["set_aside"] += 1
        time.sleep(BREATH)

    def close(self) -> None:
        self._receiver.close()
        for sender in self._senders.values():
            sender.close()


def _serve(link: Link, step: Step, name: str) -> dict[str, Any]:
    worker = _Worker(step, name)
    link.send("ready")
    try:
        worker.pass_on(link)
        link.recv()
    finally:
        worker.close()
    return dict(worker.counts)
