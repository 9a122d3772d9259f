"""What is PostgreSQL's own: its words for things, its text format, and what may wait for an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sandbox.channel import ASK_GROUP, Backlog
from sandbox.db_share.ends import Queue
from sandbox.db_share.tables import Dialect, Row, Statement, Tables, quoted
from sandbox.errors import Definite, Malformed, ServerUnavailable
from sandbox.exchange.schema import Schema
from sandbox.site import Site

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

#: settings of a session that sends: accepted means flushed
SENDING = ("synchronous_commit=on", "plan_cache_mode=force_generic_plan")
#: ... that receives: see `skip_locked.Receiver` for the flush. In a table that fills and drains all the time,
#: statistics mislead; the index on (grp, seq) is always right.
RECEIVING = (
    "synchronous_commit=off",
    "plan_cache_mode=force_generic_plan",
    "enable_seqscan=off",
    "enable_bitmapscan=off",
    "enable_sort=off",
)

_BIGINT = 2**63

NOTIFY = Statement("notify", "SELECT pg_notify($1, '')")
UNFLUSHED = Statement("unflushed", "SELECT set_config('synchronous_commit', 'off', true)")

_QUEUES = "SELECT table_name FROM information_schema.columns WHERE table_schema = %s AND column_name = 'visible_at'"
_COUNT = """
    SELECT count(*) FILTER (WHERE NOT held), count(*) FILTER (WHERE held), coalesce(max(rest) FILTER (WHERE held), 0)
    FROM (
        SELECT claimed_by IS NOT NULL AND isfinite(visible_at) AND visible_at > clock_timestamp() AS held,
            extract(epoch FROM visible_at)::float8 - extract(epoch FROM clock_timestamp())::float8 AS rest
        FROM {table} WHERE grp = ANY(%s)
    )
    AS queue
