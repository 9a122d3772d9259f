"""A counter that all processes of a service share: how much of its quota a project uses. Three ways to raise it.

    read_then_write    what everybody writes first: read, decide, write down what was decided. Two that have read
                       the same number both write: one update is lost, and both were granted what only one may have
    compare_and_swap   the same, but written only if the number is still the one that was read; else once more
    in_one_statement   the database reads, decides and writes, and nobody comes in between

A transaction around the first one does not mend it: PostgreSQL, as it comes, lets both commit (SQLite makes
the second one fail). Cinder locks the row while it reads it: SELECT ... FOR UPDATE.

All three return whether it was granted, and call `between` after reading and before writing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from sandbox.db_share.ends import nothing

_TABLE = "CREATE TABLE quota_usages (project INTEGER PRIMARY KEY, in_use_gb bigint NOT NULL, limit_gb bigint NOT NULL)"
_READ = "SELECT in_use_gb, limit_gb FROM quota_usages WHERE project = ?"


def create(file: Path, limits: Mapping[int, int]) -> None:
    """Make the table in a SQLite file: project -> GB that it may use."""
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(_TABLE)
        db.executemany("INSERT INTO quota_usages VALUES (?, 0, ?)", limits.items())


def in_use(file: Path, project: int) -> int:
    """GB that the project uses, as the counter has it."""
    with closing(_connect(file)) as db:
        return _read(db, project)[0]


def read_then_write(file: Path, project: int, size_gb: int, between: Callable[[], None] = nothing) -> bool:
    """SELECT, decide, UPDATE: loses the update of whoever was here in between."""
    with closing(_connect(file)) as db:
        used, limit = _read(db, project)
        between()
        if used + size_gb > limit:
            return False
        db.execute("UPDATE quota_usages SET in_use_gb = ? WHERE project = ?", (used + size_gb, project))
        return True


def compare_and_swap(file: Path, project: int, size_gb: int, between: Callable[[], None] = nothing) -> bool:
    """SELECT, decide, UPDATE where nothing has changed; read again when something has."""
    with closing(_connect(file)) as db:
        while True:
            used, limit = _read(db, project)
            between()
            if used + size_gb > limit:
                return False
            swap = "UPDATE quota_usages SET in_use_gb = ? WHERE project = ? AND in_use_gb = ?"
            if db.execute(swap, (used + size_gb, project, used)).rowcount == 1:
                return True


def in_one_statement(file: Path, project: int, size_gb: int, between: Callable[[], None] = nothing) -> bool:
    """One UPDATE that reads, decides and writes: there is no between, so it is called before."""
    with closing(_connect(file)) as db:
        between()
        return reserve(db, project, size_gb)


def reserve(db: sqlite3.Connection, project: int, size_gb: int) -> bool:
    """The one statement."""
    update = "UPDATE quota_usages SET in_use_gb = in_use_gb + ?1 WHERE project = ?2 AND in_use_gb + ?1 <= limit_gb"
    return db.execute(update, (size_gb, project)).rowcount == 1


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None, timeout=10)


def _read(db: sqlite3.Connection, project: int) -> tuple[int, int]:
    used, limit = db.execute(_READ, [project]).fetchone()
    return used, limit
