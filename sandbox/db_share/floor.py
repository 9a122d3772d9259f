"""The floors under the sound channels of this style: the same rows and commits, in the thinnest code.

Both keep what makes the promise: a row with real columns per message, a committed claim before the
work, the row deleted after it (with the next claim), many rows in one transaction where many wait.
Both leave out leases, attempts, dead letters, validation, several groups and several senders.
"""

from __future__ import annotations

import select
import sqlite3
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from msgspec import Struct
from msgspec.structs import astuple

from sandbox.exchange.schema import EXCHANGE, VolumeCreated
from sandbox.floor import Driven, Floor, Load, due_times
from sandbox.site import Site

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

_DOWNLOADED, _CREATE = EXCHANGE.messages["image_downloaded"], EXCHANGE.messages["create_volume"]
#: table -> its columns, and the class that its rows are
TABLES = {"tell": _DOWNLOADED.columns(), "ask": _CREATE.columns(), "answer": _CREATE.answer_columns()}
BODIES: dict[str, type[Struct]] = {"tell": _DOWNLOADED.body, "ask": _CREATE.body, "answer": VolumeCreated}
#: most rows in one transaction
LIMIT = 64
#: pause in s between two looks at a SQLite file, as in the channel
POLL = 0.001


def _create(key: str, prefix: str = "") -> list[str]:
    return [
        f"CREATE TABLE {prefix}{table} (seq {key}, claimed bigint NOT NULL DEFAULT 0, "
        + ", ".join(f"{name} {'bigint' if kind is int else 'text'}" for name, kind in columns.items())
        + ")"
        for table, columns in TABLES.items()
    ]


class _End(Protocol):
    """One connection that puts and takes rows of the three tables."""

    def put(self, table: str, bodies: Sequence[Struct]) -> None:
        """Commit these as the rows of one transaction."""

    def take(self, table: str) -> list[Any]:
        """Wait for rows and claim them; what the previous `take` of this table returned is deleted with it."""

    def close(self) -> None:
        """Delete what was taken last and disconnect."""


class _RowFloor(Floor):
    """The two loops, for either database."""

    @abstractmethod
    def _open(self, site: Site, side: str) -> _End: ...

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """See `Floor.serve`."""
        taken: list[int] = []
        with closing(self._open(site, "serving")) as end:
            ready()
            for _ in range(load.asks):
                end.put("answer", [VolumeCreated(end.take("ask")[0].volume, "floor")])
            while len(taken) < load.tells:
                taken += [time.monotonic_ns() for _ in end.take("tell")]
        return taken

    def drive(self, site: Site, load: Load) -> Driven:
        """See `Floor.drive`."""
        asks: list[int] = []
        told: list[int] = []
        with closing(self._open(site, "driving")) as end:
            for _ in range(load.asks):
                began = time.monotonic_ns()
                end.put("ask", [load.ask])
                end.take("answer")
                asks.append(time.monotonic_ns() - began)
            for starts in _batches(load):
                end.put("tell", [load.tell for _ in starts])
                told += starts
            return Driven(asks, told, time.monotonic_ns())

    def bare(self, site: Site, size: int, count: int) -> list[int]:
        """See `Floor.bare`."""
        durations = []
        row = _DOWNLOADED.body(1, 1, 1, "x" * size)
        with closing(self._open(site, "driving")) as end:
            for _ in range(count):
                began = time.monotonic_ns()
                end.put("tell", [row])
                durations.append(time.monotonic_ns() - began)
        return durations


def _batches(load: Load) -> Iterator[list[int]]:
    """The starts of the tells of each transaction: all that are due, or the whole window."""
    most = min(load.window, LIMIT)
    if load.rate is None:
        for first in range(0, load.tells, most):
            yield [time.monotonic_ns() for _ in range(min(most, load.tells - first))]
        return
    due = due_times(load, time.monotonic_ns())
    while due:
        time.sleep(max(0, due[0] - time.monotonic_ns()) / 1e9)
        now = time.monotonic_ns()
        ripe = [at for at in due[:most] if at <= now]
        due = due[len(ripe) :]
        if ripe:
            yield ripe


