"""What counts as an outside effect, among all the calls of built-in functions that a participant makes.

An effect outlives the process: another process, or the same one after its restart, can see it. The interpreter's
profiler reports each call of a function that is written in C just before and just after it; these are the ones:

    os, open      files made, written, flushed, renamed, removed      file    what is written through a file object
    socket        bytes sent, connections made                        sqlite3 whatever changes rows or a transaction
    fcntl         locks                                               mmap    flush

Reading is no effect, unless it takes something away from where the next reader would find it: what was received from a
socket is nowhere else any more. Such a call counts once something has come.

Not seen: what is written into mapped memory, what other threads do, and what a library in C does by itself
(psycopg's effects are seen, see `libpq`).
"""

from __future__ import annotations

import _io
import _socket
import mmap
import os
import sqlite3
from types import ModuleType
from typing import Any

_FILES = (
    "write writev pwrite pwritev sendfile copy_file_range rename replace link symlink unlink remove mkdir rmdir "
    "truncate ftruncate posix_fallocate fsync fdatasync mkfifo mknod utime lockf"
)
_FUNCTIONS = {
    **{("posix", name): f"os.{name}" for name in _FILES.split()},
    ("posix", "open"): "os.open",
    ("io", "open"): "open",
    ("_io", "open"): "open",
    ("fcntl", "flock"): "fcntl.flock",
    ("fcntl", "lockf"): "fcntl.lockf",
}
_RAW = frozenset({"write", "writelines", "truncate"})
_BUFFERED = _RAW | {"flush", "close", "__exit__"}
_SENDS = frozenset({"send", "sendall", "sendto", "sendmsg", "connect", "connect_ex", "bind", "listen", "shutdown"})
_TAKES = frozenset({"recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "_accept"})
_SQL = frozenset({"execute", "executemany", "executescript", "commit", "rollback", "__exit__"})
_NAMES = frozenset({name for _, name in _FUNCTIONS}) | _BUFFERED | _SENDS | _TAKES | _SQL

#: acts that count only once something has come
TAKING = frozenset({f"socket.{name.lstrip('_')}" for name in _TAKES} | {"libpq.get_result"})
#: flags of an `open` that makes or empties a file
MAKES = os.O_CREAT | os.O_TRUNC


def act_of(function: Any) -> str | None:
    """What a built-in function that is about to be called would do, such as "os.rename"; None if it is no effect."""
    name = function.__name__
    if name not in _NAMES:
        return None
    owner = getattr(function, "__self__", None)
    if isinstance(owner, ModuleType):
        return _FUNCTIONS.get((function.__module__, name))
    if isinstance(owner, _io._IOBase):
        return f"file.{_plain(name)}" if name in _BUFFERED and _reaches_a_file(owner, name) else None
    if isinstance(owner, _socket.socket):
        return f"socket.{name.lstrip('_')}" if name in _SENDS or name in _TAKES else None
    if isinstance(owner, sqlite3.Connection | sqlite3.Cursor):
        return f"sqlite3.{_plain(name)}" if name in _SQL else None
    return "mmap.flush" if isinstance(owner, mmap.mmap) and name == "flush" else None


def rows_and_transaction(function: Any) -> tuple[int, bool] | None:
    """Of a call to SQLite: what it would change. None for any other."""
    owner = getattr(function, "__self__", None)
    try:
        db = owner.connection if isinstance(owner, sqlite3.Cursor) else owner
        return (db.total_changes, db.in_transaction) if isinstance(db, sqlite3.Connection) else None
    except sqlite3.Error:  # it is closed
        return None


def _plain(name: str) -> str:
    return "end of with" if name == "__exit__" else name


def _reaches_a_file(file: Any, name: str) -> bool:
    try:
        return (name in _RAW or not isinstance(file, _io.FileIO)) and file.writable() and file.fileno() >= 0
    except (OSError, ValueError):  # in memory only, or closed already
        return False
