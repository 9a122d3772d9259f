"""Servers that a session starts, kills and restarts; or yours, by URL.

    medium          what is started                                      yours, by URL in
    "redis"         Valkey, append-only file flushed every second        SANDBOX_REDIS_URL
    "redis_always"  Valkey, append-only file flushed before every answer SANDBOX_REDIS_URL
    "postgres"      PostgreSQL, flushed before every commit              SANDBOX_POSTGRES_URL

Nothing that is started listens where others can reach it: a socket file in a private folder, or
(Valkey, where that folder's name is too long) loopback with a random password.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sandbox.errors import BadArgument, ServerUnavailable
from sandbox.servers.postgres import Postgres, kill_stragglers, release_shared_memory
from sandbox.servers.process import ServerProcess, Spawn, popen_spawn
from sandbox.servers.server import EmbeddedServer, ExternalServer, Server
from sandbox.servers.valkey import Valkey
from sandbox.servers.yours import your_postgres, your_redis

__all__ = ["MEDIA", "Server", "ServerProcess", "ServerUnavailable", "Spawn", "popen_spawn", "start", "sweep"]

_YOURS: dict[str, Callable[[str], ExternalServer | None]] = {
    "redis": lambda medium: your_redis(medium, "everysec"),
    "redis_always": lambda medium: your_redis(medium, "always"),
    "postgres": your_postgres,
}
_EMBEDDED: dict[str, Callable[[str, Path, Spawn], EmbeddedServer]] = {
    "redis": lambda medium, folder, spawn: Valkey(medium, folder, spawn, "everysec"),
    "redis_always": lambda medium, folder, spawn: Valkey(medium, folder, spawn, "always"),
    "postgres": Postgres,
}

#: The media that `start` knows.
MEDIA = tuple(_EMBEDDED)


def start(medium: str, folder: Path, spawn: Spawn) -> Server:
    """The user's own server for a medium, or else one that is started now; returns when it answers.

    folder  private, on local disk, and this server's own: data, log and socket file live in it.
            What a server of the same medium left there is taken up again
    spawn   starts processes that end with the session, whatever happens

    Raises `BadArgument` for an unknown medium, `ServerUnavailable` with the last log lines and the way out.
    """
    if medium not in MEDIA:
        raise BadArgument("medium", expected=f"one of {', '.join(MEDIA)}", got=medium)
    yours = _YOURS[medium](medium)
    if yours is not None:
        return yours
    server = _EMBEDDED[medium](medium, folder, spawn)
    server.start()
    return server


def sweep(folder: Path) -> None:
    """End and give back what servers that were killed from outside leave behind; call it before their folders go.

    For whoever ends servers without `Server.kill`, by a signal to their process group: the children
    of PostgreSQL are not in it, and shared memory does not go away with a process. Looks at the
    servers whose folders lie directly in `folder`; spools, which may be large, are not walked.
    """
    for lock in folder.resolve().glob("*/data/postmaster.pid"):
        kill_stragglers(lock.parent)
        release_shared_memory(lock.parent)
