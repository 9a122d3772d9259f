"""In the participant: sees each outside effect of the channel just before and just after it, and may strike there."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from sandbox.faults.crash.effects import MAKES, TAKING, act_of, rows_and_transaction
from sandbox.faults.crash.libpq import Happened, report_to
from sandbox.faults.crash.source import Own
from sandbox.harness.hook import Hook
from sandbox.harness.journal import Journal


class Spot(NamedTuple):
    """One place of the source that has one kind of effect.

    via  the lines of the channel's own source that lead there, innermost first: one line that writes may write the
         message, its answer and its settlement, and each is another effect
    """

    file: str
    line: int
    act: str
    via: tuple[tuple[str, int], ...] = ()

    @property
    def taking(self) -> bool:
        """Whether it takes something, which it does only once something has come."""
        return self.act in TAKING


class Seen(NamedTuple):
    """One effect that was made.

    epoch  how many operations this participant had begun (a sender) or taken (a receiver) before
    nth    how often this spot had had its effect before, in the same epoch
    """

    spot: Spot
    epoch: int
    nth: int


@dataclass(frozen=True)
class Strike:
    """When to die: just before or just after an effect; epoch None: the first time that it comes to that, whenever.

    Counted by effects that were made: an attempt that fails, as that of a lock that another has, does not count. That
    and the epoch make the moment the same in each run, however often somebody had to look again.
    """

    spot: Spot
    after: bool
    epoch: int | None = None
    nth: int = 0
    any_way: bool = False  #: whatever lines have led there

    def relaxed(self) -> list[Strike]:
        """This one and two that are met more easily: which way is taken, and when, may depend on who is faster."""
        whenever = replace(self, epoch=None)
        return [self, whenever, replace(whenever, any_way=True)]

    def meets(self, spot: Spot, after: bool) -> bool:
        """Whether it is to be here, or may be."""
        same = spot[:3] == self.spot[:3] if self.any_way else spot == self.spot
        return same and after == self.after


class Watching(Hook):
    """Watches one participant.

    own     which source is the channel's
    log     file to which each effect is noted; None: no note
    strike  where to die; None: nowhere
    ends    (point, how many operations before): die there, at a named point and not at an effect
    """

    def __init__(
        self, own: Own, log: Path | None = None, strike: Strike | None = None, ends: tuple[str, int] | None = None
    ) -> None:
        self._own, self._log, self._strike, self._ends = own, log, strike, ends

    def start(self, name: str, journal: Journal) -> None:
        """See `Hook.start`. From here on the process is profiled, until it ends."""
        super().start(name, journal)
        self._epoch, self._times = 0, Counter[tuple[Spot, int]]()
        self._under_way: list[tuple[str, Spot | None, tuple[int, bool] | None]] = []
        self._flags, self._busy = 0, False
        self._file = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if self._log else None
        sys.addaudithook(self._hear)
        report_to(self._reported)
        sys.setprofile(self._profile)

    def at(self, point: str, operation: int, attempt: int = 0) -> None:
        """See `Hook.at`."""
        if self._ends == (point, self._epoch):
            self.die(operation)
        if point in ("begin", "taken"):
            self._epoch += 1

    # --- what the interpreter says ---------------------------------------------------------------

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event: the only one that tells how a file is opened."""
        if event == "open":
            self._flags = arguments[2] or 0

    def _profile(self, frame: FrameType, event: str, function: Any) -> None:
        if self._busy:
            return
        if event == "c_call":
            act = act_of(function)
            if act is not None:
                spot = self._spot(act, frame)
                self._flags = 0
                self._under_way.append((function.__name__, spot, rows_and_transaction(function)))
                if spot is not None:
                    self._before(spot)
        elif self._under_way and (event == "c_return" or event == "c_exception"):
            name, spot, before = self._under_way[-1]
            if name != function.__name__:
                return  # something else, that was called meanwhile
            self._under_way.pop()
            if spot is not None and event == "c_return" and self._has_happened(spot, function, before):
                self._after(spot)

    def _has_happened(self, spot: Spot, function: Any, before: tuple[int, bool] | None) -> bool:
        if spot.act in ("open", "os.open"):
            return bool(self._flags & MAKES)
        return before is None or before != rows_and_transaction(function)

    @contextmanager
    def _reported(self, act: str) -> Iterator[Happened]:
        """An effect that the profiler does not see; see `libpq`."""
        self._busy = True  # what is done here is not the channel's doing
        spot = self._spot(act, sys._getframe(2))
        happened = Happened()
        if spot is not None:
            self._before(spot)
        try:
            yield happened
            if spot is not None and happened.yes:
                self._after(spot)
        finally:
            self._busy = False

    def _spot(self, act: str, frame: FrameType | None) -> Spot | None:
        """Where in the channel's own source this comes from; None: it was not the channel."""
        lines = []
        while frame is not None:
            file = self._own.file_of(frame.f_code)
            if file is not None:
                lines.append((file, frame.f_lineno))
            frame = frame.f_back
        return Spot(*lines[0], act, tuple(lines[1:])) if lines else None

    # --- what becomes of it ------------------------------------------------------------------------

    def _before(self, spot: Spot) -> None:
        if not spot.taking:
            self._strike_if(spot, after=False)

    def _after(self, spot: Spot) -> None:
        if self._file is not None:
            note = (*spot, self._epoch, self._times[spot, self._epoch])
            os.write(self._file, json.dumps(note).encode() + b"\n")
        self._strike_if(spot, after=True)
        self._times[spot, self._epoch] += 1

    def _strike_if(self, spot: Spot, after: bool) -> None:
        strike = self._strike
        if strike is None or not strike.meets(spot, after):
            return
        if strike.epoch is None or (strike.epoch == self._epoch and strike.nth == self._times[spot, self._epoch]):
            self.die(0)


def noted(log: Path) -> list[Seen]:
    """What was noted in a log, in order; also of a process that was killed."""
    if not log.exists():
        return []
    notes = (json.loads(line) for line in log.read_bytes().splitlines())
    return [Seen(Spot(file, line, act, tuple(map(tuple, via))), *rest) for file, line, act, via, *rest in notes]
