"""What participants do in a run: send by plan, or take, work and settle. Runs in their own processes."""

from __future__ import annotations

import contextlib
import gc
import time
from typing import Any

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Delivery, Outcome, Sender, Status, is_final
from sandbox.errors import Definite, Refusal, RemoteError
from sandbox.exchange.parties import Metering, Party, QuotaStore, StateOwner, VolumeService
from sandbox.exchange.schema import Operation, VolumeCreated, VolumeState
from sandbox.guarantees import Delivery as Promise
from sandbox.harness.effort import Effort
from sandbox.harness.journal import MISMATCHED, REFUSALS, Event, Journal, JournalFull
from sandbox.harness.participant import Link
from sandbox.harness.plan import STATES, operations
from sandbox.harness.tasks import ReceiveTask, SendTask

#: the pacer sleeps up to this many ns before an intended start and looks without waiting from there on
SPIN = 200_000
#: how long a receiver waits for deliveries before it looks whether it should stop, in s
LOOK = 0.05


def send(link: Link, task: SendTask) -> dict[str, Any]:
    """Send one sender's rows; "ready", then the start time in, "sent" when all is known, then stop."""
    sending = _Sending(task)
    link.send("ready")
    start: int = link.recv()
    with _undisturbed():
        try:
            if task.loop == "open":
                sending.pace(start)
            else:
                sending.keep_in_flight(start)
            sending.collect()
        except JournalFull:
            link.send("journal full")
    link.send("sent")
    link.recv()
    return sending.close()


def receive(link: Link, task: ReceiveTask) -> dict[str, Any]:
    """Take, work and settle until told to stop; "ready" first."""
    receiving = _Receiving(task)
    link.send("ready")
    with _undisturbed():
        try:
            receiving.serve(link)
        except JournalFull:
            link.send("journal full")
            link.recv()
    return receiving.close()


class _Sending:
    def __init__(self, task: SendTask) -> None:
        self._task = task
        self._operations = list(operations(list(task.rows)))
        self._due = [row[3] for row in task.rows]
        self._journal = Journal(task.journal, 8 * len(task.rows) + 64)
        self._sender: Sender = task.channel.sender(task.site, task.schema, task.name)
        self._open: dict[int, Operation] = {}

    def pace(self, start: int) -> None:
        """Open loop: begin each operation at its intended start, take in outcomes meanwhile."""
        now, sleep, outcomes, note = time.monotonic_ns, time.sleep, self._sender.outcomes, self._note
        idle = 1  # nothing comes before the first one: if it is late, the pacer is
        for operation, due in zip(self._operations, self._due, strict=True):
            due += start
            while (left := due - now()) > 0:
                idle = 1
                patience = (left - SPIN) / 1e9 if left > SPIN else 0
                if self._open:
                    note(outcomes(patience))
                elif patience:  # a channel with nothing open may return at once: do not spin on it
                    sleep(patience)
            self._begin(operation, idle)
            idle = 0
            note(outcomes(0))

    def keep_in_flight(self, start: int) -> None:
        """Closed loop: begin the next operation when fewer than `in_flight` are open."""
        while (left := start - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        for operation in self._operations:
            self._await_room()
            self._begin(operation, 1)

    def _await_room(self) -> None:
        moved = time.monotonic()
        while len(self._open) >= self._task.in_flight:
            left = moved + self._task.timeout - time.monotonic()
            if left <= 0:
                self._open.clear()  # none came for a whole timeout: they stay indeterminate
            elif found := self._sender.outcomes(left):
                self._note(found)
                moved = time.monotonic()

    def collect(self) -> None:
        """Wait for the outcomes that are still open; those that do not come stay indeterminate."""
        deadline = time.monotonic() + self._task.timeout
        while self._open and (left := deadline - time.monotonic()) > 0:
            self._note(self._sender.outcomes(min(left, LOOK)))

    def close(self) -> dict[str, Any]:
        """Close the sender; what the session should know.

        What comes only now comes after all patience: its time would be that of the drain, not its own.
        """
        late = self._sender.late + len(self._sender.outcomes(0))
        if late:
            with contextlib.suppress(JournalFull):
                self._journal.add(Event.LATE, 0, late)
        self._sender.close()
        self._journal.close()
        return {"late": late}

    def _begin(self, operation: Operation, idle: int) -> None:
        identity = operation.id
        self._open[identity] = operation
        self._journal.add(Event.INTENT, identity, idle)
        try:
            self._sender.begin(operation)
        except Definite:
            self._journal.add(Event.FAILED, identity)
            del self._open[identity]

    def _note(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            operation = self._open.get(outcome.operation)
            self._record(outcome, operation)
            if operation is not None and is_final(self._task.schema, operation.message, outcome.status):
                del self._open[outcome.operation]

    def _record(self, outcome: Outcome, operation: Operation | None) -> None:
        add, identity, answer = self._journal.add, outcome.operation, outcome.answer
        if outcome.status is Status.ACCEPTED:
            add(Event.ACCEPTED, identity)
        elif outcome.status is Status.FAILED:
            add(Event.FAILED, identity)
        elif outcome.status is Status.UNKNOWN:
            add(Event.UNKNOWN, identity)
        elif isinstance(answer, VolumeState | VolumeCreated):
            asked = getattr(operation.body, "volume", None) if operation else answer.volume
            status = 0 if answer.volume == asked else MISMATCHED
            if isinstance(answer, VolumeState):
                add(Event.ANSWERED, identity, answer.version, STATES.index(answer.state), status)
            else:
                add(Event.ANSWERED, identity, answer.volume, 0, status)
        else:
            add(Event.ANSWERED, identity, status=REFUSALS.get(type(answer).__name__, 255))


class _Receiving:
    def __init__(self, task: ReceiveTask) -> None:
        self._task = task
        self._journal = Journal(task.journal, task.capacity)
        self._party = _party(task)
        self._receiver = task.channel.receiver(task.site, task.schema, task.group, task.name)
        self._refused = 0
        promises = task.channel.guarantees
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
        return self._receiver.take(0, self._task.batch) if deliveries and self._lazy else []

    def _work(self, delivery: Delivery) -> None:
        operation, attempt, add = delivery.operation, delivery.attempt, self._journal.add
        identity = operation.id
        began = add(Event.WORK, identity, attempt=attempt)
        try:
            effect = self._party.work(operation.body)
        except Exception as error:  # a message that the business cannot digest must not end the receiver
            self._refuse(delivery, error)
            return
        service = self._task.services.get(identity)
        if service:
            _be_busy_until(began + service)
        refused = REFUSALS.get(type(effect.answer).__name__, 0) if isinstance(effect.answer, Refusal) else 0
        add(Event.EFFECT, identity, effect.value, effect.subject, refused, attempt)
        if effect.answer is not None:
            delivery.reply(effect.answer)
        if self._task.settle == "after":
            delivery.settle()
            add(Event.SETTLED, identity, attempt=attempt)

    def _refuse(self, delivery: Delivery, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        if self._task.schema.messages[delivery.operation.message].answer is not None:
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
        return VolumeService(task.name, QuotaStore(task.site.folder / "quota", task.projects, task.quota_gb))
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


class _undisturbed(contextlib.AbstractContextManager[None]):
    """No garbage collection while it counts: a collection is a pause that no channel has caused."""

    def __enter__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()
