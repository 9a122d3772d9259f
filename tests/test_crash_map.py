"""Crash at every effect: the map finds the line where it hurts, and says the same each time."""

from __future__ import annotations

import argparse
import inspect
import linecache
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle
import pytest

from sandbox.catalogue import find, sound_channels
from sandbox.channel import Backlog, Channel
from sandbox.errors import BadArgument, ServerUnavailable
from sandbox.exchange.schema import Schema, Verb
from sandbox.faults.crash import CrashMap, Fate, crash_map
from sandbox.faults.crash.command import add
from sandbox.faults.crash.source import Own, own_source
from sandbox.faults.crash.watching import Watching, noted
from sandbox.file_share.box import Box
from sandbox.file_share.log import Log
from sandbox.file_share.spool import Spool
from sandbox.guarantees import Acceptor, Ask, Delivery, Guarantees, Share, Support, Tell
from sandbox.harness.journal import Journal
from sandbox.harness.participant import Link
from sandbox.harness.session import Session, end_default_session
from sandbox.idempotent import Idempotent
from sandbox.minimal import Minimal
from sandbox.site import Site

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # participants do not have this file on their path


@dataclass(frozen=True)
class Keeps(Minimal):
    """A file a message, which is there until it is settled: repeats, as it declares, and loses nothing."""

    delivery: ClassVar[Delivery] = Delivery.AT_LEAST_ONCE

    @property
    def guarantees(self) -> Guarantees:
        tell = Tell(Support.NATURAL, self.delivery, accepted_by=Acceptor.KERNEL, receiver_may_be_away=True)
        return Guarantees(tell, Ask(Support.ABSENT), Share(Support.ABSENT))

    def install(self, site: Site, schema: Schema) -> None:
        for name in ("new", "box", "taken"):
            (site.folder / name).mkdir()

    def put(self, place: Site, box: str, data: bytes) -> None:
        name = f"{time.monotonic_ns():020d}"
        draft = place.folder / "new" / name
        with draft.open("xb", buffering=0) as file:
            file.write(data)
        if box.startswith("tell"):
            draft.rename(place.folder / "box" / name)  # published

    def take(self, place: Site, box: str) -> tuple[Path, bytes] | None:
        if not box.startswith("tell"):
            return None
        for path in sorted((place.folder / "box").iterdir()):
            return path, path.read_bytes()
        return None

    def settle(self, place: Site, box: str, token: Path) -> None:
        token.unlink(missing_ok=True)  # settled

    def backlog(self, site: Site) -> Backlog:
        return Backlog(len(os.listdir(site.folder / "box")), 0)


@dataclass(frozen=True)
class Removes(Keeps):
    """Declares the same, and takes the file away before the work: what it has in hand dies with it."""

    def take(self, place: Site, box: str) -> tuple[Path, bytes] | None:
        found = super().take(place, box)
        if found:
            found[0].unlink()  # taken away
        return found


@dataclass(frozen=True)
class Locks(Keeps):
    """Publishes under a lock file, which outlives its holder."""

    def put(self, place: Site, box: str, data: bytes) -> None:
        lock = place.folder / "lock"
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))  # locked
        except FileExistsError:
            raise OSError("somebody has the lock") from None
        super().put(place, box, data)
        lock.unlink()  # unlocked


@dataclass(frozen=True)
class Fails(Keeps):
    """Its receivers fail whatever they find."""

    def take(self, place: Site, box: str) -> tuple[Path, bytes] | None:
        if super().take(place, box):
            raise KeyError("what is this?")
        return None


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


@pytest.fixture(scope="module")
def keeps(session: Session) -> CrashMap:
    return crash_map(Keeps(), session=session, progress=False)


@pytest.fixture(scope="module")
def removes(session: Session) -> CrashMap:
    return crash_map(Removes(), session=session, progress=False)


def fates(found: CrashMap) -> dict[str, str]:
    """What happens at each line that has an effect, by the comment that stands in it."""
    told = {line.text.rpartition("# ")[2]: ", ".join(line.fates) for line in found.lines if "  # " in line.text}
    return {comment: told[comment] for comment in sorted(told)}


def fates_of(found: CrashMap, effect: str, after: bool | None = None) -> set[Fate]:
    """What happens at the points of an effect, those before it or those after it."""
    points = [point for point in found.points if point.kill.spot.act == effect]
    return {fate for p in points if after in (None, p.kill.strike.after) for fate in p.verdict.fates}


