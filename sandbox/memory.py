"""What the receivers of one group remember of the operations they have taken, so that none is worked twice.

One row an operation, in a SQLite file that all receivers of the group share, or in the memory of one
process. A row is either of work that has begun or of work that is done, with the answer that was given.
It is in the file when the call returns, where it survives `kill -9` of whoever wrote it, not a power cut.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from contextlib import closing
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from sandbox.errors import ServerUnavailable

#: s for which another process may hold the file: a transaction takes microseconds
_PATIENCE = 30.0
#: claims after which, at the latest, what is too much is forgotten
_SWEEP = 256
_TABLE = """
    CREATE TABLE IF NOT EXISTS known (
        number INTEGER PRIMARY KEY AUTOINCREMENT, operation INTEGER NOT NULL UNIQUE,
        state INTEGER NOT NULL, owner TEXT NOT NULL, since REAL NOT NULL, said BLOB)
"""


class State(IntEnum):
    """How far an operation has come."""

    OURS = 0  #: nobody had it: whoever asked has it now, and does the work
    BUSY = 1  #: another has it, or the same receiver once more, and is at work on it
    DOUBTFUL = 2  #: whoever had it is gone, and nobody can say whether the work was done; whoever asked has it now
    DONE = 3
    ASIDE = 4  #: given up


class Known(NamedTuple):
    """What is known of an operation; `said` is its answer, or why it was set aside."""

    state: State
    said: bytes | None = None


def create(path: Path) -> None:
    """Make the file, before anybody opens it; one that is there stays as it is."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(_TABLE)


class Memory:
    """One receiver's view of it.

    path  of a file that `create` made; None: in this process alone, which forgets all when it ends
    name  of the receiver
    keep  s after which what is done is forgotten; `most`: how many operations are remembered
    work  s after which a piece of work is in doubt although whoever does it lives
    """

    def __init__(self, path: Path | None, name: str, *, keep: float, most: int, work: float) -> None:
        if path is not None and not path.exists():
            raise ServerUnavailable("the memory", f"no {path.name}", way_out="Call install before opening an end.")
        # a receiver that comes back under the same name is another one: it does not know what it had begun
        self._owner = f"{name}-{secrets.token_hex(4)}"
        self._keep, self._most, self._work = keep, most, work
        self._until_sweep = self._between = min(_SWEEP, max(1, most // 4))
        self._folder = path.parent if path else None
        self._life = self._show_life()
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=_PATIENCE)
        self._db.execute("PRAGMA synchronous = OFF")  # the system has it when it is written: enough for a kill
        if path is None:
            self._db.execute(_TABLE)

    def claim(self, operation: int) -> Known:
        """Ask for an operation: it is ours from now on, or what is known of it."""
        insert = "INSERT OR IGNORE INTO known (operation, state, owner, since) VALUES (?, ?, ?, ?)"
        while True:
            now = time.monotonic()
            if self._db.execute(insert, (operation, State.BUSY, self._owner, now)).rowcount:
                self._sweep()
                return Known(State.OURS)
            found = self._db.execute("SELECT state, owner, since, said FROM known WHERE operation = ?", (operation,))
            for state, owner, since, said in found.fetchall():
                over = self._in_doubt(owner, since, now) if state == State.BUSY else now - since > self._keep
                if not over:
                    return Known(State(state), said)
                if self._take_over(operation, owner, since, now):
                    return Known(State.DOUBTFUL if state == State.BUSY else State.OURS)

    def done(self, operation: int, answer: bytes | None = None) -> None:
        """The work is done. An answer that was noted before is kept."""
        self._note(operation, State.DONE, answer)

    def set_aside(self, operation: int, reason: str) -> None:
        """It is given up."""
        self._note(operation, State.ASIDE, reason.encode(errors="replace"))

    def forget(self, operation: int) -> None:
        """It was given back: whoever is next may begin it."""
        gone = "DELETE FROM known WHERE operation = ? AND owner = ? AND state = ?"
        self._db.execute(gone, (operation, self._owner, State.BUSY))

    def close(self) -> None:
        """Safe to call again. What was begun here and is not done is in doubt from now on."""
        self._db.close()
        if self._life is not None:
            os.close(self._life)
            self._life = None

    def _note(self, operation: int, state: State, said: bytes | None) -> None:
        self._db.execute(
            "UPDATE known SET state = ?, since = ?, said = coalesce(?, said) WHERE operation = ?",
            (state, time.monotonic(), said, operation),
        )

    def _take_over(self, operation: int, owner: str, since: float, now: float) -> bool:
        """Of several who see that it is nobody's any more, one gets it."""
        change = "UPDATE known SET state = ?, owner = ?, since = ?, said = NULL"
        same = "WHERE operation = ? AND owner = ? AND since = ?"
        values = (State.BUSY, self._owner, now, operation, owner, since)
        return self._db.execute(f"{change} {same}", values).rowcount == 1

    def _sweep(self) -> None:
        self._until_sweep -= 1
        if not self._until_sweep:
            self._until_sweep = self._between
            newest = "(SELECT max(number) FROM known)"
            self._db.execute(f"DELETE FROM known WHERE number <= {newest} - ? AND state <> ?", (self._most, State.BUSY))

    # --- who lives: each receiver holds a lock that the kernel gives back when it dies, paused or not

    def _show_life(self) -> int | None:
        if self._folder is None:
            return None
        life = os.open(self._folder / self._owner, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return life

    def _in_doubt(self, owner: str, since: float, now: float) -> bool:
        return now - since > self._work or not self._lives(owner)

    def _lives(self, owner: str) -> bool:
        if self._folder is None or owner == self._owner:
            return True
        try:
            life = os.open(self._folder / owner, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(life, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(life)
        return False
