"""What a receiving participant does in a run: take, work and settle until it is told to stop. In its own process."""

from __future__ import annotations

import time
from typing import Any

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Delivery
from sandbox.errors import BadArgument, Refusal, RemoteError
from sandbox.exchange.parties import Effect, Metering, Party, QuotaStore, StateOwner, VolumeService
from sandbox.guarantees import Delivery as Promise
from sandbox.harness.effort import Effort
from sandbox.harness.hook import TryAgain
from sandbox.harness.journal import REFUSALS, Event, Journal, JournalFull
from sandbox.harness.participant import Link
from sandbox.harness.tasks import LOOK, ReceiveTask, undisturbed

#: a service time is slept up to this many ns before its end, and the rest of it spun
SPIN = 200_000
#: how long a delivery whose work has failed for now is put by, in s
DELAY = 0.02


def receive(link: Link, task: ReceiveTask) -> dict[str, Any]:
    """Take, work and settle until told to stop; "ready" first."""
    receiving = _Receiving(task)
    link.send("ready")
    with undisturbed():
        try:
            receiving.serve(link)
        except JournalFull:
            link.send("journal full")
            link.recv()
    return receiving.close()


class _Receiving:
    def __init__(self, task: ReceiveTask) -> None:
        self._task, part = task, task.part
        self._journal = Journal(task.journal, task.capacity)
        self._hook = part.hook
        if self._hook is not None:
            self._hook.start(task.name, self._journal)
        self._party = part.release.party(_party(task))
        self._schema = part.release.schema
        self._receiver = part.channel.receiver(part.site, self._schema, task.group, task.name)
        self._refused = 0
        promises = part.channel.guarantees
        promised = (promises.ask if task.group == ASK_GROUP else promises.tell).delivery
        self._lazy = promised is Promise.AT_LEAST_ONCE  # else there is nothing to take back, nor to carry out

    def serve(self, link: Link) -> None:
        """Until anything comes over the link; a receiver that is never idle looks there every `LOOK` s."""
        self._effort = Effort()
        take, batch, work = self._receiver.take, self._task.batch, self._work
        first = self._task.settle == "before"
        looked, ahead = time.monotonic(), list[Delivery]()
        while True:
            deliveries = ahead or take(LOOK, batch)
            ahead = self._settle_first(deliveries) if first else []
            for delivery in deliveries:
                work(delivery)
            if len(self._receiver.refused) > self._refused:
                self._note_refused()
            now = time.monotonic()
            if not deliveries or now - looked > LOOK:
                looked = now
                if link.poll(0):
                    link.recv()
                    return

    def close(self) -> dict[str, Any]:
        """Close the receiver; what the session should know."""
        spent = self._effort.spent()
        self._receiver.close()
        self._journal.close()
        return {"refused": self._receiver.refused[:20], "spent": spent}

    def _settle_first(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Settle before the work, and see to it that it is carried out; the deliveries that come with that.

        A channel may settle lazily, at the latest when the next `take` returns: without one, whoever died at
        work would get it again, and the policy would promise a loss that it does not show.
        """
        for delivery in deliveries:
            delivery.settle()
            self._journal.add(Event.SETTLED, delivery.operation.id, attempt=delivery.attempt)
            if self._hook is not None:
                self._hook.at("settled", delivery.operation.id, delivery.attempt)
        return self._receiver.take(0, self._task.batch) if deliveries and self._lazy else []

    def _work(self, delivery: Delivery) -> None:
        operation, attempt, add, hook = delivery.operation, delivery.attempt, self._journal.add, self._hook
        identity = operation.id
        try:
            if hook is not None:
                hook.at("taken", identity, attempt)
            began = add(Event.WORK, identity, attempt=attempt)
            if hook is not None:
                hook.at("working", identity, attempt)
            effect = self._party.work(operation.body)
        except JournalFull:
            raise
        except TryAgain as error:
            self._put_by(delivery, error)
            return
        except Exception as error:  # a message that the business cannot digest must not end the receiver
            self._refuse(delivery, error)
            return
        service = self._task.services.get(identity)
        if service:
            _be_busy_until(began + service)
        self._finish(delivery, effect)

    def _finish(self, delivery: Delivery, effect: Effect | None) -> None:
        """The work is done: record its effect, then reply, then settle."""
        identity, attempt, add, hook = delivery.operation.id, delivery.attempt, self._journal.add, self._hook
        if effect is not None:
            refused = REFUSALS.get(type(effect.answer).__name__, 0) if isinstance(effect.answer, Refusal) else 0
            add(Event.EFFECT, identity, effect.value, effect.subject, refused, attempt)
        if hook is not None:
            hook.at("worked", identity, attempt)
        if effect is not None and effect.answer is not None:
            delivery.reply(effect.answer)
            if hook is not None:
                hook.at("replied", identity, attempt)
        if self._task.settle == "after":
            delivery.settle()
            add(Event.SETTLED, identity, attempt=attempt)
            if hook is not None:
                hook.at("settled", identity, attempt)

    def _put_by(self, delivery: Delivery, error: Exception) -> None:
        try:
            delivery.release(DELAY)
        except BadArgument:  # this channel cannot give it back
            self._refuse(delivery, error)
        else:
            self._journal.add(Event.RELEASED, delivery.operation.id, attempt=delivery.attempt)

    def _refuse(self, delivery: Delivery, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if self._schema.messages[delivery.operation.message].answer is not None:
            delivery.reply(RemoteError(reason))
        if self._task.settle == "after":  # what was settled before the work is no longer ours to move
            delivery.set_aside(reason)
        self._journal.add(Event.SET_ASIDE, delivery.operation.id, attempt=delivery.attempt)

    def _note_refused(self) -> None:
        for _ in self._receiver.refused[self._refused :]:
            self._journal.add(Event.REFUSED, 0)
        self._refused = len(self._receiver.refused)


def _party(task: ReceiveTask) -> Party:
    if task.group == ASK_GROUP:
        return VolumeService(task.name, QuotaStore(task.part.site.folder / "quota", task.projects, task.quota_gb))
    if task.group == OWNER_GROUP:
        return StateOwner()
    return Metering()


def _be_busy_until(end: int) -> None:
    """Work: sleep, then spin the last stretch, so that a planned service time is met within microseconds."""
    left = end - time.monotonic_ns() - SPIN
    if left > 0:
        time.sleep(left / 1e9)
    while time.monotonic_ns() < end:
        pass
