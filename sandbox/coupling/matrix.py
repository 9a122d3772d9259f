"""Runs the matrix: every change on every channel, in every order, without the best practice and with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sandbox.catalogue import find
from sandbox.channel import Channel
from sandbox.coupling.cells import Cell, Matrix
from sandbox.coupling.change import ROLL_OUTS, Change, Order
from sandbox.coupling.edits import edits
from sandbox.coupling.finding import PRACTICE, Found, check_list, find_changes, nearest
from sandbox.coupling.trial import try_out, why_not
from sandbox.errors import BadArgument, ServerUnavailable
from sandbox.exchange.schema import Verb
from sandbox.harness.compare import name_of
from sandbox.harness.progress import Progress
from sandbox.harness.session import Session, default_session, end_default_session

#: one sound channel of each style; SQLite where there is no PostgreSQL
CHANNELS = ("spool", "skip_locked", "socket", "streams")
INSTEAD = {"skip_locked": "compare_and_swap"}
#: the changes that tell most in little time
QUICK = (
    *("place_moves", "second_group", "other_team_reads", "add_optional_field", "rename_field"),
    *("rename_field_read_leniently", "change_unit", "meaning_of_a_state", "receiver_away"),
)
#: those of `make compare --quick`
FEWEST = ("rename_field", "change_unit", "receiver_away")
#: of what stands on the books; sums of versions say nothing
UNITS = {Verb.TELL: "bytes", Verb.ASK: "GB"}
#: trials side by side: most of a trial's time is waiting
SIDE_BY_SIDE = 5
#: s between two looks, so that an interrupt is not kept waiting
_LOOK = 0.2


def coupling(
    changes: Sequence[str | type[Change]] | None = None,
    channels: Sequence[str | type[Channel] | Channel] | None = None,
    *,
    orders: Sequence[str | Order] | None = None,
    quick: bool = False,
    session: Session | None = None,
    progress: Callable[[str], None] | bool = True,
) -> Matrix:
    """Change one side, see what breaks on the other.

    changes   names (see `coupling --help`), files or classes; without any, the whole catalogue
    channels  titles, files, classes or values; without any, one sound channel of each style
    orders    of sender_first, receiver_first, backlog; without any, all three
    quick     the changes that tell most: under 40 s; all of them take under 4 minutes

    A trial that cannot be measured is run once more, and then stands as "not measured" with its reason. A channel
    whose server cannot be had is left out, and the matrix says so. Raises `BadArgument`. Stopping the cell ends all
    that was started.
    """
    found = find_changes(changes if changes is not None or not quick else quick_changes(QUICK))
    asked = _orders(orders)
    own = session is None
    try:
        session = session or default_session()
        chosen, notes = available(channels, session)
        return _Trying(found, chosen, asked, session, progress).carry_out(notes)
    except KeyboardInterrupt:
        if own:
            end_default_session()
        raise


def quick_changes(names: Sequence[str]) -> list[str]:
    """Those of some names that the catalogue has."""
    from sandbox.coupling.trial import catalogue

    return [name for name in names if name in catalogue()]


@dataclass(frozen=True)
class Column:
    """A channel as the matrix shows it, and as the command line calls it."""

    channel: Channel
    title: str
    named: str


@dataclass(frozen=True)
class _Job:
    found: Found
    column: Column
    order: Order
    practised: bool

    def cell(self) -> Cell:
        """The cell, without an answer."""
        change = self.found.change
        parts = (change.name(), self.column.named, self.order, *((PRACTICE,) if self.practised else ()))
        return Cell(
            change.name(),
            change.title,
            change.facet,
            self.column.title,
            self.column.channel.style,
            self.order,
            self.practised,
            name="/".join(parts),
            unit=UNITS.get(change.verb, ""),
            options=self.found.options,
        )


def try_cell(found: Found, column: Column, order: Order, practised: bool, session: Session) -> Cell:
    """Run one cell; what cannot be measured is tried twice."""
    job = _Job(found, column, order, practised)
    return _tried(job, session, lambda: False)


class _Trying:
    def __init__(
        self,
        changes: list[Found],
        columns: list[Column],
        orders: Sequence[Order],
        session: Session,
        progress: Callable[[str], None] | bool,
    ) -> None:
        self._session, self._stopped = session, False
        self._jobs = [_Job(f, c, o, p) for f in changes for c in columns for p in (False, True) for o in orders]
        self._progress = Progress(sum(not _reason(job) for job in self._jobs), progress)

    def carry_out(self, notes: Sequence[str]) -> Matrix:
        from sandbox.machine import machine

        started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        cells = {job: replace(job.cell(), why_not=reason) for job in self._jobs if (reason := _reason(job))}
        for job, cell in self._run([job for job in self._jobs if job not in cells]):
            cells[job] = cell
            self._progress.step(f"{cell.name}: {cell.text}")
        self._progress.end()
        facts: dict[str, Any] = {"started": started, "machine": machine(), "side_by_side": SIDE_BY_SIDE}
        facts["seconds"] = round(time.monotonic() - clock, 1)
        return Matrix(tuple(cells[job] for job in self._jobs), tuple(notes), facts)

    def _run(self, jobs: list[_Job]) -> Iterator[tuple[_Job, Cell]]:
        pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="trial")
        try:
            running = {pool.submit(_tried, job, self._session, lambda: self._stopped): job for job in jobs}
            yield from _as_they_end(running)
        finally:
            self._stopped = True
            pool.shutdown(wait=True, cancel_futures=True)  # a trial that runs takes a second or two to its end


def _as_they_end(running: dict[Future[Cell], _Job]) -> Iterator[tuple[_Job, Cell]]:
    left = set(running)
    while left:
        done, left = wait(left, timeout=_LOOK, return_when=FIRST_COMPLETED)
        for future in done:
            yield running[future], future.result()


def _tried(job: _Job, session: Session, stopped: Callable[[], bool]) -> Cell:
    """The cell with its answer, its reason, or its trouble; a trial that cannot be measured is run once more."""
    cell, trouble = job.cell(), ""
    if reason := _reason(job):
        return replace(cell, why_not=reason)
    for _ in range(2):
        if stopped():
            break
        try:
            trial = try_out(job.found.change, job.column.channel, job.order, job.practised, session)
        except Exception as error:  # a student's channel or change may raise anything; it is said in its cell
            trouble = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            continue
        migrated = trial.history.facts.get("migrated", ()) if trial.history else ()
        counted = edits(job.found.change, job.practised, migrated)
        return replace(cell, why_not=trial.why_not, verdict=trial.verdict, edits=counted, trial=trial)
    return replace(cell, trouble=trouble or "stopped")


def _reason(job: _Job) -> str:
    return why_not(job.found.change, job.column.channel, job.order, job.practised)


def _orders(named: Sequence[str | Order] | None) -> list[Order]:
    known = [str(order) for order in Order]
    if named is not None:
        check_list("orders", named)
    if named is not None and not named:
        raise BadArgument("orders", expected=f"at least one of {', '.join(known)}", got=named)
    for name in named or ():
        if name not in known:
            raise nearest("order", str(name), known)
    return [order for order in ROLL_OUTS if named is None or order in named]


def available(
    named: Sequence[str | type[Channel] | Channel] | None, session: Session
) -> tuple[list[Column], list[str]]:
    """The columns that can be had here, and what is to be said about the others; without names, the usual ones.

    Raises `BadArgument` where none can be had, or one is named twice.
    """
    columns: list[Column] = []
    notes: list[str] = []
    if named is not None:
        check_list("channels", named)
    for each in CHANNELS if named is None else named:
        try:
            columns.append(column(each, session))
        except ServerUnavailable as error:
            reason = str(error).splitlines()[0]
            instead = INSTEAD.get(str(each), "") if named is None else ""
            notes.append(f"{each} was left out{f', {instead} takes its place' if instead else ''}: {reason}")
            columns += [column(instead, session)] if instead else []
    titles = [each.title for each in columns]
    if not columns or len(set(titles)) != len(titles):
        raise BadArgument("channels", expected="at least one that can run here, all different", got=titles or notes)
    return columns, notes


def column(named: str | type[Channel] | Channel, session: Session) -> Column:
    """The column of one channel. Raises `BadArgument`, and `ServerUnavailable` where its server cannot be had."""
    channel = find(named)
    for medium in channel.needs:
        session.server(medium)
    title = name_of(channel)
    return Column(channel, title, named if isinstance(named, str) else title)
