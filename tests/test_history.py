"""A history is what the journals say, in order of time, and the same again when it was saved."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from build import MS, Book

from sandbox.channel import ASK_GROUP, OWNER_GROUP
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.history import EVENT_DTYPE, FORMAT, History, Role, gather
from sandbox.harness.journal import RECORD_BYTES, Event, Journal


def write(path: Path, *times: int) -> None:
    """A journal with records of these times; the n-th tells n in all its fields."""
    journal = Journal(path, len(times) + 3)
    for n, _ in enumerate(times, start=1):
        journal.add(Event.EFFECT, n, n * 10, n * 100, n + 1, n + 2)
    journal.close()
    with path.open("r+b") as file:
        for n, time in enumerate(times):
            file.seek(n * RECORD_BYTES)
            file.write(time.to_bytes(8, "little"))


# --- gathering --------------------------------------------------------------------------------------


def test_journals_become_one_history_in_order_of_time(tmp_path: Path) -> None:
    write(tmp_path / "a", 1010, 1040)
    write(tmp_path / "b", 1020, 1030, 1050)

    events = gather([tmp_path / "a", tmp_path / "b"], start=1000)

    assert events["time"].tolist() == [10, 20, 30, 40, 50]
    assert events["process"].tolist() == [0, 1, 1, 0, 1]
    assert events["operation"].tolist() == [1, 1, 2, 2, 3]
    assert events.dtype == np.dtype(EVENT_DTYPE)


def test_every_field_of_a_record_is_gathered(tmp_path: Path) -> None:
    write(tmp_path / "a", 7, 8)

    assert gather([tmp_path / "a"], start=0)[1].item() == (8, 2, 20, 200, Event.EFFECT, 3, 4, 1, 0)


def test_events_of_the_same_moment_stay_in_the_order_of_processes(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / name, *[5] * 100, *[6] * 100)

    events = gather([tmp_path / name for name in "abc"], start=0)

    assert events["process"].tolist() == ([0] * 100 + [1] * 100 + [2] * 100) * 2
    assert events["operation"].tolist() == [*range(1, 101)] * 3 + [*range(101, 201)] * 3


def test_a_process_that_was_killed_before_its_journal_keeps_its_number(tmp_path: Path) -> None:
    write(tmp_path / "b", 5)

    assert gather([tmp_path / "a", tmp_path / "b"], start=0)["process"].tolist() == [1]


def test_no_journals_are_no_events() -> None:
    assert gather([], start=0).dtype == np.dtype(EVENT_DTYPE)
    assert len(gather([], start=0)) == 0


# --- asking -----------------------------------------------------------------------------------------


def test_the_events_of_some_kinds_in_order_of_time() -> None:
    history = Book("T").well().worked(1, at=0.05).history()

    assert history.of(Event.EFFECT, Event.INTENT)["event"].tolist() == [Event.INTENT, Event.EFFECT, Event.EFFECT]
    assert len(history.of(Event.UNKNOWN)) == 0


def test_which_processes_have_a_role_and_which_are_in_a_group() -> None:
    history = Book("TT", groups=("metering", "audit"), senders=2, receivers=2).history()

    assert history.indices(Role.SENDER) == [0, 1]
    assert history.indices(Role.RECEIVER) == [2, 3, 4, 5]
    assert history.indices(Role.RECEIVER, "audit") == [4, 5]


def test_which_groups_a_verb_is_delivered_to() -> None:
    with_owner, without = Book("TAW", groups=("metering", "audit")).history(), Book("W", owner=False).history()

    assert with_owner.groups_of(Verb.TELL) == ("metering", "audit")
    assert with_owner.groups_of(Verb.ASK) == (ASK_GROUP,)
    assert with_owner.groups_of(Verb.SHARE) == (OWNER_GROUP,)
    assert without.groups_of(Verb.SHARE) == ()


# --- reading by hand --------------------------------------------------------------------------------


def test_a_table_has_one_row_for_every_event() -> None:
    book = Book("TA").sent(1).worked(1, at=1.23456, attempt=2).sent(2)
    book.event(0, Event.REFUSED, 0, 5.0)

    frame = book.history().to_frame()

    assert frame.columns.tolist() == ["ms", "process", "event", "operation", "message", "value", "detail", "attempt"]
    assert frame.values.tolist() == [
        [0.0, "sender-0", "intent", 1, "image_downloaded", 1, 0, 0],
        [1.0, "sender-0", "intent", 2, "create_volume", 1, 0, 0],
        [1.235, "metering-0", "work", 1, "image_downloaded", 0, 0, 2],
        [1.535, "metering-0", "effect", 1, "image_downloaded", 1001, 1, 2],
        [5.0, "sender-0", "refused", 0, "", 0, 0, 0],
    ]


def test_an_event_of_an_operation_that_is_in_no_plan_is_in_the_table_too() -> None:
    history = Book("T").worked(99).worked(-5, at=9000).history()

    assert history.to_frame()["operation"].tolist() == [99, 99, -5, -5]
    assert history.to_frame()["ms"].tolist() == [0.2, 0.5, 9000.0, 9000.3]


def test_the_story_of_one_operation() -> None:
    story = Book("TTT").well().history().of_operation(2)

    assert story["event"].tolist() == ["intent", "accepted", "work", "effect"]
    assert story["operation"].tolist() == [2] * 4
    assert "index" not in story.columns
    assert story.index.tolist() == [0, 1, 2, 3]


# --- saving and loading -----------------------------------------------------------------------------


def whole() -> History:
    """A history that has something in every field."""
    history = Book("TAW", groups=("metering", "audit"), senders=2).well().history("a note", clock_gap=0.25)
    died = dataclasses.replace(history.processes[0], died=-9)
    return dataclasses.replace(history, label="Valkey 9", processes=(died, *history.processes[1:]))


def test_a_saved_history_is_the_same_again(tmp_path: Path) -> None:
    history = whole()

    history.save(tmp_path / "history")
    again = History.load(tmp_path / "history")

    assert again.plan.rows.tobytes() == history.plan.rows.tobytes()
    assert again.events.tobytes() == history.events.tobytes() and again.events.dtype == history.events.dtype
    assert again.plan.senders == history.plan.senders
    for name in ("workload", "channel", "style", "guarantees", "processes", "label", "notes", "facts"):
        assert getattr(again, name) == getattr(history, name), name
    assert [path.name for path in tmp_path.iterdir()] == ["history"]


def spoil(path: Path, **changes: object) -> None:
    """Write a saved history with other meta data, plan or events."""
    whole().save(path)
    with path.open("rb") as file, np.load(file) as stored:
        parts = {name: stored[name] for name in ("plan", "events", "meta")}
    meta = {**json.loads(str(parts["meta"])), **{k: v for k, v in changes.items() if k not in parts}}
    parts |= {name: value for name, value in changes.items() if name in parts}
    with path.open("wb") as file:
        np.savez(file, plan=parts["plan"], events=parts["events"], meta=np.array(json.dumps(meta)))


def test_a_file_is_compressed(tmp_path: Path) -> None:
    history = Book("T" * 500).well().history()
    history.save(tmp_path / "h")

    assert (tmp_path / "h").stat().st_size < history.events.nbytes / 3


@pytest.mark.parametrize("part", ["plan", "events"])
def test_records_with_other_columns_are_refused(tmp_path: Path, part: str) -> None:
    spoil(tmp_path / "h", **{part: np.zeros(3)})

    with pytest.raises(
        BadArgument, match=r"expected one that History.save wrote, got .*: its records have other columns"
    ):
        History.load(tmp_path / "h")


def test_another_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    spoil(tmp_path / "h", format=FORMAT + 1)

    with pytest.raises(BadArgument) as caught:
        History.load(tmp_path / "h")

    assert str(caught.value) == "history file: expected format 1, got 2. Run it again with this version."


@pytest.mark.parametrize("content", [b"", b"PK", b"P", b"dear diary", b"\x80\x04K\x01."])
def test_a_file_that_is_no_archive_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "h").write_bytes(content)

    with pytest.raises(BadArgument, match=r"history file: expected one that History\.save wrote, got .*/h: "):
        History.load(tmp_path / "h")


def test_a_file_of_another_kind_is_told_apart_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "h").write_bytes(b"\x93NUMPY")

    with pytest.raises(BadArgument, match=r": it is no \.npz file'\.$"):
        History.load(tmp_path / "h")


def test_times_are_written_as_they_were_measured(tmp_path: Path) -> None:
    history = Book("T").sent(1, at=3).history()
    history.save(tmp_path / "h")

    assert History.load(tmp_path / "h").events["time"].tolist() == [3 * MS]