# --- the map ---------------------------------------------------------------------------------------


def test_a_channel_that_keeps_its_declaration_may_repeat_and_is_sound(keeps: CrashMap) -> None:
    assert keeps.sound
    assert keeps.breaks_promise == []
    assert fates(keeps) == {"published": "safe", "settled": "repeats"}
    assert {str(point.verdict) for point in keeps.of("repeats")} == {
        "a tell is done again (as declared)",
        "tells are done again, 2 times in all (as declared)",  # its successor was killed there, too
    }


def test_the_line_that_takes_away_before_the_work_is_where_it_loses(removes: CrashMap) -> None:
    assert not removes.sound
    assert fates(removes) == {"published": "safe", "taken away": "loses"}  # nothing is left to settle
    assert all(point.kill.strike.after for point in removes.of(Fate.LOSES))
    assert removes.breaks_promise == removes.of(Fate.LOSES)


def test_a_lock_that_outlives_its_holder_gets_everybody_stuck(session: Session) -> None:
    found = crash_map(Locks(), session=session, progress=False, only="sender")
    assert not found.sound
    assert fates(found)["locked"] == "gets stuck"
    assert all("no new tell gets through" in str(point.verdict) for point in found.of(Fate.STUCK))
    assert not [point for point in found.of(Fate.STUCK) if "unlink.after" in point.kill.id]


def test_a_map_made_twice_has_the_same_points_and_the_same_verdicts(session: Session, removes: CrashMap) -> None:
    again = crash_map(Removes(), session=session, progress=False)
    assert again.to_frame().to_dict("records") == removes.to_frame().to_dict("records")


def test_each_effect_is_met_before_and_after_and_first_and_last_and_again_in_recovery(keeps: CrashMap) -> None:
    frame = keeps.to_frame()
    settled = frame[frame["source"].str.contains("# settled")]
    met = set(zip(settled["when"], settled["occurrence"], settled["in_recovery"], strict=True))
    assert met >= {(when, which, False) for when in ("before", "after") for which in ("first", "last")}
    assert ("before", "first", True) in met
    assert set(frame["who"]) == {"sender-0", "metering-0"}


def test_one_point_can_be_seen_again(session: Session, removes: CrashMap) -> None:
    point = removes.breaks_promise[0]
    assert point.kill.id in removes.command(point)

    found = crash_map(Removes(), session=session, progress=False, only=point.kill.id)

    assert [each.kill for each in found.points] == [point.kill]
    assert found.points[0].verdict == point.verdict
    assert "struck" in set(found.points[0].ending.history.to_frame()["event"])


def test_the_command_names_a_channel_of_the_catalogue_and_its_knobs(keeps: CrashMap) -> None:
    point = keeps.points[0]
    assert keeps.command(point) == f'crash_map(channel, only="{point.kill.id}")'
    found = replace(keeps, channel=Spool(flush=True), named="spool", verbs=(Verb.TELL,), settle="before")
    knobs = "-k flush=True --settle before --verbs tell"
    assert found.command(point) == f"python -m sandbox crash spool {knobs} --point {point.kill.id}"


def test_a_channel_written_in_a_notebook_cell_is_painted_in_its_cell(session: Session) -> None:
    # Given the source of a cell, as IPython keeps it
    file = "/tmp/ipykernel_12345/67890.py"
    base = "from test_crash_map import Keeps\n"
    source = base + (
        "class Mine(Keeps):\n"
        "    def take(self, place, box):\n"
        "        found = Keeps.take(self, place, box)\n"
        "        if found:\n"
        "            found[0].unlink()\n"
        "        return found\n"
    )
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    cell: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, file, "exec"), cell)

    found = crash_map(cell["Mine"](), session=session, progress=False, only="metering")

    painted = {(line.name, line.number): line for line in found.lines}
    line = painted["cell", 6]
    assert line.text.strip() == "found[0].unlink()"
    assert Fate.LOSES in line.fates
    assert found.command(found.points[0]).startswith("crash_map(channel, only=")


def test_the_map_shows_itself_as_text_and_as_html(removes: CrashMap, tmp_path: Path) -> None:
    text = str(removes)
    assert "LOSES" in text  # in capitals: it breaks a promise
    assert "found[0].unlink()  # taken away" in text
    page = removes.save(tmp_path / "map.html").read_text()
    assert removes._repr_html_() in page
    assert "LOSES" in page
    assert "<script" not in page


