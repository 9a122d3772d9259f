"""A schedule that fails, shortened to what is needed to fail: first fewer faults, then fewer operations.

Delta debugging: halves are left out, then quarters, ... then single faults, as long as what remains still fails; at
first with one try each, which is enough for most of it. What fails by luck fails now and then only, so in the end
each candidate has several tries before it counts as holding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sandbox.errors import BadArgument
from sandbox.faults.bad_use import load_seconds
from sandbox.faults.soak.trial import Trial

#: runs that a candidate has for failing
TRIES = 3
#: s after which the search is given up, with the shortest that was found
PATIENCE = 120.0
#: never fewer operations than this
_FEWEST = 10


@dataclass
class Shrinking:
    """How a trial is shortened.

    fails   carries out a trial; whether it has failed
    tries   runs that a candidate has for failing
    until   moment of the monotonic clock at which the search is given up
    """

    fails: Callable[[Trial], bool]
    tries: int = TRIES
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE)

    def shortest(self, trial: Trial) -> Trial:
        """The shortest trial that was found to fail; the one given, if no other did."""
        coarse = self._fewer_faults(trial, max(1, len(trial.kept) // 2), tries=1)
        return self._fewer_operations(self._fewer_faults(coarse, 1, self.tries))

    def _fewer_faults(self, trial: Trial, size: int, tries: int) -> Trial:
        while size := min(size, len(trial.kept)):
            shorter = self._without_some(trial, size, tries)
            if shorter is None:
                size //= 2
            else:
                trial = shorter
        return trial

    def _without_some(self, trial: Trial, size: int, tries: int) -> Trial | None:
        """The first that still fails without `size` neighbouring faults."""
        for start in range(0, len(trial.kept), size):
            rest: Sequence[int] = trial.kept[:start] + trial.kept[start + size :]
            if self._still_fails(shorter := trial.keeping(rest), tries):
                return shorter
        return None

    def _fewer_operations(self, trial: Trial) -> Trial:
        while trial.workload.operations // 2 >= _FEWEST:
            shorter = trial.offering(trial.workload.operations // 2)
            if not (_has_room(shorter) and self._still_fails(shorter, self.tries)):
                return trial
            trial = shorter
        return trial

    def _still_fails(self, trial: Trial, tries: int) -> bool:
        for _ in range(tries):
            if time.monotonic() >= self.until:
                return False
            try:
                if self.fails(trial):
                    return True
            except BadArgument:  # the faults that are left do not go together
                return False
        return False


def _has_room(trial: Trial) -> bool:
    """Whether the load is still long enough for all of its faults."""
    end = load_seconds(trial.workload) or 0.0
    return all((each.at or 0.0) + (each.lasts or 0.0) <= end for each in trial.planned)
