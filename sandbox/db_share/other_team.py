"""Another team wants something of `owner`'s volumes: at its tables, or through its interface.

    AtTheTables           quicker to write, and it needs nobody's consent. The rules stand in the owner's code, and
                          this code does not pass there: quota, transitions and counters break, and nothing fails.
                          The owner's columns have become an interface that nobody has promised
    ThroughTheInterface   asks. The rules are kept, refusals are answers, and the owner's tables are its own affair

So Nova never touches Cinder's tables, though both could reach them: nodes of one service share a database,
services do not.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from pathlib import Path

from msgspec import Struct

from sandbox.channel import Sender, Status
from sandbox.db_share.owner import INTERFACE, AttachVolume, ExtendVolume
from sandbox.errors import Definite, Refusal, TimedOut
from sandbox.exchange.schema import Operation


class AtTheTables:
    """Code of another team that has read the owner's tables, as they are in release 1, and writes there itself."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, timeout=10)

    def attach(self, volume: int) -> None:
        """Set the status that an attached volume has."""
        self._db.execute("UPDATE volumes SET status = 'in-use' WHERE id = ?", [volume])

    def extend(self, volume: int, size_gb: int) -> None:
        """Set the size. After release 2: `sqlite3.OperationalError`, no such column."""
        self._db.execute("UPDATE volumes SET size = ? WHERE id = ?", (size_gb, volume))

    def close(self) -> None:
        """Disconnect."""
        self._db.close()


class ThroughTheInterface:
    """Code of another team that asks the owner, over a sender of any channel whose schema is `INTERFACE`.

    Raises the `Refusal` that came; `TimedOut` when nobody can say whether it happened; `Definite` when it
    certainly did not.
    """

    def __init__(self, sender: Sender, timeout: float = 10.0) -> None:
        self._sender, self._timeout = sender, timeout
        self._numbers = itertools.count(1)

    def attach(self, volume: int) -> Struct:
        """The volume, now in use."""
        return self.ask("attach_volume", AttachVolume(volume))

    def extend(self, volume: int, size_gb: int) -> Struct:
        """The volume with its new size."""
        return self.ask("extend_volume", ExtendVolume(volume, size_gb))

    def close(self) -> None:
        """Close the sender."""
        self._sender.close()

    def ask(self, message: str, body: Struct) -> Struct:
        """Any message of the interface; waits for the answer."""
        operation = Operation(next(self._numbers), message, body)
        INTERFACE.check(operation)
        self._sender.begin(operation)
        deadline = time.monotonic() + self._timeout
        while (left := deadline - time.monotonic()) > 0:
            for outcome in self._sender.outcomes(left):
                if outcome.operation != operation.id or outcome.status is Status.ACCEPTED:
                    continue
                if isinstance(outcome.answer, Refusal):
                    raise outcome.answer
                if outcome.answer is not None:
                    return outcome.answer
                raise (Definite if outcome.status is Status.FAILED else TimedOut)(outcome.reason)
        raise TimedOut(f"no answer to {message} within {self._timeout} s")