def test_settling_before_the_work_loses_what_settling_after_it_repeats(session: Session, keeps: CrashMap) -> None:
    before = crash_map(Keeps(), settle="before", session=session, progress=False, only="metering")
    assert keeps.of(Fate.REPEATS) and not keeps.of(Fate.LOSES)
    assert before.of(Fate.LOSES) and not before.of(Fate.REPEATS)


def test_a_kill_that_does_not_come_about_is_no_pass(keeps: CrashMap) -> None:
    found = replace(keeps, missed=(keeps.points[0].kill,))
    assert not found.breaks_promise and not found.sound
    assert f"Unknown: 1 kill did not come about, such as {keeps.points[0].kill.id}." in str(found)


def test_what_goes_wrong_without_a_kill_is_not_blamed_on_the_kills(keeps: CrashMap, removes: CrashMap) -> None:
    found = replace(keeps, unharmed=(*keeps.unharmed, removes.breaks_promise[0].verdict))
    assert {str(verdict) for verdict in keeps.unharmed} == {"safe"}
    assert not found.sound
    assert "Even when nobody is killed, in 1 of 7 runs: " in str(found)


def test_a_channel_that_fails_by_itself_is_told_so(session: Session) -> None:
    found = crash_map(Fails(), session=session, progress=False)
    assert not found.sound and not found.points
    assert "it does not work, so nobody was killed" in str(found)
    assert "metering-0 fails by itself: KeyError: 'what is this?'" in str(found)


def test_only_the_verbs_that_are_asked_for_are_said(session: Session) -> None:
    found = crash_map("rename", verbs=["tell"], session=session, progress=False, only="metering")
    messages = {*found.points[0].ending.history.to_frame()["message"]} - {""}
    assert messages == {"image_downloaded"}
    assert {point.kill.who for point in found.points} == {"metering-0"}


def test_a_channel_without_any_effect_has_an_empty_map(session: Session) -> None:
    found = crash_map("null", session=session, progress=False)
    assert found.points == ()
    assert "no outside effect" in str(found)
    assert found.to_frame().empty


def test_bad_arguments_say_what_would_do(session: Session) -> None:
    with pytest.raises(BadArgument, match="before or after"):
        crash_map(Keeps(), settle="never", session=session)
    with pytest.raises(BadArgument, match="some of tell, as a list"):
        crash_map(Keeps(), verbs=["ask"], session=session)
    with pytest.raises(BadArgument, match=r"One is sender\."):
        crash_map(Keeps(), session=session, only="nothing", progress=False)


