"""Workers in processes of their own that claim rows of a table, and that can be stopped before any SQL statement.

SQLite says when a statement is about to begin. Whoever stops one worker there, for each of its statements in turn, and
lets another act meanwhile, has tried every order in which the second comes in between, and has not waited for luck.
"""

from __future__ import annotations

import inspect
import linecache
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.exercises.check import RAISED, UNFINISHED, Reason

if TYPE_CHECKING:
    from sandbox.harness.participant import Link, Participant
    from sandbox.harness.session import Session

#: (connection, name of the worker) -> id of the row that it has claimed, None if none is free
Claim = Callable[[sqlite3.Connection, str], Any]

#: row -> who has claimed it, None if it is free
Owners = dict[int, str | None]
#: one claim on a few rows that takes so many statements would take any number of them
MOST = 200
#: to whom those rows belong that are taken from the start
OTHER = "somebody else"

#: seconds in which anything ends that waits for nobody
_WAIT = 10.0
_TABLE = "CREATE TABLE jobs (id INTEGER PRIMARY KEY, claimed_by TEXT)"


@dataclass(frozen=True)
class Done:
    """What one call of claim came to.

    value   an id, or None;  odd: how anything else that was returned looks
    open    whether it has left a transaction open
    endless whether it was executing one statement after the other, and was given up
    error   class and text of the exception that it raised, in the student's line `line`
    """

    value: int | None = None
    odd: str = ""
    open: bool = False
    endless: bool = False
    error: str = ""
    line: int = 0


class Worker:
    """The hold on a process that claims."""

    def __init__(self, member: Participant) -> None:
        self._member = member
        self._stopped = False
        self._early: Done | None = None  # was done before it came to the statement at which it was to stop

    def begin(self, stop: int = 0, most: int = MOST) -> str | None:
        """Begin to claim; the statement it was stopped before, its `stop`th, or None if it has fewer (or 0).

        most  one that takes so many statements is given up
        """
        self._member.send((stop, most))
        message = self._receive() if stop else None
        self._stopped = isinstance(message, str)
        self._early = message if isinstance(message, Done) else None
        return message if isinstance(message, str) else None

    def end(self) -> Done:
        """Let it go on; what it came to."""
        if self._stopped:
            self._member.send("go on")
        done = self._early or self._receive()
        assert isinstance(done, Done)
        return done

    def claim(self) -> Done:
        """All of it."""
        self.begin()
        return self.end()

    def _receive(self) -> str | Done:
        try:
            message: str | Done = self._member.receive(_WAIT)
        except TimeoutError:
            return Done(endless=True)
        return message


class Stage:
    """Tables, and workers in processes of their own, for one claim."""

    def __init__(self, session: Session, claim: Claim) -> None:
        self._session, self._claim, self._folder = session, claim, session.site().folder
        self._members: list[Participant] = []

    def table(self, rows: int, taken: int = 0) -> Path:
        """A new table with so many rows from id 1 on, of which the first `taken` belong to somebody else."""
        file = self._folder / f"jobs{len(list(self._folder.glob('*.db')))}.db"
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(_TABLE)
            owners = [(row, OTHER if row <= taken else None) for row in range(1, rows + 1)]
            db.executemany("INSERT INTO jobs VALUES (?, ?)", owners)
        return file

    def worker(self, name: str, file: Path) -> Worker:
        """A process that claims rows of this table whenever it is told to; it is connected already."""
        self._members.append(member := self._session.participant(name))
        member.begin(_work, self._claim, file, name)
        member.receive(_WAIT)
        return Worker(member)

    def close(self) -> None:
        """End all workers, stuck ones too."""
        for member in self._members:
            member.close()

    def why(self, done: Done, when: str = "") -> Reason | None:
        """What speaks against a call, whatever it had to do; `when`: a sentence on what it met."""
        when = f"\n{when}" if when else ""
        if done.endless:
            why = "It looks at something that does not change any more: read again before you try again."
            return Reason("no end", f"claim does not come to an end. {why}{when}")
        if done.error.startswith("NotImplementedError"):
            return Reason(UNFINISHED, "claim still raises NotImplementedError: write its body.")
        if "database is locked" in done.error:
            return Reason(
                "locked",
                f"claim raised {done.error}{self._line(done)}. Its SELECT belongs to the same transaction as its "
                "UPDATE, or was still open: what it has read is out of date, and SQLite lets nobody write on that "
                "ground. Let the SELECT end before the UPDATE, or become the writer before you read (BEGIN IMMEDIATE)."
                f"{when}",
            )
        if done.error:
            return Reason(RAISED, f"claim raised {done.error}{self._line(done)}.{when}")
        if done.odd:
            return Reason("id", f"claim must return the id of a row, a number, or None; it returned {done.odd}.")
        return None

    def _line(self, done: Done) -> str:
        text = linecache.getline(_file_of(self._claim), done.line).strip()
        return f" in line {done.line}" + (f" (`{text}`)" if text else "") if done.line else ""


@contextmanager
def staged(session: Session, claim: Claim) -> Iterator[Stage]:
    """A stage whose workers end with the block."""
    stage = Stage(session, claim)
    try:
        yield stage
    finally:
        stage.close()


def _work(link: Link, claim: Claim, file: Path, name: str) -> None:
    """What a worker's process does: claim whenever it is told before which statement to stop (0: none)."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=_WAIT / 2)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # nobody cuts the power here
        link.send("connected")
        while True:
            stop, most = link.recv()
            connection.set_trace_callback(_stopping(link, stop, most))
            link.send(_called(claim, connection, name))


def _stopping(link: Link, stop: int, most: int) -> Callable[[str], None]:
    """SQLite calls it before a statement begins, when it has neither read nor locked anything."""
    count = 0

    def before(statement: str) -> None:
        nonlocal count
        count += 1
        if count == stop:
            link.send(statement)
        elif count == most:
            link.send(Done(endless=True))
        if count in (stop, most):
            link.recv()

    return before


def _called(claim: Claim, connection: sqlite3.Connection, name: str) -> Done:
    try:
        value = claim(connection, name)
    except Exception as error:
        line, trace = 0, error.__traceback__
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == _file_of(claim) else line
            trace = trace.tb_next
        return Done(error=f"{type(error).__name__}: {error}", line=line)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        return Done(odd=f"{value!r:.80}")
    return Done(value, open=connection.in_transaction)


def _file_of(claim: Claim) -> str:
    code = getattr(inspect.unwrap(claim), "__code__", None)
    return str(code.co_filename) if code is not None else ""


def owners(file: Path) -> Owners:
    """What the table says: whatever is committed."""
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        return dict(db.execute("SELECT id, claimed_by FROM jobs"))


def writable(file: Path) -> bool:
    """Whether nobody holds the lock by which one writes, or not for long."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=_WAIT / 20)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        db.execute("ROLLBACK")
        return True
