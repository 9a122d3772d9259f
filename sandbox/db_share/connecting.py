"""Connect to PostgreSQL without waiting: libpq's handshake, step by step."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sandbox.errors import ServerUnavailable

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

#: seconds between two attempts
_RETRY = 0.1


class Connecting:
    """Attempts to connect, one after the other. `failure` says why the last one did not succeed.

    address  libpq connection string or URL
    options  settings of the session, name=value
    """

    def __init__(self, address: str, options: Iterable[str]) -> None:
        import psycopg
        from psycopg import pq
        from psycopg.conninfo import make_conninfo

        self._pq = pq
        settings = " ".join(f"-c {option}" for option in options)
        try:
            self._conninfo = make_conninfo(address, client_encoding="utf8", options=settings).encode()
        except psycopg.Error as error:
            raise ServerUnavailable("PostgreSQL", f"its address cannot be read: {str(error).strip()}") from None
        self._pg: PGconn | None = None
        self._writing = True
        self._try_at = 0.0
        self.failure = ""

    def go_on(self, timeout: float) -> PGconn | None:
        """Go on for at most `timeout` seconds; the connection once it stands, None while it does not."""
        until = time.monotonic() + timeout
        if self._pg is None:
            time.sleep(max(0.0, min(until, self._try_at) - time.monotonic()))
            if self._try_at > time.monotonic():
                return None
            self._pg, self._writing = self._pq.PGconn.connect_start(self._conninfo), True
        while self._pg.status != self._pq.ConnStatus.BAD and self._is_ready(self._pg.socket, until):
            state = self._pg.connect_poll()
            self._writing = state == self._pq.PollingStatus.WRITING
            if state == self._pq.PollingStatus.OK:
                connected, self._pg = self._pg, None
                return connected
        if self._pg.status == self._pq.ConnStatus.BAD:
            self.failure = self._pg.get_error_message().strip()
            self._try_at = time.monotonic() + _RETRY
            self.close()
        return None

    def close(self) -> None:
        """Give up the attempt that is under way."""
        if self._pg is not None:
            self._pg.finish()
            self._pg = None

    def _is_ready(self, socket: int, until: float) -> bool:
        reading, writing = ([], [socket]) if self._writing else ([socket], [])
        return any(select.select(reading, writing, [], max(0.0, until - time.monotonic())))