"""


def rendered(site: Site, schema: Schema) -> Tables:
    """The tables of a schema, in the PostgreSQL schema of this site."""
    return Tables(
        schema,
        Dialect(
            prefix=f"{quoted(site.name)}.",
            mark="$%d",
            key="bigint GENERATED ALWAYS AS IDENTITY",
            found_by="PRIMARY KEY ({column}, seq)",  # one index instead of two
            count="integer",  # without a CHECK: that would make an insert half as dear again
            moment="timestamptz",
            now="clock_timestamp()",
            moment_of="clock_timestamp() + %s::float8 * interval '1 second'",
        ),
    )


def claim(queue: Queue) -> Statement:
    """Claim rows: by whom, for how many seconds, of which group, how many."""
    # An array, because a plain IN may evaluate its subquery again and then lock more rows than the limit.
    free = (
        f"SELECT seq FROM {queue.table} WHERE grp = $3 AND visible_at <= clock_timestamp() "
        "ORDER BY seq LIMIT $4 FOR UPDATE SKIP LOCKED"
    )
    return Statement(
        f"claim_{queue.message.name}",
        # a stranger's count must not overflow: that would fail every claim from then on
        f"UPDATE {queue.table} SET claimed_by = $1, attempts = least(attempts, 1000000) + 1, "
        "visible_at = clock_timestamp() + $2::float8 * interval '1 second' "
        f"WHERE grp = $3 AND seq = ANY(ARRAY({free})) RETURNING *",
    )


def settle_all(queue: Queue) -> Statement:
    """Delete the rows of one group with these keys."""
    return Statement(
        f"settle_all_{queue.message.name}", f"DELETE FROM {queue.table} WHERE grp = $1 AND seq = ANY($2::bigint[])"
    )


def create(site: Site, statements: Iterable[str]) -> None:
    """Make the schema of this site with its tables."""
    with connect(site) as connection:
        (flushes,) = connection.execute("SHOW fsync").fetchone() or ("unknown",)
        if flushes != "on":
            raise ServerUnavailable("PostgreSQL", f"its fsync is {flushes}", way_out="Set fsync = on.")
        with connection.transaction():
            for statement in (f"CREATE SCHEMA {quoted(site.name)}", *statements):
                connection.execute(statement.encode())


def change(site: Site, statements: Sequence[str]) -> tuple[str, ...]:
    """Carry out changes of the tables, all or none; `Definite` when PostgreSQL refuses one."""
    import psycopg

    with connect(site) as connection:
        try:
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '10s'")  # for whoever is stopped in the middle of his own
                for statement in statements:
                    connection.execute(statement.encode())
        except psycopg.Error as error:
            raise Definite(f"nothing is changed: PostgreSQL refused it: {str(error).strip()}") from None
    return tuple(statements)


def drop(site: Site) -> None:
    """Remove the schema of this site with all that is in it."""
    with connect(site) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {quoted(site.name)} CASCADE".encode())


def bell(site: Site, name: str) -> str:
    """The notification channel of a group or a sender; PostgreSQL takes 63 bytes."""
    bell = f"{site.name}.{name}"
    return bell if len(bell.encode()) < 64 else hashlib.blake2s(bell.encode()).hexdigest()[:48]


@contextmanager
def connect(site: Site) -> Iterator[psycopg.Connection[Any]]:
    """A connection for what may wait."""
    import psycopg

    try:
        connection = psycopg.connect(site.address("postgres"), autocommit=True)
    except psycopg.Error as error:
        raise ServerUnavailable("PostgreSQL", str(error).strip(), way_out="Check that it runs.") from None
    with connection:
        yield connection


def backlog(site: Site) -> Backlog:
    """Counted in all tables that rows are claimed from, for the groups that the site knows."""
    known = [*site.groups, ASK_GROUP]
    where = quoted(site.name)
    ready, claimed, lease = 0, 0, 0.0
    with connect(site) as connection:
        for (table,) in connection.execute(_QUEUES, [site.name]).fetchall():
            count = _COUNT.format(table=f"{where}.{quoted(table)}").encode()
            found = connection.execute(count, [known]).fetchone() or (0, 0, 0.0)
            ready, claimed, lease = ready + found[0], claimed + found[1], max(lease, found[2])
        dead = connection.execute(f"SELECT count(*) FROM {where}.dead_letters".encode()).fetchone() or (0,)
    return Backlog(ready, claimed, lease, dead[0])


def params(values: Sequence[Any]) -> tuple[bytes | None, ...]:
    """Values as PostgreSQL takes them in text; `Malformed` for what it cannot hold."""
    try:
        texts = "\0".join(map(str, values)).encode().split(b"\0")  # all in one go: this is the hot path
    except UnicodeEncodeError as error:
        raise Malformed(f"text that is not Unicode: {error}") from None
    if len(texts) != len(values):
        raise Malformed("text with a NUL character, which PostgreSQL cannot hold")
    numbers = [value for value in values if type(value) is int]
    if numbers and not (min(numbers) >= -_BIGINT and max(numbers) < _BIGINT):
        raise Malformed("a number that no bigint column can hold")
    if None in values:
        return tuple(None if value is None else text for value, text in zip(values, texts, strict=True))
    return tuple(texts)


def array(numbers: Iterable[int]) -> str:
    """Numbers as one parameter."""
    return "{" + ",".join(map(str, numbers)) + "}"


def rows(result: PGresult, kinds: Mapping[str, type]) -> list[Row]:
    """The rows of a result. Columns that should be numbers become numbers, where they are."""
    if not result.ntuples:
        return []
    names = [(result.fname(index) or b"").decode() for index in range(result.nfields)]
    columns = [(index, name, kinds.get(name) is int) for index, name in enumerate(names)]
    value = result.get_value
    return [
        {
            name: None if (cell := value(row, index)) is None else _number(cell) if number else cell.decode()
            for index, name, number in columns
        }
        for row in range(result.ntuples)
    ]


def _number(cell: bytes) -> int | str:
    try:
        return int(cell)
    except ValueError:  # somebody has changed the column's type: the schema will say so
        return cell.decode()
