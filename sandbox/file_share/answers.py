"""Answers on their way back: which asks are open, which are given up, which answer belongs to which."""

# Plain strings all through: a Path costs as much as the system call it is for.
# ruff: noqa: PTH108

from __future__ import annotations

import os
import time
from pathlib import Path

from sandbox.channel import Envelope, Outcome, Status
from sandbox.errors import Definite
from sandbox.exchange.schema import Schema
from sandbox.file_share.box import Box
from sandbox.file_share.folders import Publisher, read_envelope
from sandbox.file_share.inbox import Inbox
from sandbox.file_share.wakeup import watch


class Answers:
    """The folder of answers for one sender. An answer is matched by the operation's id, and given once or never.

    late  answers that came after their ask had been reported UNKNOWN
    """

    def __init__(self, root: str, name: str, schema: Schema, publisher: Publisher, timeout: float) -> None:
        self._folder, self._dead = f"{root}/answers/{name}", Box(root, "ask")
        self._schema, self._publisher, self._timeout = schema, publisher, timeout
        self._decode = schema.codec.decoder(Envelope)
        self._inbox: Inbox | None = None
        self._open: dict[int, tuple[str, float]] = {}  # oldest first, and so the first one due
        self._given_up: set[int] = set()
        self._known: list[Outcome] = []
        self.late = 0

    def watch(self, *, wake: bool, poll: float) -> None:
        """Make and watch the folder, before the first request goes out; who only tells needs none."""
        if self._inbox is None:
            Path(self._folder).mkdir(mode=0o700, exist_ok=True)
            self._inbox = Inbox(self._folder, watch(self._folder, wake=wake, interval=poll))

    def expect(self, number: int, message: str) -> None:
        """The request is out: from now on it has `timeout` seconds."""
        self._open[number] = message, time.monotonic() + self._timeout

    def give_up(self, number: int) -> None:
        """It is being reported UNKNOWN: an answer would be late."""
        self._open.pop(number, None)
        self._given_up.add(number)

    @property
    def awaited(self) -> bool:
        """Whether any answer may still come."""
        return bool(self._open or self._given_up)

    def collect(self, timeout: float) -> list[Outcome]:
        """Answers that are here, asks that are given up; waits up to `timeout` s for the first while any is open."""
        deadline = time.monotonic() + timeout
        while self._inbox and self.awaited:
            now = time.monotonic()
            self._inbox.fill(min(deadline, self._due()) - now if self._open else 0.0)
            while self._inbox.names:
                self._read(f"{self._folder}/{self._inbox.names.popleft()}")
            self._give_up_overdue(now)
            if self._known or not self._open or now >= deadline:
                break
        known, self._known = self._known, []
        return known

    def close(self) -> None:
        """Stop watching."""
        if self._inbox:
            self._inbox.close()
            self._inbox = None

    def _read(self, path: str) -> None:
        try:
            answer = read_envelope(path, self._decode)
        except FileNotFoundError:  # announced, and listed too: it has been read
            return
        except Definite as error:
            self._dead.bury(path, self._publisher.stamp(), f"not an answer: {error}")
            return
        self._match(answer)
        os.unlink(path)

    def _match(self, answer: Envelope) -> None:
        message, _ = self._open.pop(answer.id, ("", 0.0))
        if not message:  # too late, or worked twice
            self.late += answer.id in self._given_up
            self._given_up.discard(answer.id)
            return
        try:
            result = self._schema.decode_answer(message, answer.body)
        except Definite as error:  # the work was done, but we cannot read what came of it
            self._known.append(Outcome(answer.id, Status.UNKNOWN, reason=str(error)))
        else:
            self._known.append(Outcome(answer.id, Status.ANSWERED, result))

    def _due(self) -> float:
        return next(iter(self._open.values()))[1]

    def _give_up_overdue(self, now: float) -> None:
        while self._open and self._due() <= now:
            number = next(iter(self._open))
            self.give_up(number)
            reason = f"no answer within {self._timeout:g} s"
            self._known.append(Outcome(number, Status.UNKNOWN, reason=reason))
