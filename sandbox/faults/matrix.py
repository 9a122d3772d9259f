"""Runs the matrix of failures: every fault on every channel, each cell a real run with the fault in its middle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sandbox.channel import Channel
from sandbox.coupling.matrix import CHANNELS, INSTEAD
from sandbox.errors import BadArgument, RunFailed, ServerUnavailable
from sandbox.faults.cells import Cell, FaultMatrix
from sandbox.faults.fault import Fault
from sandbox.faults.plan import FaultPlan
from sandbox.faults.scenes import IDEMPOTENT, Column, Scene, column, scenes
from sandbox.faults.traced import power_cut_cells
from sandbox.faults.verdict import Verdict, decide
from sandbox.harness import checker
from sandbox.harness.history import History
from sandbox.harness.progress import Progress
from sandbox.harness.run import run_history
from sandbox.harness.session import Session, default_session, end_default_session
from sandbox.idempotent import Idempotent

#: one sound channel of each style, and one of them with receivers that do nothing twice
COLUMNS = (*CHANNELS, IDEMPOTENT + "streams")
#: the faults that tell most in little time
QUICK = (
    *("kill_receiver_worked", "kill_sender_begun", "pause_receiver", "kill_server"),
    *("partition", "answer_lost", "poison_message", "duplicate"),
)
#: those of `make compare --quick`
FEWEST = ("kill_receiver_worked", "pause_receiver", "duplicate")
#: runs side by side: most of a run's time is waiting
SIDE_BY_SIDE = 4
#: so often a cell is tried whose fault never fires, or whose run fails
TRIES = 3
#: s between two looks, so that an interrupt is not kept waiting
_LOOK = 0.2


def fault_matrix(
    faults: Sequence[str | type[Fault] | Fault] | None = None,
    channels: Sequence[str | type[Channel] | Channel] | None = None,
    *,
    quick: bool = False,
    repeats: int = 1,
    session: Session | None = None,
    progress: Callable[[str], None] | bool = True,
) -> FaultMatrix:
    """Break every style in every way, and see what became of the business.

    faults    names (see ``faults --list``), files, classes or values; without any, the whole catalogue
    channels  titles, files, classes or values; without any, one sound channel of each style, and streams whose
              receivers do nothing twice: ``idempotent-streams``; any channel may be named so
    quick     the faults that tell most
    repeats   runs of each cell

    The whole catalogue comes with a row of what a power cut would do, seen by tracing.

    A cell whose fault never fires is run again, and then stands as "not measured". A channel whose server cannot be
    had is left out, and the matrix says so. Raises `BadArgument`. Stopping the cell heals and ends all.
    """
    if repeats < 1:
        raise BadArgument("repeats", expected="1 or more", got=repeats)
    rows = scenes(faults if faults is not None or not quick else QUICK)
    own = session is None
    try:
        session = session or default_session()
        columns, notes = _available(channels, session)
        found = _Trying(rows, columns, repeats, session, progress).carry_out(notes)
        if faults is not None or quick:
            return found
        return replace(found, cells=(*found.cells, *power_cut_cells(columns, session)))
    except KeyboardInterrupt:
        if own:
            end_default_session()
        raise


def try_cell(scene: Scene, shown: Column, session: Session, repeats: int = 1, settle: str = "after") -> Cell:
    """Run one cell; a session of its own where it breaks a server."""
    job = _Job(scene, shown, repeats, settle)
    with Servers() as servers:
        return _tried(job, servers if job.breaks_servers() else lambda: session, lambda: False)


class Servers:
    """A session whose servers are there to be broken; a new one when what was broken could not be mended."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def __call__(self) -> Session:
        if self._session is None or not self._session.alive:
            self._session = Session()
        return self._session

    def renew(self) -> None:
        """The next one is new."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self.renew()


@dataclass(frozen=True)
class _Job:
    scene: Scene
    column: Column
    repeats: int = 1
    settle: str = "after"

    def cell(self) -> Cell:
        """The cell, without a run."""
        scene, channel = self.scene, self.column.channel
        return Cell(
            scene.name,
            scene.title,
            scene.fault.kind,
            scene.verb,
            self.column.title,
            channel.style,
            name=f"{scene.name}/{self.column.named}",
            why_not=scene.why_not(channel),
            options=scene.options,
        )

    def director(self) -> FaultPlan:
        """The fault, for one run."""
        return FaultPlan([self.scene.planned()])

    def breaks_servers(self) -> bool:
        """Whether it must have servers of its own."""
        if self.cell().why_not:
            return False
        director = self.director()
        try:
            director.check(self.column.channel, self.scene.workload(self.settle))
        except BadArgument:  # it is said in its cell
            return False
        return director.own_servers

    def run(self, session: Session) -> History:
        """One run."""
        workload = self.scene.workload(self.settle)
        return run_history(self.column.channel, workload, session, director=self.director())


class _Trying:
    def __init__(
        self,
        rows: Sequence[Scene],
        columns: Sequence[Column],
        repeats: int,
        session: Session,
        progress: Callable[[str], None] | bool,
    ) -> None:
        self._session, self._stopped = session, False
        self._jobs = [_Job(scene, shown, repeats) for scene in rows for shown in columns]
        self._cells = {(job.scene.name, job.column.title): job.cell() for job in self._jobs}
        self._progress = Progress(sum(not cell.why_not for cell in self._cells.values()), progress)

    def carry_out(self, notes: Sequence[str]) -> FaultMatrix:
        from sandbox.machine import machine

        started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        for cell in self._run([job for job in self._jobs if not self._cells[_key(job)].why_not]):
            self._cells[cell.fault, cell.channel] = cell
            self._progress.step(f"{cell.name}: {cell.text}")
        self._progress.end()
        facts: dict[str, Any] = {"started": started, "machine": machine(), "side_by_side": SIDE_BY_SIDE}
        facts["seconds"] = round(time.monotonic() - clock, 1)
        return FaultMatrix(tuple(self._cells.values()), tuple(notes), facts)

    def _run(self, jobs: Sequence[_Job]) -> Iterator[Cell]:
        """Those that break servers one after the other, on servers of their own; the others side by side."""
        pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="cell")
        alone = ThreadPoolExecutor(1, thread_name_prefix="servers")
        with Servers() as servers:
            try:
                running = set[Future[Cell]]()
                for job in jobs:
                    apart = job.breaks_servers()
                    sessions = servers if apart else lambda: self._session
                    running.add((alone if apart else pool).submit(_tried, job, sessions, lambda: self._stopped))
                yield from _as_they_end(running)
            finally:
                self._stopped = True
                pool.shutdown(wait=True, cancel_futures=True)  # a run that is under way takes seconds to its end
                alone.shutdown(wait=True, cancel_futures=True)


def _key(job: _Job) -> tuple[str, str]:
    return job.scene.name, job.column.title


def _as_they_end(running: set[Future[Cell]]) -> Iterator[Cell]:
    while running:
        done, running = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _tried(job: _Job, sessions: Callable[[], Session], stopped: Callable[[], bool]) -> Cell:
    """The cell with its runs, its reason, or its trouble."""
    cell = job.cell()
    if cell.why_not:
        return cell
    found: list[tuple[Verdict, History]] = []
    for _ in range(job.repeats):
        one = _one(job, sessions, stopped)
        if isinstance(one, str):
            return replace(cell, trouble=one)
        found.append(one)
    history = max(found, key=lambda each: (not each[0].kept, len(each[0].kinds)))[1]
    return replace(cell, verdicts=tuple(verdict for verdict, _ in found), history=history)


def _one(job: _Job, sessions: Callable[[], Session], stopped: Callable[[], bool]) -> tuple[Verdict, History] | str:
    """One run and its verdict; why there is none, after some tries."""
    trouble = "stopped"
    for _ in range(TRIES):
        if stopped():
            break
        try:
            history = job.run(sessions())
        except Exception as error:  # a student's channel or fault may raise anything; it is said in its cell
            trouble = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            if isinstance(sessions, Servers) and isinstance(error, RunFailed | ServerUnavailable):
                sessions.renew()
            continue
        measured = checker.judge(history)
        if measured.state is checker.State.INVALID:
            trouble = "; ".join(measured.reasons)
            continue
        verdict = decide(history, done_once=isinstance(job.column.channel, Idempotent) and job.scene.fault.repeats)
        if verdict.fired:
            return verdict, history
        trouble = "unknown: it never fired"
    return trouble


def _available(
    named: Sequence[str | type[Channel] | Channel] | None, session: Session
) -> tuple[list[Column], list[str]]:
    """The columns that can be had here, and what is to be said about the others."""
    columns: list[Column] = []
    notes: list[str] = []
    for each in COLUMNS if named is None else named:
        instead = INSTEAD.get(str(each), "") if named is None else ""
        try:
            columns.append(_served(each, session))
        except ServerUnavailable as error:
            taken = f", {instead} takes its place" if instead else ""
            notes.append(f"{each} was left out{taken}: {str(error).splitlines()[0]}")
            columns += [_served(instead, session)] if instead else []
    titles = [each.title for each in columns]
    if not columns or len(set(titles)) != len(titles):
        raise BadArgument("channels", expected="at least one that can run here, all different", got=titles or notes)
    return columns, notes


def _served(named: str | type[Channel] | Channel, session: Session) -> Column:
    found = column(named)
    for medium in found.channel.needs:
        session.server(medium)
    return found
