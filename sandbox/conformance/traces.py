"""What a site has left on shared servers, found by its name and not by asking the channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sandbox.harness.session import Session
from sandbox.site import Site


def traces(session: Session, media: Iterable[str], site: Site) -> set[str]:
    """Names on the servers of these media that contain the site's name."""
    look: dict[str, Callable[[str, str], set[str]]] = {
        "postgres": _in_postgres,
        "redis": _in_redis,
        "redis_always": _in_redis,
    }
    found: set[str] = set()
    for medium in media:
        if medium in look:
            found |= look[medium](session.server(medium).address, site.name)
    return found


def _in_postgres(address: str, name: str) -> set[str]:
    import psycopg

    everything = """
        SELECT nspname || '.' || relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        UNION SELECT nspname FROM pg_namespace
        UNION SELECT nspname || '.' || proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
        UNION SELECT nspname || '.' || typname FROM pg_type JOIN pg_namespace n ON n.oid = typnamespace
    """
    with psycopg.connect(address, autocommit=True) as connection:
        return {row[0] for row in connection.execute(everything) if name in row[0]}


def _in_redis(address: str, name: str) -> set[str]:
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    with Redis.from_url(address, retry=Retry(NoBackoff(), 0), socket_timeout=10) as client:
        keys = client.scan_iter(match=f"*{name}*", count=1000)
        return {key.decode(errors="replace") if isinstance(key, bytes) else str(key) for key in keys}