class PostgresFloor(_RowFloor):
    """libpq in pipeline mode: flushed inserts, SKIP LOCKED claims, NOTIFY."""

    channel: ClassVar[str] = "skip_locked"
    promise: ClassVar[str] = "every row flushed with its commit (up to 64 in one), claimed by a commit, then deleted"
    needs: ClassVar[tuple[str, ...]] = ("postgres",)
    bare_act: ClassVar[str] = "insert and commit one row, flushed to disk"

    def install(self, site: Site) -> None:
        """See `Floor.install`."""
        where = f'"{site.name}_floor"'
        key = "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        self._execute(site, f"CREATE SCHEMA {where}", *_create(key, f"{where}."))

    def uninstall(self, site: Site) -> None:
        """See `Floor.uninstall`."""
        self._execute(site, f'DROP SCHEMA IF EXISTS "{site.name}_floor" CASCADE')

    def _execute(self, site: Site, *statements: str) -> None:
        import psycopg

        with psycopg.connect(site.address("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _open(self, site: Site, side: str) -> _End:
        return _PostgresEnd(site, side)


class _PostgresEnd:
    def __init__(self, site: Site, side: str) -> None:
        from psycopg import pq

        self._pq = pq
        self._pg: PGconn = pq.PGconn.connect(site.address("postgres").encode())
        self._claimed: dict[str, bytes] = {}
        other = "driving" if side == "serving" else "serving"
        self._pg.exec_(f'LISTEN "{site.name}_{side}"'.encode())
        if side == "serving":  # claims and answers need no flush: a crash that loses them brings the work back
            self._pg.exec_(b"SET synchronous_commit = off")
        self._prepare("wake", f"SELECT pg_notify('{site.name}_{other}', '')")
        self._prepare("no_flush", "SELECT set_config('synchronous_commit', 'off', true)")
        for table, columns in TABLES.items():
            name, names = f'"{site.name}_floor".{table}', ", ".join(columns)
            marks = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
            free = f"SELECT seq FROM {name} WHERE claimed = 0 ORDER BY seq LIMIT {LIMIT} FOR UPDATE SKIP LOCKED"
            self._prepare(f"put_{table}", f"INSERT INTO {name} ({names}) VALUES ({marks})")
            self._prepare(f"done_{table}", f"DELETE FROM {name} WHERE seq = ANY($1::bigint[])")
            self._prepare(
                f"claim_{table}",
                f"UPDATE {name} SET claimed = 1 WHERE seq = ANY(ARRAY({free})) RETURNING seq, {names}"
                if table != "answer"
                else f"DELETE FROM {name} RETURNING seq, {names}",
            )
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()

    def put(self, table: str, bodies: Sequence[Struct]) -> None:
        """See `_End.put`."""
        for body in bodies:
            self._send(f"put_{table}", *[str(value).encode() for value in astuple(body)])
        self._send("wake")
        self._commit()

    def take(self, table: str) -> list[Any]:
        """See `_End.take`."""
        while True:
            if table == "answer":
                self._send("no_flush")
            elif table in self._claimed:
                self._send(f"done_{table}", self._claimed.pop(table))
            self._send(f"claim_{table}")
            found = self._commit()[-1]
            if found.ntuples:
                if table != "answer":
                    seqs = [found.get_value(row, 0) or b"" for row in range(found.ntuples)]
                    self._claimed[table] = b"{" + b",".join(seqs) + b"}"
                return [self._body(table, found, row) for row in range(found.ntuples)]
            while not self._pg.notifies():
                select.select([self._pg.socket], [], [])
                self._pg.consume_input()

    def close(self) -> None:
        """See `_End.close`."""
        for table, claimed in self._claimed.items():
            self._send(f"done_{table}", claimed)
        self._commit()
        self._pg.finish()

    def _body(self, table: str, found: PGresult, row: int) -> Any:
        values = [found.get_value(row, column) or b"" for column in range(1, found.nfields)]
        kinds = TABLES[table].values()
        return BODIES[table](*[int(v) if kind is int else v.decode() for kind, v in zip(kinds, values, strict=True)])

    def _prepare(self, name: str, sql: str) -> None:
        result = self._pg.prepare(name.encode(), sql.encode())
        assert result.status == self._pq.ExecStatus.COMMAND_OK, result.error_message

    def _send(self, name: str, *params: bytes) -> None:
        self._pg.send_query_prepared(name.encode(), params)

    def _commit(self) -> list[PGresult]:
        """End the transaction and wait for its results."""
        self._pg.pipeline_sync()
        results: list[PGresult] = []
        while True:
            unsent = self._pg.flush()
            select.select([self._pg.socket], [self._pg.socket] if unsent else [], [])
            self._pg.consume_input()
            while not self._pg.is_busy():
                result = self._pg.get_result()
                if result is None:
                    continue
                if result.status == self._pq.ExecStatus.PIPELINE_SYNC:
                    return results
                assert result.status != self._pq.ExecStatus.FATAL_ERROR, result.error_message
                results.append(result)


class SqliteFloor(_RowFloor):
    """SQLite in WAL mode, synchronous=NORMAL, polled."""

    channel: ClassVar[str] = "compare_and_swap"
    promise: ClassVar[str] = (
        "every row survives the process (up to 64 in one commit), claimed by a commit, then deleted"
    )
    bare_act: ClassVar[str] = "insert and commit one row, not flushed"

    def install(self, site: Site) -> None:
        """See `Floor.install`."""
        with closing(sqlite3.connect(site.folder / "floor.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for statement in _create("INTEGER PRIMARY KEY AUTOINCREMENT"):
                connection.execute(statement)

    def _open(self, site: Site, side: str) -> _End:
        return _SqliteEnd(site)


class _SqliteEnd:
    def __init__(self, site: Site) -> None:
        self._db = sqlite3.connect(site.folder / "floor.db", isolation_level=None, timeout=10)
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._claimed: dict[str, list[tuple[int]]] = {}

    def put(self, table: str, bodies: Sequence[Struct]) -> None:
        """See `_End.put`."""
        columns = TABLES[table]
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        self._db.execute("BEGIN IMMEDIATE")
        for body in bodies:
            self._db.execute(insert, astuple(body))
        self._db.execute("COMMIT")

    def take(self, table: str) -> list[Any]:
        """See `_End.take`."""
        columns = ", ".join(TABLES[table])
        free = f"SELECT seq, {columns} FROM {table} WHERE claimed = 0 ORDER BY seq LIMIT {LIMIT}"
        while not (rows := self._db.execute(free).fetchall()):
            time.sleep(POLL)
        keys = [row[:1] for row in rows]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(f"DELETE FROM {table} WHERE seq = ?", self._claimed.pop(table, []))
        if table == "answer":
            self._db.executemany(f"DELETE FROM {table} WHERE seq = ?", keys)
        else:
            self._db.executemany(f"UPDATE {table} SET claimed = 1 WHERE seq = ? AND claimed = 0", keys)
            self._claimed[table] = keys
        self._db.execute("COMMIT")
        return [BODIES[table](*row[1:]) for row in rows]

    def close(self) -> None:
        """See `_End.close`."""
        for table, keys in self._claimed.items():
            self._db.executemany(f"DELETE FROM {table} WHERE seq = ?", keys)
        self._db.close()
