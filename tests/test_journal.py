"""What a participant has recorded survives whatever happens to it, whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import struct
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import BadArgument
from sandbox.harness import journal as journal_module
from sandbox.harness.journal import RECORD_BYTES, Event, Journal, JournalFull, read, recorded


def write_for_ever(path: Path, capacity: int) -> None:
    """Record n = 1, 2, 3, ... so that each field tells n, and a record of two halves would show."""
    journal = Journal(path, capacity)
    for n in range(1, capacity + 1):
        journal.add(1 + n % 12, n, n * 7, -n, n % 251, n % 65521)


def check_whole(path: Path) -> int:
    """Every record is whole, and they are the first ones without a gap; returns how many there are."""
    records = read(path)
    for position, n in enumerate(range(1, len(records) + 1)):
        record = records[position]
        fields = [
            int(record[name]) for name in ("operation", "value", "detail", "event", "status", "attempt", "commit")
        ]
        assert fields == [n, n * 7, -n, 1 + n % 12, n % 251, n % 65521, 1]
    assert (records["time"][1:] >= records["time"][:-1]).all()
    assert recorded(path) == len(records)
    return len(records)


@pytest.mark.parametrize("attempt", range(6))
def test_a_writer_killed_in_the_middle_leaves_only_whole_records(tmp_path: Path, attempt: int) -> None:
    # Given a real process that does nothing but write
    path, capacity = tmp_path / "j", 2_000_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the child only writes
        pid = os.fork()
    if pid == 0:
        try:
            write_for_ever(path, capacity)
        finally:
            os._exit(0)

    # When it is killed at whatever it is doing
    try:
        while not path.exists() or recorded(path) < 500 * (attempt + 1):
            time.sleep(0.001)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    # Then what it wrote is there, without gaps and without halves
    assert 500 * (attempt + 1) <= check_whole(path) < capacity


def test_a_journal_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, 100)

    assert len(read(path)) == 0
    journal.add(Event.INTENT, 1)
    assert len(read(path)) == 1
    journal.add(Event.ACCEPTED, 1)
    assert read(path)["event"].tolist() == [Event.INTENT, Event.ACCEPTED]
    journal.close()


def test_a_record_without_its_commit_word_does_not_count(tmp_path: Path) -> None:
    # Given three records, of which the last was torn: its fields are there, its commit word is not
    path = tmp_path / "j"
    journal = Journal(path, 10)
    for n in range(1, 4):
        journal.add(Event.EFFECT, n, 100)
    journal.close()
    with path.open("r+b") as file:
        file.seek(3 * RECORD_BYTES - 4)
        file.write(b"\0\0\0\0")

    assert read(path)["operation"].tolist() == [1, 2]
    assert recorded(path) == 2


class Dying:
    """A `struct.Struct` that writes so many times, for all of its kind, and then its process dies."""

    class Died(Exception):
        """Instead of a SIGKILL."""

    left = 0

    def __init__(self, honest: struct.Struct) -> None:
        self.honest, self.size = honest, honest.size

    def pack_into(self, *arguments: Any) -> None:
        if Dying.left == 0:
            raise Dying.Died
        Dying.left -= 1
        self.honest.pack_into(*arguments)


@pytest.mark.parametrize("writes", range(7))
def test_a_writer_that_dies_between_any_two_writes_leaves_only_whole_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    # Given a writer that dies after so many writes into its file: before, within or behind a record
    monkeypatch.setattr(journal_module, "_RECORD", Dying(journal_module._RECORD))
    monkeypatch.setattr(journal_module, "_COMMIT", Dying(journal_module._COMMIT))
    monkeypatch.setattr(Dying, "left", writes)
    journal = Journal(tmp_path / "j", 4)

    # When it records until then
    told = []
    with pytest.raises(Dying.Died):
        for n in range(1, 5):
            told.append(journal.add(Event.EFFECT, n, n * 7, -n, n, n))
    journal.close()

    # Then all that it was told to be recorded is there, and nothing that is half true
    records = read(tmp_path / "j")
    assert records["time"].tolist() == told
    assert records["value"].tolist() == [n * 7 for n in range(1, len(told) + 1)]


def test_a_full_journal_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 3)
    for n in (1, 2, 3):
        journal.add(Event.INTENT, n)

    with pytest.raises(JournalFull, match="all 3 records"):
        journal.add(Event.INTENT, 4)

    journal.close()
    assert read(tmp_path / "j")["operation"].tolist() == [1, 2, 3]


def test_a_journal_never_writes_into_one_that_is_there(tmp_path: Path) -> None:
    Journal(tmp_path / "j", 3).close()

    with pytest.raises(FileExistsError):
        Journal(tmp_path / "j", 3)


def test_a_journal_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"^journal capacity: expected at least 1 record, got 0"):
        Journal(tmp_path / "j", 0)


def test_a_journal_takes_its_room_on_disk_at_once(tmp_path: Path) -> None:
    Journal(tmp_path / "j", 1000).close()

    assert (tmp_path / "j").stat().st_size == 1000 * RECORD_BYTES
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_met_when_the_journal_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)

    with pytest.raises(OSError, match="No space"):
        Journal(tmp_path / "j", 1000)


def test_a_system_that_cannot_take_room_at_once_has_journals_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)

    journal = Journal(tmp_path / "j", 2)
    journal.add(Event.INTENT, 1)
    journal.close()

    assert read(tmp_path / "j")["operation"].tolist() == [1]
    assert (tmp_path / "j").stat().st_size == 2 * RECORD_BYTES


def test_what_is_not_said_is_recorded_as_nought(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 1)
    journal.add(Event.INTENT, 7)
    journal.close()

    assert read(tmp_path / "j")[0].item()[1:] == (7, 0, 0, Event.INTENT, 0, 0, 1)


def test_recording_tells_the_time_that_it_has_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 1)
    before = time.monotonic_ns()

    told = journal.add(Event.WORK, 1)

    assert before <= told <= time.monotonic_ns()
    journal.close()
    assert read(tmp_path / "j")["time"].tolist() == [told]


@given(st.integers(1, 40), st.data())
def test_as_many_are_found_as_were_written(capacity: int, data: st.DataObject) -> None:
    written = data.draw(st.integers(0, capacity))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        journal = Journal(path, capacity)
        for n in range(written):
            journal.add(Event.EFFECT, n)
        journal.close()

        assert recorded(path) == written == len(read(path))
