"""Histories built by hand, whose answers are known before checker, oracles and measure have seen them.

book = Book("TTA")              two tells and an ask, due at 0, 1 and 2 ms
book.sent(1, at=0.0)            times in ms after the start; by default an operation is sent when it is due
book.accepted(1).worked(1)      each step returns the book
book.history()
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from sandbox.channel import ASK_GROUP, OWNER_GROUP
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Ask, Guarantees, Share, Support, Tell
from sandbox.harness.history import EVENT_DTYPE, History, Process, Role
from sandbox.harness.journal import Event
from sandbox.harness.plan import ASK, DTYPE, MESSAGES_OF, READ, TELL, WRITE, Plan
from sandbox.harness.workload import Workload

LETTERS = {"T": TELL, "A": ASK, "W": WRITE, "R": READ}
MS = 1_000_000


class Book:
    """A history in the making.

    kinds    one letter an operation: T(ell), A(sk), W(rite), R(ead)
    senders  tells and asks go round so many senders; reads round so many `readers`
    owner    whether shared state goes through an owner
    rows     the plan, to be changed before `history`: value, project, subject, state, warm, due, service
    """

    def __init__(
        self,
        kinds: str = "T",
        *,
        groups: tuple[str, ...] = ("metering",),
        receivers: int = 1,
        senders: int = 1,
        readers: int = 1,
        owner: bool = True,
        **knobs: Any,
    ) -> None:
        self.rows = _rows(kinds)
        self.processes: list[Process] = []
        self._names: tuple[str, ...] = ()
        self._events: list[tuple[int, ...]] = []
        self._assign_senders(senders, readers)
        verbs = {verb: sum(LETTERS[k] in MESSAGES_OF[verb] for k in kinds) for verb in Verb}
        mix = {str(verb): float(count) for verb, count in verbs.items() if count}
        self._add_receivers(mix, groups, receivers, owner)
        knobs = {"warmup": 0, "operations": len(kinds), **knobs}
        self._workload = Workload(next(iter(mix)) if len(mix) == 1 else mix, groups=groups, **knobs)
        share = Share(Support.LAYERED, needs_owner=owner)
        self._guarantees = Guarantees(tell=Tell(Support.NATURAL), ask=Ask(Support.NATURAL), share=share)

    # --- the sender's side ----------------------------------------------------------------------

    def sent(self, operation: int, at: float | None = None, idle: int = 1) -> Self:
        """Its intent; by default exactly when it is due."""
        return self._sender_event(Event.INTENT, operation, self._due(operation) if at is None else at, value=idle)

    def accepted(self, operation: int, at: float | None = None) -> Self:
        """Its sender is told that it was accepted; by default 0.1 ms after it was due."""
        return self._sender_event(Event.ACCEPTED, operation, self._due(operation) + 0.1 if at is None else at)

    def answered(
        self, operation: int, at: float | None = None, value: int = 0, detail: int = 0, status: int = 0
    ) -> Self:
        """Its answer is there; by default 0.9 ms after it was due."""
        at = self._due(operation) + 0.9 if at is None else at
        return self._sender_event(Event.ANSWERED, operation, at, value, detail, status)

    def failed(self, operation: int, at: float | None = None) -> Self:
        """Its sender is told that it certainly did not happen."""
        return self._sender_event(Event.FAILED, operation, self._due(operation) + 0.1 if at is None else at)

    def unknown(self, operation: int, at: float | None = None) -> Self:
        """Its sender is told that nobody knows."""
        return self._sender_event(Event.UNKNOWN, operation, self._due(operation) + 0.1 if at is None else at)

    # --- the receiver's side --------------------------------------------------------------------

    def worked(
        self,
        operation: int,
        by: str | None = None,
        at: float | None = None,
        took: float = 0.3,
        attempt: int = 1,
        **effect: int,
    ) -> Self:
        """A delivery is worked: start (by default 0.2 ms after it was due) and effect; what was meant, or `effect`."""
        start = self._due(operation) + 0.2 if at is None else at
        process = self._index(by or self._default_receiver(operation))
        self.event(process, Event.WORK, operation, start, attempt=attempt)
        known = 1 <= operation <= len(self.rows)
        row = self.rows[operation - 1] if known else {"value": 1, "project": 0}
        meant = {"value": int(row["value"]), "detail": int(row["project"]), "status": 0}
        self.event(process, Event.EFFECT, operation, start + took, attempt=attempt, **{**meant, **effect})
        return self

    def began_to_work(self, operation: int, by: str | None = None, at: float | None = None, attempt: int = 1) -> Self:
        """A delivery whose work had no effect."""
        start = self._due(operation) + 0.2 if at is None else at
        self.event(self._index(by or self._default_receiver(operation)), Event.WORK, operation, start, attempt=attempt)
        return self

    def well(self, *operations: int) -> Self:
        """These operations go as they should: sent, accepted, worked in every group, answered."""
        for operation in operations or range(1, len(self.rows) + 1):
            self.sent(operation).accepted(operation)
            message = self.rows["message"][operation - 1]
            for process in self._receivers_of(message):
                self.worked(operation, by=process)
            if message in (ASK, READ):
                self.answered(operation)
        return self

    def history(self, *notes: str, **facts: Any) -> History:
        """The history as it stands."""
        events = np.array(sorted(self._events), dtype=EVENT_DTYPE)
        return History(
            workload=self._workload,
            channel="hand_made",
            style="custom",
            guarantees=self._guarantees,
            plan=Plan(self.rows, self._names),
            processes=tuple(self.processes),
            events=events[np.argsort(events["time"], kind="stable")],
            notes=notes,
            facts=facts,
        )

    # --- inside ---------------------------------------------------------------------------------

    def _assign_senders(self, senders: int, readers: int) -> None:
        names: list[str] = []
        for messages, role, number in (
            ((TELL, ASK), "sender", senders),
            ((WRITE,), "writer", 1),
            ((READ,), "r", readers),
        ):
            mine = np.flatnonzero(np.isin(self.rows["message"], messages))
            if len(mine):
                self.rows["sender"][mine] = len(names) + np.arange(len(mine)) % number
                names += [f"{role}-{i}" for i in range(number)]
        self._names = tuple(names)
        self.processes += [Process(name, Role.SENDER) for name in names]

    def _add_receivers(self, mix: dict[str, float], groups: tuple[str, ...], receivers: int, owner: bool) -> None:
        members = [(group, f"{group}-{i}") for group in groups if "tell" in mix for i in range(receivers)]
        members += [(ASK_GROUP, f"{ASK_GROUP}-{i}") for i in range(receivers) if "ask" in mix]
        members += [(OWNER_GROUP, "owner")] if owner and "share" in mix else []
        self.processes += [Process(name, Role.RECEIVER, group) for group, name in members]

    def _receivers_of(self, message: int) -> list[str]:
        """The first receiver of every group that a message goes to."""
        first: dict[str, str] = {}
        for process in self.processes:
            if process.role is Role.RECEIVER:
                first.setdefault(process.group, process.name)
        if message == TELL:
            return [name for group, name in first.items() if group not in (ASK_GROUP, OWNER_GROUP)]
        return [first[g] for g in (ASK_GROUP if message == ASK else OWNER_GROUP,) if g in first]

    def _default_receiver(self, operation: int) -> str:
        known = 1 <= operation <= len(self.rows)
        return self._receivers_of(self.rows["message"][operation - 1] if known else TELL)[0]

    def _due(self, operation: int) -> float:
        known = 1 <= operation <= len(self.rows)
        return float(self.rows["due"][operation - 1]) / MS if known else 0.0

    def _sender_event(
        self, kind: Event, operation: int, at: float, value: int = 0, detail: int = 0, status: int = 0
    ) -> Self:
        self.event(int(self.rows["sender"][operation - 1]), kind, operation, at, value, detail, status)
        return self

    def _index(self, name: str) -> int:
        return [process.name for process in self.processes].index(name)

    def event(
        self,
        process: int,
        kind: Event,
        operation: int,
        at: float,
        value: int = 0,
        detail: int = 0,
        status: int = 0,
        attempt: int = 0,
    ) -> None:
        """Any event of any process (its number): for what the other steps do not offer."""
        self._events.append((round(at * MS), operation, value, detail, int(kind), status, attempt, 1, process))


def _rows(kinds: str) -> np.ndarray[Any, Any]:
    rows = np.zeros(len(kinds), dtype=DTYPE)
    rows["id"] = np.arange(1, len(kinds) + 1)
    rows["message"] = [LETTERS[kind] for kind in kinds]
    rows["due"] = np.arange(len(kinds)) * MS
    rows["value"] = 1000 + rows["id"]
    rows["project"] = rows["id"] % 3
    rows["subject"] = rows["id"]
    rows["size"] = 64
    versions: dict[int, int] = {}
    for row in np.flatnonzero(np.isin(rows["message"], (WRITE, READ))).tolist():
        rows["subject"][row] = 1
        rows["value"][row] = 0
        if rows["message"][row] == WRITE:
            versions[1] = versions.get(1, 0) + 1
            rows["value"][row] = versions[1]
            rows["state"][row] = versions[1] % 8
    return rows
