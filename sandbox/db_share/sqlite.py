"""What is SQLite's own: its words for things, its one writer at a time, and values of any type in any column."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from sandbox.channel import ASK_GROUP, Backlog
from sandbox.db_share.tables import Dialect, Row, Step, Tables, quoted
from sandbox.errors import Definite, ServerUnavailable
from sandbox.exchange.schema import Schema
from sandbox.site import Site

#: seconds between two attempts to become the writer; transactions here take a fraction of a millisecond
RETRY = 0.0001
#: seconds that connecting may wait for others
_PATIENCE = 10.0

_QUEUES = """
    SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c
    WHERE m.type = 'table' AND c.name = 'visible_at'
"""
_COUNT = """
    SELECT count(*) FILTER (WHERE NOT held), count(*) FILTER (WHERE held), coalesce(max(rest) FILTER (WHERE held), 0)
    FROM (
        SELECT claimed_by IS NOT NULL AND visible_at > ?1 AS held, visible_at - ?1 AS rest
        FROM {table} WHERE grp IN ({groups})
    )
"""


class Locked(Exception):
    """Another connection is writing; nothing has happened."""


class InDoubt(Exception):
    """The commit itself failed: nobody can say whether it happened."""


def rendered(schema: Schema) -> Tables:
    """The tables of a schema. Time is this host's monotonic clock: there is no server whose time would count."""
    return Tables(
        schema,
        Dialect(
            prefix="",
            mark="?%d",
            # AUTOINCREMENT: the key of a settled row must not come back, or a second settlement would hit another
            key="INTEGER PRIMARY KEY AUTOINCREMENT",
            found_by="UNIQUE ({column}, seq)",
            # any column takes any type, so what a claim relies on is checked
            count="integer CHECK (attempts BETWEEN 0 AND 1000000 AND attempts = CAST(attempts AS integer))",
            moment="REAL CHECK (visible_at BETWEEN 0 AND 1e15)",
            now="0",
            moment_of="%s",
        ),
    )


def create(site: Site, statements: Iterable[str]) -> None:
    """Make the file, in WAL mode, with its tables."""
    with closing(sqlite3.connect(_file(site), isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        for statement in statements:
            db.execute(statement)
        db.execute("COMMIT")


def connect(site: Site, flush: bool = False) -> sqlite3.Connection:
    """A connection to the file that `create` made. Once it stands, it never waits for a lock by itself."""
    try:
        db = sqlite3.connect(f"{_file(site).as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_PATIENCE)
    except sqlite3.OperationalError as error:
        raise ServerUnavailable("SQLite", str(error), way_out="Call install before opening an end.") from None
    db.text_factory = _text
    db.execute(f"PRAGMA synchronous = {'FULL' if flush else 'NORMAL'}")
    db.execute(f"PRAGMA fullfsync = {int(flush)}")  # macOS: through the drive's own cache; elsewhere without effect
    db.execute("SELECT * FROM sqlite_master").fetchall()  # joins the log, which the last one to leave may be folding up
    db.execute("PRAGMA busy_timeout = 0")
    return db


@contextmanager
def transaction(db: sqlite3.Connection, patience: float = 0.0) -> Iterator[None]:
    """Become the writer within `patience` seconds or raise `Locked`; commit at the end, undo on an error."""
    _begin(db, time.monotonic() + patience)
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    try:
        db.execute("COMMIT")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise InDoubt(str(error)) from error


def change(site: Site, statements: Sequence[str]) -> tuple[str, ...]:
    """Carry out changes of the tables, all or none; `Definite` when SQLite refuses one."""
    with closing(connect(site)) as db:
        try:
            with transaction(db, _PATIENCE):
                for statement in statements:
                    db.execute(statement)
        except (sqlite3.Error, Locked) as error:
            raise Definite(f"nothing is changed: SQLite refused it: {error}") from None
    return tuple(statements)


def look(db: sqlite3.Connection, select: str, values: Sequence[Any], complain: Callable[[str], None]) -> list[Row]:
    """The rows of a select; none while the file is being recovered after a crash, or if SQLite has a complaint."""
    try:
        return rows(db.execute(select, values))
    except sqlite3.OperationalError as error:
        if not _is_busy(error):
            complain(f"refused by SQLite: {error}")
        return []


def execute_runs(db: sqlite3.Connection, steps: Iterable[Step]) -> None:
    """Execute steps in order, those of one statement that follow each other in one go."""
    for statement, run in itertools.groupby(steps, key=itemgetter(0)):
        db.executemany(statement.sql, [values for _, values in run])


def rows(found: sqlite3.Cursor) -> list[Row]:
    """All rows of a cursor; none for a statement that returns nothing."""
    if found.description is None:
        return []
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def backlog(site: Site) -> Backlog:
    """Counted in all tables that rows are claimed from, for the groups that the site knows."""
    known = [*site.groups, ASK_GROUP]
    marks = ", ".join(f"?{number}" for number in range(2, len(known) + 2))
    ready, claimed, lease = 0, 0, 0.0
    with closing(connect(site)) as db:
        for (table,) in db.execute(_QUEUES).fetchall():
            count = _COUNT.format(table=quoted(table), groups=marks)
            found = db.execute(count, [time.monotonic(), *known]).fetchone()
            ready, claimed, lease = ready + found[0], claimed + found[1], max(lease, found[2])
        (dead,) = db.execute("SELECT count(*) FROM dead_letters").fetchone()
    return Backlog(ready, claimed, lease, dead)


def _begin(db: sqlite3.Connection, until: float) -> None:
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
        if time.monotonic() >= until:
            raise Locked("another connection keeps writing")
        time.sleep(RETRY)


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _text(data: bytes) -> str | bytes:
    """Text that is not Unicode stays bytes, so that it is refused by the schema and not by the driver."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _file(site: Site) -> Path:
    return site.folder.absolute() / "compare_and_swap.db"
