"""What one participant did, written where a `kill -9` cannot reach it.

A journal is a preallocated, memory-mapped file of fixed-size records on local disk. A record's
fields are stored first and its commit word last, so a process that is killed in the middle of a
record leaves one that does not count, never one that is half true: the pages belong to the
operating system, not to the process. The record does not travel over what is being tested.

    time       ns of `time.monotonic_ns`, one clock for all processes of a host
    operation  id of the operation, or 0 for events that belong to none
    value      what the event is about: bytes billed, GB granted, version read or written, volume created
    detail     whom it is about (project, volume); for the answer to a read: index of the state that was read
    event      `Event`
    status     0, the number of a refusal kind (`REFUSALS`), or `MISMATCHED`
    attempt    number of the delivery, 0 at the sender
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import ALLOWED_REFUSALS, BadArgument, SandboxError

if TYPE_CHECKING:
    import numpy as np

_RECORD = struct.Struct("<qqqqBBHI")
_COMMIT = struct.Struct("<I")
_COMMIT_OFFSET = _RECORD.size - _COMMIT.size
RECORD_BYTES = _RECORD.size

#: numpy's view of the same record
DTYPE = [
    ("time", "<i8"),
    ("operation", "<i8"),
    ("value", "<i8"),
    ("detail", "<i8"),
    ("event", "u1"),
    ("status", "u1"),
    ("attempt", "<u2"),
    ("commit", "<u4"),
]

#: refusal kind -> number in the `status` field
REFUSALS = {name: number for number, name in enumerate(ALLOWED_REFUSALS, start=1)}
#: `status` of an answer that belongs to another question: the worst that a channel can do
MISMATCHED = 254


class Event(IntEnum):
    """The life of an operation, sender's side first."""

    INTENT = 1  #: about to be begun; value 1 if the pacer was idle before it (its lateness is the pacer's own)
    ACCEPTED = 2
    ANSWERED = 3
    FAILED = 4
    UNKNOWN = 5
    LATE = 6  #: value = number of answers that came too late and were dropped
    WORK = 7  #: a receiver starts to work on a delivery
    EFFECT = 8  #: the work is done and has had its effect; recorded before settlement
    SETTLED = 9
    RELEASED = 10
    SET_ASIDE = 11
    REFUSED = 12  #: input that was no message of the schema
    STRUCK = 13  #: a fault has touched this participant; operation 0 when it was about none


class JournalFull(SandboxError):
    """More events than the journal was made for; the run can only end `unknown`."""


class Journal:
    """The writing end. One process, one thread; a record costs well under a microsecond."""

    def __init__(self, path: Path, capacity: int) -> None:
        if capacity < 1:
            raise BadArgument("journal capacity", expected="at least 1 record", got=capacity)
        self._end = capacity * RECORD_BYTES
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _allocate(descriptor, self._end)
            flags = mmap.MAP_SHARED | (mmap.MAP_POPULATE if sys.platform == "linux" else 0)
            self._map = mmap.mmap(descriptor, self._end, flags=flags)
        finally:
            os.close(descriptor)
        self._at = 0

    def add(
        self, event: int, operation: int, value: int = 0, detail: int = 0, status: int = 0, attempt: int = 0
    ) -> int:
        """Record one event now; returns its time in ns. Raises `JournalFull`."""
        at = self._at
        if at == self._end:
            raise JournalFull(f"all {self._end // RECORD_BYTES} records are used")
        now = time.monotonic_ns()
        _RECORD.pack_into(self._map, at, now, operation, value, detail, event, status, attempt, 0)
        _COMMIT.pack_into(self._map, at + _COMMIT_OFFSET, 1)
        self._at = at + RECORD_BYTES
        return now

    def close(self) -> None:
        """Unmap the file; what was recorded stays."""
        self._map.close()


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)  # a full disk is met now, not as a bus error in the run
    else:
        os.truncate(descriptor, size)


def read(path: Path) -> np.ndarray[Any, Any]:
    """All committed records of a journal, in order of writing; also while it is being written."""
    import numpy as np

    return np.fromfile(path, dtype=DTYPE, count=recorded(path))


def recorded(path: Path) -> int:
    """How many records of a journal are committed. Cheap: a run asks often, and must not disturb what it watches."""
    with path.open("rb", buffering=0) as file:
        low, high = 0, path.stat().st_size // RECORD_BYTES
        while low < high:  # committed ones come first, so look in the middle
            middle = (low + high) // 2
            file.seek(middle * RECORD_BYTES + _COMMIT_OFFSET)
            if any(file.read(_COMMIT.size)):
                low = middle + 1
            else:
                high = middle
        return low
