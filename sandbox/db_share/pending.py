"""What a sender has begun and not yet reported for good."""

from __future__ import annotations

import time
from collections import deque

from msgspec import Struct

from sandbox.channel import Outcome, Status
from sandbox.errors import Refusal


class Pending:
    """Gives every operation exactly one final outcome; what comes after it is dropped.

    timeout  seconds after which an operation that is still open becomes UNKNOWN
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._open: dict[int, bool] = {}  # -> whether an answer is awaited
        self._deadlines: deque[tuple[float, int]] = deque()  # in order, because all have the same timeout
        self._reports: list[Outcome] = []

    def add(self, operation: int, answered: bool) -> None:
        """It was begun."""
        self._open[operation] = answered
        self._deadlines.append((time.monotonic() + self._timeout, operation))

    def accept(self, operation: int) -> None:
        """The acceptor has it; final unless an answer is awaited."""
        answered = self._open.get(operation)
        if answered is None:
            return
        if not answered:
            del self._open[operation]
        self._reports.append(Outcome(operation, Status.ACCEPTED))

    def answer(self, operation: int, result: Struct | Refusal) -> bool:
        """Its answer is here; False when it is not awaited (any more)."""
        awaited = self._open.pop(operation, None) is not None
        if awaited:
            self._reports.append(Outcome(operation, Status.ANSWERED, result))
        return awaited

    def end(self, operation: int, status: Status, reason: str) -> None:
        """It certainly did not happen, or nobody can say."""
        if self._open.pop(operation, None) is not None:
            self._reports.append(Outcome(operation, status, reason=reason))

    def end_all(self, reason: str) -> None:
        """Nobody can say of any that is open."""
        for operation in list(self._open):
            self.end(operation, Status.UNKNOWN, reason)

    def expire(self) -> list[int]:
        """The operations whose time is up; the caller knows how each of them ends."""
        now, up = time.monotonic(), []
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][1] not in self._open):
            operation = self._deadlines.popleft()[1]
            if operation in self._open:
                up.append(operation)
        return up

    def wait_at_most(self, until: float) -> float:
        """Seconds until `until` or until the next one's time is up."""
        if self._deadlines:
            until = min(until, self._deadlines[0][0])
        return max(0.0, until - time.monotonic())

    @property
    def has_reports(self) -> bool:
        """Whether there is something to report."""
        return bool(self._reports)

    def reports(self) -> list[Outcome]:
        """What became known since the last call."""
        reports, self._reports = self._reports, []
        return reports
