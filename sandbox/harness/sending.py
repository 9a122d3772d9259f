"""What a sending participant does in a run: it sends by plan, and takes in what becomes of it. In its own process."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from sandbox.channel import Outcome, Sender, Status, is_final
from sandbox.errors import Definite, Refusal
from sandbox.exchange.schema import Operation, VolumeCreated, VolumeState
from sandbox.harness.journal import MISMATCHED, REFUSALS, Event, Journal, JournalFull
from sandbox.harness.participant import Link
from sandbox.harness.plan import STATES, operations
from sandbox.harness.tasks import LOOK, SendTask, undisturbed

#: the pacer sleeps up to this many ns before an intended start and looks without waiting from there on
SPIN = 200_000


def send(link: Link, task: SendTask) -> dict[str, Any]:
    """Send one sender's rows; "ready", then the start time in, "sent" when all is known, then stop."""
    sending = _Sending(task)
    link.send("ready")
    start: int = link.recv()
    with undisturbed():
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


class _Sending:
    def __init__(self, task: SendTask) -> None:
        self._task, part = task, task.part
        self._journal = Journal(task.journal, 16 * len(task.rows) + 64)
        self._hook = part.hook
        if self._hook is not None:
            self._hook.start(task.name, self._journal)
        self._speaker, self._operations = part.release.speaking(list(operations(list(task.rows))))
        due = {row[0]: row[3] for row in task.rows}
        self._due = [due[operation.id] for operation in self._operations]
        self._schema = part.release.schema
        self._sender: Sender = part.channel.sender(part.site, self._schema, task.name)
        self._open: dict[int, Operation] = {}

    def pace(self, start: int) -> None:
        """Open loop: begin each operation at its intended start, take in outcomes meanwhile."""
        now, sleep, outcomes, note = time.monotonic_ns, time.sleep, self._sender.outcomes, self._note
        idle = int(not self._task.resumed)  # nothing comes before the first one: if it is late, the pacer is
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
        identity, hook = operation.id, self._hook
        self._open[identity] = operation
        self._journal.add(Event.INTENT, identity, idle)
        if hook is not None:
            hook.at("begin", identity)
        try:
            self._sender.begin(operation)
        except Definite:
            self._journal.add(Event.FAILED, identity)
            del self._open[identity]
        if hook is not None:
            hook.at("begun", identity)

    def _note(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            operation = self._open.get(outcome.operation)
            self._record(outcome, operation)
            if operation is not None and is_final(self._schema, operation.message, outcome.status):
                del self._open[outcome.operation]

    def _record(self, outcome: Outcome, operation: Operation | None) -> None:
        add, identity, answer = self._journal.add, outcome.operation, outcome.answer
        if answer is not None and not isinstance(answer, Refusal):
            answer = self._speaker.hear(answer)
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
