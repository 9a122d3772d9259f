"""pgqueuer: jobs in PostgreSQL, beside `skip_locked`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import psycopg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from psycopg.conninfo import conninfo_to_dict

from benchmarks.peer import Peer, windows
from sandbox.exchange.schema import EXCHANGE
from sandbox.floor import Driven, Load
from sandbox.site import Site


class PgQueuers(Peer):
    """One queue manager, one enqueuing client."""

    package = "pgqueuer"
    channel = "skip_locked"
    needs = ("postgres",)
    promise = "at least once, commits flushed"
    settings = "asyncpg, uvloop (as its command line), durable tables; 64 jobs an enqueue and a dequeue"
    tell_goal = 1.5

    def install(self, site: Site) -> None:
        """Make a schema with pgqueuer's tables, as `pgq install` does."""
        _execute(site, f'CREATE SCHEMA "{_schema(site)}"')
        asyncio.run(_install(site))

    def uninstall(self, site: Site) -> None:
        """Remove the schema."""
        _execute(site, f'DROP SCHEMA IF EXISTS "{_schema(site)}" CASCADE')

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """See `Floor.serve`."""
        return uvloop.run(_serve(site, load, ready))

    def drive(self, site: Site, load: Load) -> Driven:
        """See `Floor.drive`."""
        return uvloop.run(_drive(site, load))


async def _serve(site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
    taken: list[int] = []
    async with _connect(site) as connection:
        queue = PgQueuer.from_asyncpg_connection(connection)

        @queue.entrypoint("image_downloaded")
        async def metering(job: Job) -> None:
            EXCHANGE.decode("image_downloaded", job.payload or b"")
            taken.append(time.monotonic_ns())
            if len(taken) >= load.tells:
                queue.shutdown.set()

        @queue.entrypoint("warm_up")
        async def warm_up(job: Job) -> None:
            ready()

        await Queries.from_asyncpg_connection(connection).enqueue("warm_up", None)
        await queue.run(batch_size=load.window)
    return taken


async def _drive(site: Site, load: Load) -> Driven:
    told: list[int] = []
    async with _connect(site) as connection:
        queries = Queries.from_asyncpg_connection(connection)
        for size in windows(load, told):
            bodies: list[bytes | None] = [EXCHANGE.encode(load.tell) for _ in range(size)]
            await queries.enqueue(["image_downloaded"] * size, bodies, [0] * size)
        return Driven([], told, time.monotonic_ns())


async def _install(site: Site) -> None:
    async with _connect(site) as connection:
        await Queries.from_asyncpg_connection(connection).install()


@asynccontextmanager
async def _connect(site: Site) -> AsyncIterator[Any]:
    where = conninfo_to_dict(site.address("postgres"))
    connection = await asyncpg.connect(
        host=where.get("host"),
        port=where.get("port"),
        user=where.get("user"),
        password=where.get("password"),
        database=where.get("dbname"),
        server_settings={"search_path": _schema(site)},
    )
    try:
        yield connection
    finally:
        await connection.close()


def _execute(site: Site, statement: str) -> None:
    with psycopg.connect(site.address("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


def _schema(site: Site) -> str:
    return f"{site.name}_pgqueuer"
