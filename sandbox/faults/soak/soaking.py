"""Carries out a soak: each row in a thread with a session of its own, whose servers it may break; run after run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from sandbox.channel import Channel
from sandbox.errors import BadArgument, RunFailed, ServerUnavailable
from sandbox.faults.soak.judging import breaches
from sandbox.faults.soak.proof import Killed, killed
from sandbox.faults.soak.result import Failure, Soak, Tally
from sandbox.faults.soak.shrinking import Shrinking
from sandbox.faults.soak.trial import Trial, draw, rows
from sandbox.harness.progress import Progress
from sandbox.harness.run import run_history
from sandbox.harness.session import Session

#: kills that a soak goes on for when no time is given
GOAL = 1000
#: s after which it ends in any case when no time is given
LONGEST = 1800.0
#: s between two looks, so that an interrupt is not kept waiting
_LOOK = 0.2
#: more runs of a shortened schedule, to say how often it fails
_AGAIN = 3


def soak(
    channels: Sequence[str] | Mapping[str, Channel] | None = None,
    *,
    seed: int,
    minutes: float | None = None,
    kills: int = GOAL,
    progress: Callable[[str], None] | bool = True,
) -> Soak:
    """Random faults against every sound channel, until so many minutes are over or so many kills have hit.

    channels   names of rows (see `trial.rows`), or name -> channel; all rows without any
    seed       the same seed gives the same runs in the same order
    minutes    how long; without, until `kills` have hit operations in flight, and each row has half of its even share

    A row ends with its first broken promise, which is shortened to what is needed to fail; the others go on. A server
    that cannot be had is a note. Raises `BadArgument`. Stopping it ends all that was started.
    """
    chosen = channels if isinstance(channels, Mapping) else rows(channels)
    return _Soaking(chosen, seed, minutes, kills, progress).carry_out()


class _Soaking:
    def __init__(
        self,
        chosen: Mapping[str, Channel],
        seed: int,
        minutes: float | None,
        kills: int,
        progress: Callable[[str], None] | bool,
    ) -> None:
        self._rows, self._goal, self._timed = chosen, kills, minutes is not None
        self._each = kills // (2 * len(chosen))
        self._found = Soak(seed, {row: Tally() for row in chosen})
        self._progress = Progress(None, progress)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._until = self._began + (LONGEST if minutes is None else 60 * minutes)
        self._stopped = False
        self._sessions: list[Session] = []

    def carry_out(self) -> Soak:
        pool = ThreadPoolExecutor(len(self._rows), thread_name_prefix="soak")
        try:
            _await([pool.submit(self._soak, row, channel) for row, channel in self._rows.items()])
        finally:
            self._stopped = True
            for session in list(self._sessions):  # a run whose session is gone ends at once
                session.close()
            pool.shutdown(wait=True, cancel_futures=True)
        self._found.seconds = time.monotonic() - self._began
        if not self._timed and self._found.kills < self._goal and not self._found.failures:
            self._found.notes.append(f"fewer than {self._goal:,} kills have hit operations in flight.")
        self._progress.end()
        return self._found

    def _soak(self, row: str, channel: Channel) -> None:
        with Session() as session:
            self._sessions.append(session)
            try:
                self._runs(row, channel, session)
            except ServerUnavailable as error:
                self._found.notes.append(f"{row} was left out: {error}")
            except RunFailed:
                if not self._stopped:
                    raise

    def _runs(self, row: str, channel: Channel, session: Session) -> None:
        number, spared = 0, any(session.server(medium).external for medium in channel.needs)
        while not self._enough():
            number += 1
            trial = draw(row, channel, self._found.seed, number)
            trial = trial.sparing_servers() if spared else trial
            broken = self._try(trial, session)
            if broken:
                self._found.failures.append(self._shortened(trial, broken, session))
                return

    def _enough(self) -> bool:
        if self._stopped or time.monotonic() >= self._until:
            return True
        if self._timed:
            return False
        broken = {failure.trial.row for failure in self._found.failures}
        each = all(tally.kills >= self._each for row, tally in self._found.tallies.items() if row not in broken)
        return each and self._found.kills >= self._goal

    def _try(self, trial: Trial, session: Session) -> list[str]:
        """Carry out one trial; what it broke."""
        begun = time.monotonic()
        dead, broken = carry_out(trial, session)
        with self._lock:
            self._found.tallies[trial.row].add(dead, time.monotonic() - begun)
            hit = sum(bool(each.in_hand) for each in dead)
            said = "; ".join(broken) if broken else "held"
            self._progress.step(f"{trial.row}, run {trial.number}: {hit} kills, {said}; {self._found.kills:,} in all")
        return broken

    def _shortened(self, trial: Trial, broken: list[str], session: Session) -> Failure:
        shortest = Shrinking(lambda shorter: not self._stopped and bool(self._try(shorter, session))).shortest(trial)
        again = [bool(carry_out(shortest, session)[1]) for _ in range(_AGAIN)]
        return Failure(trial, tuple(broken), shortest, (sum(again), len(again)))


def carry_out(trial: Trial, session: Session) -> tuple[list[Killed], list[str]]:
    """One trial: who was killed, and what was broken of the channel's promises."""
    history = run_history(trial.channel, trial.workload, session, director=trial.plan())
    return killed(history), breaches(history, trial.channel)


def once_more(row: str, seed: int, number: int, kept: Sequence[int] | None, operations: int | None) -> Trial:
    """The trial that a failure's command names. Raises `BadArgument` for a fault that it does not have."""
    trial = draw(row, rows([row])[row], seed, number)
    if kept is not None:
        trial = trial.keeping([each for each in kept if each])  # 0: none of them
    if operations is not None and operations > trial.workload.operations:
        raise BadArgument("--operations", expected=f"at most {trial.workload.operations}", got=operations)
    return trial if operations is None else trial.offering(operations)


def _await(futures: list[Future[None]]) -> None:
    left = set(futures)
    while left:
        done, left = wait(left, timeout=_LOOK, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
