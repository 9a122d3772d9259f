"""Runs whose receivers come late, many of them side by side: what counts is what was done, not how quickly."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from sandbox.catalogue import adjusted
from sandbox.channel import Channel
from sandbox.coupling.matrix import SIDE_BY_SIDE
from sandbox.errors import RunFailed
from sandbox.harness.history import Process, Role
from sandbox.harness.progress import Progress
from sandbox.harness.result import Result
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.stage import Director
from sandbox.harness.workload import Workload

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast, Intervention

#: s between two looks, so that an interrupt is not kept waiting
_LOOK = 0.2


def patient(channel: Channel, timeout: float) -> Channel:
    """The channel with this time-out, where it has the knob; else its sender waits for half a second more at most."""
    return adjusted(channel, timeout=timeout)


class _Late(Director):
    """The receivers come after a while."""

    patience = 1.0

    def __init__(self, absence: float, stopped: threading.Event) -> None:
        self._absence, self._stopped = absence, stopped
        self.back = 0.0

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """See `Director.on_stage`."""
        return [process for process in usual if process.role is Role.SENDER or not self._absence]

    def interventions(self) -> list[Intervention]:
        """See `Director.interventions`."""
        return [(self._absence, self._come)] if self._absence else []

    def watch(self, cast: Cast) -> None:
        """Ends a run that nobody wants any more."""
        if self._stopped.is_set():
            raise RunFailed("stopped")

    def _come(self, cast: Cast) -> None:
        cast.engage(*(process for process in cast.usual() if process.role is Role.RECEIVER))
        self.back = (time.monotonic_ns() - cast.start) / 1e9


@dataclasses.dataclass(frozen=True)
class Absence:
    """One run of a workload on a channel; its receivers come `absence` s after the start. Called, it is carried out.

    title     what the history calls the channel
    timeout   s that an asker waits, for the record;  stopped: set when nobody wants the run any more (`RunFailed`)
    """

    channel: Channel
    title: str
    load: Workload
    absence: float
    timeout: float
    session: Session
    stopped: threading.Event

    def __call__(self) -> Result:
        """The result; its history says in ``facts["away"]`` when the receivers were ready: "back", in s."""
        if self.stopped.is_set():
            raise RunFailed("stopped")
        director = _Late(self.absence, self.stopped)
        history = run_history(self.channel, self.load, self.session, director=director)
        history.facts["away"] = {"planned": self.absence, "back": round(director.back, 4), "timeout": self.timeout}
        return Result(dataclasses.replace(history, channel=self.title))


def side_by_side(
    jobs: dict[str, Absence], stopped: threading.Event, progress: Callable[[str], None] | bool
) -> list[Result]:
    """The results, in the order of the jobs, which are called what they do. One that fails ends them all."""
    show = Progress(len(jobs), progress)
    pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="away")
    try:
        running: dict[Future[Result], str] = {pool.submit(job): said for said, job in jobs.items()}
        left = set(running)
        while left:
            done, left = wait(left, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()  # a run that has failed ends them all
                show.step(running[future])
        show.end()
        return [future.result() for future in running]
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)
