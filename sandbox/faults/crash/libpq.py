"""The effects of psycopg, which the profiler does not see: its built-in functions are not the interpreter's own kind.

Channels that drive libpq themselves get a connection that reports what it does; for all others, psycopg's own
methods do. Only in the participants of a crash map.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

#: what leaves, or takes, when libpq is driven directly; statements alone (`send_...`) only fill its buffer
_LEAVES = ("get_result", "exec_", "exec_params", "exec_prepared")


class Report(Protocol):
    """Who wants to know: called with what is to be done; calls back what came of it with `happened`."""

    def __call__(self, act: str) -> AbstractContextManager[Happened]: ...


class Happened:
    """Whether the act had an effect; set before the report ends."""

    yes = True


def report_to(report: Report) -> None:
    """From now on, in this process, every outside effect that psycopg makes is reported."""
    psycopg: Any = sys.modules.get("psycopg")
    if psycopg is None:  # nobody uses it
        return
    psycopg.pq.PGconn = _Connecting(psycopg.pq.PGconn, report)
    for kind, name in (
        (psycopg.Cursor, "execute"),
        (psycopg.Cursor, "executemany"),
        (psycopg.Connection, "commit"),
        (psycopg.Connection, "rollback"),
        (psycopg.Transaction, "__exit__"),
    ):
        setattr(kind, name, _reporting(getattr(kind, name), f"psycopg.{name.strip('_')}", report))


class _Connecting:
    """In the place of the class PGconn, for those who look it up."""

    def __init__(self, real: Any, report: Report) -> None:
        self._real, self._report = real, report

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in ("connect", "connect_start"):
            return found
        return lambda *arguments: _Connection(
            _reporting(found, f"libpq.{name}", self._report)(*arguments), self._report
        )


class _Connection:
    """In the place of a PGconn."""

    def __init__(self, real: Any, report: Report) -> None:
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_filled", False)
        object.__setattr__(self, "_sync", _reporting(real.pipeline_sync, "libpq.pipeline_sync", report))
        object.__setattr__(self, "_flush", _reporting(real.flush, "libpq.flush", report))
        for name in _LEAVES:
            object.__setattr__(self, name, _reporting(getattr(real, name), f"libpq.{name.strip('_')}", report))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("send_"):
            object.__setattr__(self, "_filled", True)
        return getattr(self._real, name)

    def pipeline_sync(self) -> None:
        """Sends all that has filled the buffer."""
        object.__setattr__(self, "_filled", False)
        self._sync()

    def flush(self) -> Any:
        """An effect only if there is anything to send."""
        flush = self._flush if self._filled else self._real.flush
        object.__setattr__(self, "_filled", False)
        return flush()

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)


def _reporting(function: Callable[..., Any], act: str, report: Report) -> Callable[..., Any]:
    @functools.wraps(function)
    def reported(*arguments: Any, **named: Any) -> Any:
        with report(act) as happened:
            result = function(*arguments, **named)
            if act == "libpq.get_result":
                happened.yes = result is not None
            elif act.startswith("psycopg.execute"):  # what only looks is no effect
                happened.yes = not (result.statusmessage or "").startswith(("SELECT", "SHOW"))
        return result

    return reported
