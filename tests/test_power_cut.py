"""Flushed before it was accepted, or not: judged from hand-made traces, and seen on real channels (Linux)."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sandbox.catalogue import catalogue, find
from sandbox.cli import main
from sandbox.faults.power_cut import FLUSHED, NOT_FLUSHED, NOTHING_STORED, power_cut, power_cut_row
from sandbox.faults.power_cut.calls import Event
from sandbox.faults.power_cut.judging import answer_of, fate
from sandbox.guarantees import Acceptor
from sandbox.harness.session import Session
from sandbox.idempotent import Idempotent
from sandbox.minimal import Minimal
from sandbox.site import Site

LOG, TABLE, FOLDER = (1, 10), (1, 11), (1, 2)
WRITE = Event("writes", "sender", LOG, "log", b"word")
FLUSH = Event("flushes", "sender", LOG, "log")
ACCEPTED = Event("mark", "sender", data=b"accepted")
NAMED = Event("names", "sender", LOG, "ready/log", folder=FOLDER)
FLUSH_FOLDER = Event("flushes", "sender", FOLDER, "ready")


def judged(*events: Event) -> str:
    found = fate(events, b"word", b"accepted")
    assert found is not None
    return answer_of([found])[0]


@pytest.mark.parametrize(
    ("what", "events", "answer"),
    [
        ("flushed after the write", [WRITE, FLUSH, ACCEPTED], FLUSHED),
        ("flushed before the write only", [FLUSH, WRITE, ACCEPTED], NOT_FLUSHED),
        ("written once more after the flush", [WRITE, FLUSH, WRITE, ACCEPTED], NOT_FLUSHED),
        ("flushed too late", [WRITE, ACCEPTED, FLUSH], NOT_FLUSHED),
        ("written too late", [ACCEPTED, WRITE, FLUSH], NOT_FLUSHED),
        ("written through", [WRITE._replace(forced=True), ACCEPTED], FLUSHED),
        ("all files flushed", [WRITE, Event("flushes", "sender"), ACCEPTED], FLUSHED),
        ("another file flushed", [WRITE, FLUSH._replace(file=TABLE), ACCEPTED], NOT_FLUSHED),
        ("something else written", [WRITE._replace(data=b""), ACCEPTED], NOTHING_STORED),
        ("sent only", [Event("sends", "sender", data=b"word"), ACCEPTED], NOTHING_STORED),
        ("its new name not flushed", [WRITE, FLUSH, NAMED, ACCEPTED], NOT_FLUSHED),
        ("its folder flushed before it had the name", [WRITE, FLUSH, FLUSH_FOLDER, NAMED, ACCEPTED], NOT_FLUSHED),
        ("its new name flushed", [WRITE, FLUSH, NAMED, FLUSH_FOLDER, ACCEPTED], FLUSHED),
        ("a name taken away again", [NAMED, WRITE, FLUSH, NAMED._replace(what="unnames"), ACCEPTED], FLUSHED),
        ("the log flushed, the table not", [WRITE, FLUSH, WRITE._replace(file=TABLE), ACCEPTED], FLUSHED),
    ],
)
def test_a_trace_is_judged_by_its_order(what: str, events: list[Event], answer: str) -> None:
    assert judged(*events) == answer, what


def test_one_operation_that_was_not_flushed_is_enough() -> None:
    flushed = fate([WRITE, FLUSH, ACCEPTED], b"word", b"accepted")
    late = fate([WRITE, ACCEPTED], b"word", b"accepted")
    assert flushed is not None
    assert late is not None

    assert answer_of([flushed, late]) == (NOT_FLUSHED, late)


def test_what_was_never_accepted_is_not_judged() -> None:
    assert fate([WRITE, FLUSH], b"word", b"accepted") is None


def test_elsewhere_than_on_linux_it_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    found = power_cut("spool", flush=True)

    assert not found.traced
    assert "only on Linux" in found.answer
    assert not found.lie


# --- on real channels -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        found = power_cut("spool", made)
        if not found.traced:
            if sys.platform == "linux" and os.environ.get("CI"):
                pytest.fail(found.answer)
            pytest.skip(found.answer)
        yield made


@pytest.mark.parametrize(
    ("name", "knobs", "answer"),
    [
        ("spool", {}, NOT_FLUSHED),
        ("spool", {"flush": True}, FLUSHED),
        ("compare_and_swap", {}, NOT_FLUSHED),
        ("compare_and_swap", {"flush": True}, FLUSHED),
        ("skip_locked", {}, FLUSHED),
        ("streams", {}, NOT_FLUSHED),
        ("streams", {"flush": True}, FLUSHED),
        ("socket", {}, NOTHING_STORED),
    ],
)
def test_what_is_flushed_is_what_is_declared(session: Session, name: str, knobs: dict[str, Any], answer: str) -> None:
    found = power_cut(name, session, **knobs)

    assert found.answer == answer, str(found)
    assert found.seen == 5
    assert not found.lie


def test_the_evidence_tells_what_was_flushed_in_its_order(session: Session) -> None:
    found = power_cut("spool", session, flush=True)

    doing = [line.split(": ")[1].split(" new/")[0].split(" tell.metering/ready")[0] for line in found.evidence]
    assert doing[:2] == ["writes it to", "flushes"]
    assert doing[-2:] == ["flushes", "is told that it was accepted"]


@dataclass(frozen=True)
class Drawer(Minimal):
    """A file a message. file, folder: whether it flushes them; it says that it does both."""

    file: bool = False
    folder: bool = False

    accepted_by: ClassVar[Acceptor] = Acceptor.DISK

    def put(self, place: Site, box: str, data: bytes) -> None:
        drawer = place.folder / box
        drawer.mkdir(exist_ok=True)
        with (drawer / secrets.token_hex(8)).open("wb") as file:
            file.write(data)
            file.flush()
            if self.file:
                os.fsync(file.fileno())
        if self.folder:
            descriptor = os.open(drawer, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def take(self, place: Site, box: str) -> tuple[Path, bytes] | None:
        return None

    def settle(self, place: Site, box: str, token: Path) -> None:
        token.unlink()


@pytest.mark.parametrize(("file", "folder"), [(False, False), (True, False), (False, True)])
def test_a_channel_that_says_it_flushes_and_does_not_is_found_out(session: Session, file: bool, folder: bool) -> None:
    found = power_cut(Drawer(file=file, folder=folder), session)

    assert found.answer == NOT_FLUSHED, str(found)
    assert "declared to be accepted by disk" in found.lie
    assert "BREAKS ITS PROMISE" in found.sentence


@dataclass(frozen=True)
class Jammed(Drawer):
    """Takes nothing."""

    def put(self, place: Site, box: str, data: bytes) -> None:
        raise RuntimeError("the drawer is jammed")


def test_a_channel_that_fails_is_not_traced_and_its_own_words_say_why(session: Session) -> None:
    found = power_cut(Jammed(), session)

    assert found.answer == "cannot be traced here: RuntimeError: the drawer is jammed"
    assert not found.lie


def test_a_channel_that_does_both_is_not(session: Session) -> None:
    found = power_cut(Drawer(file=True, folder=True), session)

    assert found.answer == FLUSHED, str(found)
    assert not found.lie


@dataclass(frozen=True)
class Modest(Drawer):
    """Flushes all, and does not say so."""

    accepted_by: ClassVar[Acceptor] = Acceptor.KERNEL


def test_a_channel_that_flushes_and_does_not_say_so_breaks_no_promise(session: Session) -> None:
    found = power_cut(Modest(file=True, folder=True), session)

    assert found.answer == FLUSHED, str(found)
    assert not found.lie
    assert found.sentence.endswith("flushed before it was accepted; declared: by kernel, which promises less.")


def test_the_command_shows_a_channel_with_and_without_its_flush(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["faults", "--power-cut", "--channels", "spool"])

    said = capsys.readouterr().out
    if "cannot be traced" not in said:
        assert status == 0
        assert f"spool, tell (by tracing, Linux): {NOT_FLUSHED}" in said
        assert f"spool(flush=True), tell (by tracing, Linux): {FLUSHED}" in said


def test_nothing_is_left_behind(session: Session) -> None:
    before = set(session.folder.iterdir())

    power_cut("streams", session)

    assert set(session.folder.iterdir()) == before


def test_a_server_of_yours_is_left_alone(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_REDIS_URL", session.server("redis").address)
    with Session() as yours:
        found = power_cut("streams", yours)

    assert found.answer.startswith("cannot be traced here: the server is yours")


def test_the_row_has_one_answer_a_channel_that_is_no_wrapping(session: Session) -> None:
    row = power_cut_row({"mine": find("spool"), "other": Idempotent(find("spool")), "rpc": find("socket")}, session)

    assert [(each.channel, each.answer) for each in row] == [("mine", NOT_FLUSHED), ("rpc", NOTHING_STORED)]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["tell", "ask", "share"])
def test_no_channel_of_the_catalogue_declares_what_is_not_seen(session: Session, verb: str) -> None:
    channels = [find(name) for name in catalogue()]
    channels += [find(each, flush=True) for each in channels if hasattr(each, "flush")]

    assert [str(found) for each in channels if (found := power_cut(each, session, verb=verb)).lie or found.modest] == []
