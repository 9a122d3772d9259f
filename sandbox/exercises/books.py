"""The books of metering, and a process that keeps them, which can be stopped or killed before each of its steps.

A step is whatever outlives the process: a call of the books, a word to the channel. What happens to a receiver, or
beside it, happens between two of them; so whoever stops one before each step in turn has tried all of it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from sandbox import channel
from sandbox.errors import BadArgument, Refusal, RunFailed
from sandbox.exchange.schema import ImageDownloaded, Operation
from sandbox.harness.participant import Link, Participant

if TYPE_CHECKING:
    from sandbox.harness.session import Session

#: seconds in which anything ends that waits for nobody
WAIT = 10.0
_TABLES = """
    CREATE TABLE IF NOT EXISTS bills (project INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS known (what TEXT PRIMARY KEY);
"""
_BILL = "INSERT INTO bills VALUES (?, ?) ON CONFLICT (project) DO UPDATE SET bytes = bytes + excluded.bytes"


class Books:
    """What is billed to whom, and what is remembered: one file, shared by all receivers, which outlives them.

    Each call stands in the file when it returns, by itself - within ``with books.together():`` all of them do, at its
    end, or none; no other receiver comes in between.
    """

    def __init__(
        self, path: Path, before: Callable[[str], None] | None = None, waiting: Callable[[], None] | None = None
    ) -> None:
        self._before, self._waiting = before or _nothing, waiting or _nothing
        self._inside = False
        self._db = sqlite3.connect(path, isolation_level=None, timeout=WAIT)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")  # outlives the process, not a power cut
        self._db.executescript(_TABLES)
        self._db.execute("PRAGMA busy_timeout = 0")  # from now on whoever waits says so first

    def bill(self, project: int, amount: int) -> None:
        """`amount` more bytes on the bill of `project`."""
        self._do("bill", _BILL, project, amount)

    def remember(self, what: object) -> None:
        """From now on `knows` says yes to `what`, which is a number, a text or a tuple of these."""
        self._do("remember", "INSERT OR IGNORE INTO known VALUES (?)", repr(what))

    def knows(self, what: object) -> bool:
        """Whether it is remembered, by any receiver."""
        return bool(self._do("knows", "SELECT 1 FROM known WHERE what = ?", repr(what)))

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that is done within, or nothing. What raises undoes it; so does the death of the receiver."""
        if self._inside:
            raise BadArgument("together", expected="one at a time", got="one within another")
        self._do("together", "BEGIN IMMEDIATE")
        self._inside = True
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        else:
            self._do("end of together", "COMMIT")
        finally:
            self._inside = False

    def bills(self) -> dict[int, int]:
        """Project -> bytes."""
        return dict(self._db.execute("SELECT project, bytes FROM bills").fetchall())

    def remembered(self) -> int:
        """How much is remembered."""
        (count,) = self._db.execute("SELECT count(*) FROM known").fetchone()
        return int(count)

    def close(self) -> None:
        """Give back the file."""
        self._db.close()

    def _do(self, step: str, sql: str, *values: object) -> list[Any]:
        self._before(step)
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        self._waiting()  # another receiver is within its `together`
        self._db.execute(f"PRAGMA busy_timeout = {int(WAIT * 1000)}")
        return self._db.execute(sql, values).fetchall()


def _nothing(*_: object) -> None:
    """Nobody watches."""


#: what is asked for
Work = Callable[[channel.Delivery, Books], Any]


@dataclass(frozen=True)
class Came:
    """One delivery as it is to come: which download, and for the how-manieth time."""

    id: int
    project: int
    amount: int
    attempt: int = 1


@dataclass(frozen=True)
class Done:
    """How far a receiver has come.

    calls    its steps, in order: (name, id of the delivery at hand)
    next     the step before which it was stopped; "" when it came to its end, "waiting" when another has the books
    error    class and text of what it raised, in `line` of the student's code (0: elsewhere)
    """

    calls: tuple[tuple[str, int], ...] = ()
    next: str = ""
    error: str = ""
    line: int = 0

    def settled(self) -> set[int]:
        """Which deliveries are never to come again."""
        return {identity for call, identity in self.calls if call in ("settle", "set_aside")}


class Delivery(channel.Delivery):
    """A delivery that tells before each word to the channel."""

    def __init__(self, came: Came, before: Callable[[str], None]) -> None:
        body = ImageDownloaded(1, came.project, came.amount)
        self.operation, self.attempt = Operation(came.id, "image_downloaded", body), came.attempt
        self._before = before

    def reply(self, result: Struct | Refusal) -> None:
        """Nobody waits for an answer to a tell."""

    def settle(self) -> None:
        """See `channel.Delivery.settle`."""
        self._before("settle")

    def release(self, delay: float = 0.0) -> None:
        """See `channel.Delivery.release`."""
        self._before("release")

    def set_aside(self, reason: str) -> None:
        """See `channel.Delivery.set_aside`."""
        self._before("set_aside")


class Keeper:
    """The hold on one receiver: a process with a memory of its own, at the books of a file."""

    def __init__(self, session: Session, work: Work, path: Path) -> None:
        self._member = session.participant("metering")
        self._member.begin(_keep, work, path)

    def do(self, *came: Came, stop: int = 0) -> Done:
        """Have it work these; returns when it is done, stands before its `stop`th step, or waits for another."""
        self._member.send((came, stop))
        return self._hear()

    def go_on(self) -> Done:
        """Let it go on after a stop."""
        self._member.send("go on")
        return self._hear()

    def end(self) -> Done:
        """What became of one that was waiting."""
        return self._hear()

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        kill(self._member)

    def _hear(self) -> Done:
        done: Done = self._member.receive(WAIT)
        return done


def kill(member: Participant) -> None:
    """SIGKILL a participant and wait until it is dead."""
    member.kill()
    while True:
        try:
            member.receive(WAIT)
        except RunFailed:  # what it had said before
            continue
        except EOFError:
            break
    member.close()


class _Steps:
    """Counts them, and stops before one until it is told to go on."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.calls: list[tuple[str, int]] = []
        self.stop, self.at = 0, 0

    def before(self, step: str) -> None:
        if len(self.calls) + 1 == self.stop:
            self._link.send(Done(tuple(self.calls), step))
            self._link.recv()
        self.calls.append((step, self.at))

    def waiting(self) -> None:
        self._link.send(Done(tuple(self.calls), "waiting"))


def _keep(link: Link, work: Work, path: Path) -> None:
    steps = _Steps(link)
    books = Books(path, steps.before, steps.waiting)
    while True:
        came, steps.stop = link.recv()
        steps.calls = []
        error, line = "", 0
        try:
            for each in came:
                steps.at = each.id
                work(Delivery(each, steps.before), books)
        except Exception as raised:
            error, line = f"{type(raised).__name__}: {raised}".rstrip(": "), line_in(raised, work)
        link.send(Done(tuple(steps.calls), "", error, line))


def line_in(error: Exception, work: Callable[..., Any]) -> int:
    """The last line of the student's own on the way to an error, 0 if there is none."""
    file = getattr(getattr(work, "__code__", None), "co_filename", os.devnull)
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
