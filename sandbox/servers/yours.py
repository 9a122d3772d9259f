"""Servers of the user's own, given by URL in the environment: checked with a real connection, never started."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sandbox.errors import ServerUnavailable
from sandbox.servers.server import ExternalServer
from sandbox.servers.valkey import FLUSHES, connect, name_and_version

if TYPE_CHECKING:
    import redis

POSTGRES_VARIABLE = "SANDBOX_POSTGRES_URL"
REDIS_VARIABLE = "SANDBOX_REDIS_URL"

_PLAIN_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?:[^@/?#]*@)?(?P<place>[^@?#]*)(?:\?[^@#]*)?")


def your_postgres(medium: str) -> ExternalServer | None:
    """The database that SANDBOX_POSTGRES_URL names, or None when it names none. Raises `ServerUnavailable`."""
    address = os.environ.get(POSTGRES_VARIABLE, "").strip()
    if not address:
        return None
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(address)
        place = without_secrets(address) if "://" in address else _place(parts)
    except (psycopg.Error, ValueError):  # whose text would quote the address
        raise _unreadable("PostgreSQL", POSTGRES_VARIABLE, "postgresql://user:password@host:5432/database") from None
    try:
        with psycopg.connect(address, connect_timeout=5, autocommit=True) as connection:
            row = connection.execute("SHOW server_version").fetchone()
    except psycopg.Error as error:
        raise _unreachable(f"PostgreSQL at {place}", POSTGRES_VARIABLE, error, parts.get("password")) from None
    version = str(row[0]).split()[0] if row else "of unknown version"
    label = f"PostgreSQL {version} at {place} (yours)"
    return ExternalServer(medium=medium, address=address, label=label, version=version, variable=POSTGRES_VARIABLE)


def your_redis(medium: str, flush: str) -> ExternalServer | None:
    """The server that SANDBOX_REDIS_URL names, or None when it names none.

    Raises `ServerUnavailable` when it cannot be reached, or does not flush as `medium` promises.
    """
    address = os.environ.get(REDIS_VARIABLE, "").strip()
    if not address:
        return None
    import redis

    try:
        place = without_secrets(address)
        client = connect(address)
    except (ValueError, redis.RedisError):
        raise _unreadable("Redis", REDIS_VARIABLE, "redis://:password@host:6379/0") from None
    try:
        with client:
            client.ping()
            name, version = name_and_version(client)
            flushes = _flushes(client)
    except (redis.RedisError, OSError) as error:
        password = client.connection_pool.connection_kwargs.get("password")
        raise _unreachable(f"Redis at {place}", REDIS_VARIABLE, error, password) from None
    if flush == "always" and flushes != FLUSHES["always"]:
        raise ServerUnavailable(
            f"{name} at {place}",
            f"what is measured here promises an {FLUSHES['always']}, and yours has: {flushes}",
            way_out=f"What to do: set `appendonly yes` and `appendfsync always` on it, or unset {REDIS_VARIABLE}.",
        )
    label = f"{name} {version} at {place} (yours, {flushes})"
    return ExternalServer(medium=medium, address=address, label=label, version=version, variable=REDIS_VARIABLE)


def without_secrets(url: str) -> str:
    """A URL as it may be shown: no user, no password, no options.

    Raises ValueError for one in which these cannot be told apart, as with an @ or / in the password.
    """
    match = _PLAIN_URL.fullmatch(url)
    if match is None:
        raise ValueError("not a plain URL")
    return f"{match['scheme']}://{match['place']}"


def _place(parts: Mapping[str, object]) -> str:
    """The same for a connection string of keywords, as libpq itself has taken it apart."""
    host = parts.get("host") or parts.get("hostaddr") or "this machine"
    return f"database {parts.get('dbname', 'of the user')!r} on {host}"


def _flushes(client: redis.Redis) -> str:
    """When a server flushes to disk, in the words of `FLUSHES`; many hosted ones do not tell."""
    import redis

    try:
        settings: dict[str, str] = {
            _text(name): _text(value)
            for setting in ("appendonly", "appendfsync")
            for name, value in client.config_get(setting).items()
        }
    except redis.ResponseError:
        return "flushing unknown"
    if settings.get("appendonly") != "yes":
        return "no append-only file"
    return FLUSHES.get(settings.get("appendfsync", ""), "append-only file flushed by the system")


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def _unreadable(product: str, variable: str, example: str) -> ServerUnavailable:
    return ServerUnavailable(
        f"Your {product}",
        f"{variable} cannot be read as an address (it is not shown, because it may hold a password)",
        way_out=f"What to do: write it like {example} - with %40 for @ and %2F for / in a password - or unset it.",
    )


def _unreachable(server: str, variable: str, error: Exception, password: object) -> ServerUnavailable:
    reason = str(error).replace(str(password), "***") if password else str(error)
    way_out = f"What to do: correct {variable}, or unset it, and the session starts a server of its own."
    return ServerUnavailable(f"Your {server}", reason, way_out=way_out)
