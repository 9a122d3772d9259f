"""Somebody has the lock that all need, and does not let go: a long transaction, a stale lock file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sandbox.channel import Channel
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.faults.fault import Fault, Kind, bare
from sandbox.faults.meeting import operations_open
from sandbox.file_share.log import Log
from sandbox.harness.history import Process
from sandbox.harness.participant import Link
from sandbox.site import Site

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

#: s for getting the lock
_PATIENCE = 10.0
_NONE = {
    "file_share": "it takes no lock: every step is one rename",
    "rpc": "nothing is shared, so nothing is locked",
    "messaging": "the broker lets nobody hold a lock",
}


@dataclass
class LockHeld(Fault):
    """PostgreSQL: LOCK TABLE on all tables of the run; SQLite: BEGIN IMMEDIATE; a lock file that nobody removes.

    Its witnesses are the operations that were under way while it was held.
    """

    kind: ClassVar[Kind] = "lock"
    exclusive = True

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "lock held by somebody else"

    def why_not(self, channel: Channel) -> str:
        """See `Fault.why_not`."""
        return "" if _holder(channel) else _NONE.get(channel.style, "no lock of it is known")

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets, self._since, self._met = ("lock",), 0, 0

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        holder = _holder(cast.stage.channel)
        assert holder is not None
        self._member = cast.session.participant("lock-holder")
        self._member.begin(holder, cast.site)
        self._member.receive(_PATIENCE)
        self._since = time.monotonic_ns()
        self.touch("lock taken")

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`."""
        if not hasattr(self, "_member"):
            return
        if self._since:
            self._met, self._since = operations_open(cast, self._since, time.monotonic_ns()), 0
            self._member.send("let go")
            self._member.finish(_PATIENCE)
        self._member.close()
        del self._member

    def witnesses(self) -> int:
        """See `Fault.witnesses`."""
        return self._met


def _holder(channel: Channel) -> Callable[[Link, Site], None] | None:
    """What takes and holds the lock of a channel, where there is one."""
    channel = bare(channel)
    if "postgres" in channel.needs:
        return hold_tables
    if isinstance(channel, CompareAndSwap):
        return hold_file
    return hold_lock_file if isinstance(channel, Log) else None


def hold_tables(link: Link, site: Site) -> None:
    """In a process of its own: lock every table of the site until told to let go; "held" first."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(site.address("postgres")) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [site.name]).fetchall()
        tables = sql.SQL(", ").join(sql.Identifier(site.name, table) for (table,) in found)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(tables))
        link.send("held")
        link.recv()
        connection.rollback()


def hold_file(link: Link, site: Site) -> None:
    """The same with SQLite's one lock for writers."""
    (file,) = site.folder.glob("*.db")
    with closing(sqlite3.connect(file, isolation_level=None, timeout=_PATIENCE)) as db:
        db.execute("BEGIN IMMEDIATE")
        link.send("held")
        link.recv()
        db.execute("ROLLBACK")


def hold_lock_file(link: Link, site: Site) -> None:
    """Leave a lock file behind, as who dies with the lock does. Who lets go here is the person who deletes it."""
    lock = Log().open(site).lock
    _make(lock)
    link.send("held")
    try:
        link.recv()
    finally:
        lock.unlink(missing_ok=True)


def _make(lock: Path) -> None:
    while True:
        try:
            lock.touch(mode=0o600, exist_ok=False)
            return
        except FileExistsError:
            time.sleep(0.0002)