def test_stopping_in_the_middle_leaves_nothing(session: Session) -> None:
    def stop(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash_map(Keeps(), session=session, progress=stop)
    assert not list(session.folder.glob("s*_*"))  # every trial has taken its folder away, after its processes
    assert session.alive


def test_the_command_prints_the_map_and_tells_by_its_status_whether_a_promise_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, first = inspect.getsourcelines(Log.locked)
    line = first + next(number for number, text in enumerate(source) if "O_EXCL" in text)
    point = f"metering.log:{line}.open.after.first"
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    page = tmp_path / "log.html"
    options = parser.parse_args(["crash", "log", "-k", "patience=0.1", "--point", point, "--page", str(page)])
    try:
        status = options.command(options)
    finally:
        end_default_session()
    printed = capsys.readouterr().out
    assert status == 1
    assert f"{point}: " in printed and "no new tell or ask gets through" in printed
    assert f"python -m sandbox crash log -k patience=0.1 --point {point}" in printed
    assert "GETS STUCK" in page.read_text()


def test_a_page_that_cannot_be_written_is_refused_before_the_map_is_made(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    options = parser.parse_args(["crash", "log", "--page", str(tmp_path / "nowhere" / "log.html")])
    with pytest.raises(BadArgument, match="--page: expected a file in a folder that exists"):
        options.command(options)


# --- which effects there are -----------------------------------------------------------------------


def _do(link: Link, folder: Path, function: Callable[[Path], None]) -> None:
    own = Own(frozenset(), codes={(function.__qualname__, function.__code__.co_firstlineno): "here"})
    watching = Watching(own, folder / "log")
    watching.start("me", Journal(folder / "journal", 100))
    function(folder)


def effects(session: Session, tmp_path: Path, function: Callable[[Path], None]) -> list[str]:
    """The effects that a function of this file makes in a process of its own."""
    member = session.participant("me")
    try:
        member.begin(_do, tmp_path, function)
        member.finish(10)
    finally:
        member.close()
    return [seen.spot.act for seen in noted(tmp_path / "log")]


def writes_a_file(folder: Path) -> None:
    with (folder / "a").open("w") as file:
        file.write("x")
    descriptor = os.open(folder / "b", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"x")
    os.fsync(descriptor)
    os.close(descriptor)
    (folder / "b").rename(folder / "c")


def looks(folder: Path) -> None:
    (folder / "a").read_text()
    os.listdir(folder)
    os.close(os.open(folder / "a", os.O_RDONLY))
    with closing(sqlite3.connect(folder / "db", isolation_level=None)) as db:
        db.execute("SELECT 1").fetchall()
    with suppress(FileNotFoundError):
        (folder / "nowhere").rename(folder / "elsewhere")


def changes_rows(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE t (a)")
        db.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
        db.execute("SELECT * FROM t").fetchall()
        db.execute("COMMIT")
        db.execute("UPDATE t SET a = 3 WHERE a = 4")


def test_what_is_written_is_an_effect_and_so_is_the_end_of_a_with(session: Session, tmp_path: Path) -> None:
    found = effects(session, tmp_path, writes_a_file)
    assert found == ["open", "file.write", "file.end of with", "os.open", "os.write", "os.fsync", "os.rename"]


def test_looking_is_no_effect_and_neither_is_what_fails(session: Session, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert effects(session, tmp_path, looks) == []


def test_sql_counts_when_it_changes_rows_or_a_transaction(session: Session, tmp_path: Path) -> None:
    found = effects(session, tmp_path, changes_rows)
    assert found == ["sqlite3.execute", "sqlite3.executemany", "sqlite3.execute"]  # begin, insert, commit


def test_the_source_of_a_channel_is_the_folder_of_its_style_and_of_what_it_wraps() -> None:
    own = own_source(Idempotent(Spool()))
    assert own.file_of(Box.claim.__code__)
    assert own.file_of(Idempotent.receiver.__code__)
    assert own.file_of(Minimal.open.__code__) is None
    assert own.file_of(Journal.add.__code__) is None


# --- the channels of the catalogue -----------------------------------------------------------------


def whole_map(channel: Channel, session: Session, only: str | None = None) -> CrashMap:
    try:
        return crash_map(channel, session=session, progress=False, only=only)
    except ServerUnavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


@pytest.mark.slow
@pytest.mark.parametrize("channel", sound_channels(), ids=lambda channel: channel.title())
def test_nothing_that_a_sound_channel_has_acknowledged_is_lost(channel: Channel, session: Session) -> None:
    found = whole_map(channel, session)
    assert len(found.points) > 40
    assert not found.of(Fate.LOSES), found
    assert found.sound, found


@pytest.mark.slow
def test_an_idempotent_receiver_repeats_only_in_the_window_between_work_and_note(session: Session) -> None:
    plain, wrapped = (whole_map(channel, session, "metering") for channel in (Spool(), Idempotent(Spool())))
    assert wrapped.sound
    assert wrapped.of(Fate.REPEATS)  # killed between the work and the note
    assert [fates_of(found, "os.unlink") for found in (plain, wrapped)] == [{Fate.REPEATS, Fate.SAFE}, {Fate.SAFE}]


@pytest.mark.slow
def test_log_gets_stuck_whenever_its_lock_has_been_made_and_not_yet_removed(session: Session) -> None:
    found = whole_map(find("log"), session, "metering")
    assert fates_of(found, "os.open", after=True) == {Fate.STUCK}
    assert fates_of(found, "os.open", after=False) == {Fate.SAFE}
    assert Fate.STUCK in fates_of(found, "os.unlink", after=False)
    assert Fate.STUCK not in fates_of(found, "os.unlink", after=True)


@pytest.mark.slow
def test_pub_sub_loses_what_it_has_received_and_not_done_as_it_declares(session: Session) -> None:
    found = whole_map(find("pub_sub"), session, "metering")
    assert [line.effects for line in found.lines if Fate.LOSES in line.fates] == [("socket.recv",)]
    assert found.sound  # at most once: it says so


@pytest.mark.slow
def test_read_then_write_is_no_worse_than_its_sound_sibling_when_nobody_competes(session: Session) -> None:
    found = whole_map(find("read_then_write"), session, "metering")
    assert found.sound
    assert found.of(Fate.REPEATS) and not found.of(Fate.LOSES)
