"""What only the file channel can do wrong: files from elsewhere, lapsed claims, lost wake-ups, half a message."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.synchronize
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Backlog, Delivery, Outcome, Receiver, Sender, Status
from sandbox.errors import BadArgument, NoSuchVolume, OverQuota, TooLarge
from sandbox.exchange.schema import (
    EXCHANGE,
    CreateVolume,
    GetState,
    ImageDownloaded,
    Operation,
    SetState,
    VolumeCreated,
    VolumeState,
)
from sandbox.file_share import wakeup
from sandbox.file_share.floor import Floor
from sandbox.file_share.folders import MAX_BYTES
from sandbox.file_share.inbox import Inbox
from sandbox.file_share.spool import Spool
from sandbox.floor import Load
from sandbox.guarantees import Acceptor
from sandbox.site import Site

GROUP = "metering"


class Ends:
    """A spool, installed, and its ends, all closed in the end."""

    def __init__(self, folder: Path, groups: tuple[str, ...] = (GROUP,)) -> None:
        self.site = Site(folder, "test", groups)
        self.spool = Spool()
        self._open: list[Sender | Receiver] = []
        self.spool.install(self.site, EXCHANGE)

    def sender(self, name: str = "s1", **knobs: object) -> Sender:
        self._open.append(end := Spool(**knobs).sender(self.site, EXCHANGE, name))  # type: ignore[arg-type]
        return end

    def receiver(self, group: str = GROUP, name: str = "r1", **knobs: object) -> Receiver:
        self._open.append(end := Spool(**knobs).receiver(self.site, EXCHANGE, group, name))  # type: ignore[arg-type]
        return end

    def folder(self, box: str = f"tell.{GROUP}", part: str = "ready") -> Path:
        return self.site.folder / "spool" / box / part

    def dead(self, box: str = f"tell.{GROUP}") -> list[dict[str, str]]:
        """The reasons of all that was set aside."""
        return [json.loads(path.read_bytes()) for path in sorted(self.folder(box, "dead").glob("*.reason"))]

    def backlog(self) -> Backlog:
        return self.spool.backlog(self.site)

    def close(self) -> None:
        for end in self._open:
            end.close()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    made = Ends(tmp_path)
    yield made
    made.close()


def tell(number: int, metadata: str = "") -> Operation:
    return Operation(number, "image_downloaded", ImageDownloaded(number, 1, 100, metadata))


def ask(number: int) -> Operation:
    return Operation(number, "create_volume", CreateVolume(number, 1, 10))


def ids(taken: list[Delivery]) -> list[int]:
    return [delivery.operation.id for delivery in taken]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.005)


def take_all(receiver: Receiver, count: int) -> list[Delivery]:
    taken: list[Delivery] = []

    def enough() -> bool:
        taken.extend(receiver.take(0.1, 100))
        return len(taken) >= count

    wait_for(enough)
    return taken


def final(sender: Sender) -> Outcome:
    """The next outcome that is not merely an acceptance."""
    known: list[Outcome] = []

    def any_final() -> bool:
        known.extend(outcome for outcome in sender.outcomes(0.1) if outcome.status is not Status.ACCEPTED)
        return bool(known)

    wait_for(any_final)
    return known[0]


# ---- what is dropped into the spool ----------------------------------------------------------------------------------


def drop_named(folder: Path, data: bytes, number: int = 1) -> None:
    """A file with the name of a message, put in place as a sender would."""
    (folder.parent / "foreign").write_bytes(data)
    (folder.parent / "foreign").rename(folder / f"{number:020d}.stranger.1")


def envelope(**fields: object) -> bytes:
    body = {"image": 1, "project": 1, "bytes_sent": 1}
    return json.dumps({"id": 1, "message": "image_downloaded", "body": body} | fields).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an envelope"),
        (b"\xff\xfe\x00", "not an envelope"),
        (envelope()[:-10], "not an envelope"),
        (b'{"id":1,"message":"image_downloaded","body":' + b"[" * 100_000, "not an envelope"),
        (envelope(id=-1), "at `$.id`"),
        (envelope(id=10**30), "at `$.id`"),
        (envelope(message="drop_tables"), "no message 'drop_tables'"),
        (envelope(message="create_volume"), "does not belong here"),
        (envelope(body={"image": "one"}), "not a image_downloaded"),
        (envelope(surprise=1), "surprise"),
        (b"x" * (MAX_BYTES + 5000), "bytes in the file, at most"),
        (envelope(body="x" * (MAX_BYTES - 1)), "a body of"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value.replace(" ", "-"),
)
def test_a_file_that_is_no_message_is_set_aside_with_a_reason_and_the_next_is_taken(
    ends: Ends, data: bytes, reason: str
) -> None:
    receiver = ends.receiver()
    drop_named(ends.folder(), data)
    ends.sender().begin(tell(7))
    assert ids(take_all(receiver, 1)) == [7]
    assert len(receiver.refused) == 1 and reason in receiver.refused[0]
    assert reason in ends.dead()[0]["reason"]
    assert ends.backlog().set_aside == 1


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_no_bytes_at_all_stop_a_receiver(tmp_path: Path, data: bytes) -> None:
    ends = Ends(tmp_path)
    receiver = ends.receiver()
    drop_named(ends.folder(), data)
    ends.sender().begin(tell(7))
    taken = take_all(receiver, 1)
    assert ids(taken) == [7]
    assert len(receiver.refused) == 1
    taken[0].settle()
    ends.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=200).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_no_file_name_at_all_stops_a_receiver(tmp_path: Path, name: bytes) -> None:
    ends = Ends(tmp_path)
    receiver = ends.receiver()
    foreign = os.fsencode(ends.folder()) + b"/" + name
    if name not in (b".", b".."):
        Path(os.fsdecode(foreign)).write_bytes(envelope())
    ends.sender().begin(tell(7))
    taken = take_all(receiver, 1)
    assert ids(taken) == [7]
    assert len(receiver.refused) == (name not in (b".", b".."))
    taken[0].settle()
    ends.close()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("{}")


def make_link(path: Path) -> None:
    secret = path.parent.parent / "secret"
    secret.write_bytes(envelope(id=666))
    path.symlink_to(secret)


def make_dangling_link(path: Path) -> None:
    path.symlink_to("/nowhere")


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is limited to some 100 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
    os.chdir(here)


@pytest.mark.parametrize("make", [make_fifo, make_folder, make_link, make_dangling_link, make_socket])
@pytest.mark.parametrize("name", [f"{1:020d}.stranger.1", "foreign"])
def test_what_is_not_a_plain_file_is_neither_followed_nor_waited_for(
    ends: Ends, make: Callable[[Path], None], name: str
) -> None:
    make(ends.folder() / name)
    receiver = ends.receiver()
    ends.sender().begin(tell(7))
    assert ids(take_all(receiver, 1)) == [7]
    assert len(receiver.refused) == 1
    assert len(ends.dead()) == 1


def test_a_file_that_cannot_be_moved_away_is_complained_of_once(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = ends.receiver()
    (ends.folder() / "foreign").write_text("")
    rename = os.rename

    def refusing(source: str, target: str) -> None:
        if source.endswith("foreign"):
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    for _ in range(3):
        (ends.folder() / "again").touch()
        (ends.folder() / "again").replace(ends.folder() / "foreign")  # announced anew each time
        assert receiver.take(0) == []
    assert [reason for reason in receiver.refused if "cannot be moved away" in reason] == receiver.refused[:1]


@pytest.mark.parametrize("asker", ["", "nobody", "../../ask/dead", "/tmp", "."])
def test_a_return_address_from_a_file_never_becomes_a_path(ends: Ends, asker: str) -> None:
    ends.sender().begin(ask(1))
    [mine] = take_all(receiver := ends.receiver(ASK_GROUP), 1)
    mine.settle()
    body = {"volume": 1, "project": 1, "size_gb": 1}
    drop_named(ends.folder("ask"), envelope(message="create_volume", body=body, sender=asker))
    wait_for(lambda: receiver.take(0.05) == [] and len(receiver.refused) == 1)
    assert "nobody at the return address" in receiver.refused[0]


def test_garbage_among_the_answers_is_set_aside_and_the_answer_still_arrives(ends: Ends) -> None:
    sender, receiver = ends.sender(), ends.receiver(ASK_GROUP)
    sender.begin(ask(1))
    answers = ends.site.folder / "spool" / "answers" / "s1"
    (answers / "garbage").write_bytes(b"\xff")
    (answers / "folder").mkdir()
    [delivery] = take_all(receiver, 1)
    delivery.reply(VolumeCreated(1, "host1"))
    assert final(sender) == Outcome(1, Status.ANSWERED, VolumeCreated(1, "host1"))
    assert {"garbage", "folder"} == {dead["was"] for dead in ends.dead("ask")}


def test_an_answer_that_cannot_be_read_leaves_the_ask_unknown(ends: Ends) -> None:
    sender = ends.sender()
    sender.begin(ask(1))
    answer = envelope(message="create_volume", body={"volume": 1, "node": "host1"})
    (ends.site.folder / "spool" / "renamed").write_bytes(answer)
    (ends.site.folder / "spool" / "renamed").rename(ends.site.folder / "spool" / "answers" / "s1" / "renamed")
    outcome = final(sender)
    assert outcome.status is Status.UNKNOWN
    assert "node" in outcome.reason


# ---- claims ----------------------------------------------------------------------------------------------------------


def _take_and_hang(folder: Path, taken: multiprocessing.synchronize.Event) -> None:
    receiver = Spool(lease=0.2).receiver(Site(folder, "test"), EXCHANGE, GROUP, "doomed")
    assert receiver.take(10)
    taken.set()
    signal.pause()


def test_what_a_killed_receiver_had_claimed_comes_to_another_as_second_attempt(ends: Ends) -> None:
    # Given a receiver in a process of its own, killed between the claim and its settlement
    context = multiprocessing.get_context("spawn")
    taken = context.Event()
    doomed = context.Process(target=_take_and_hang, args=(ends.site.folder, taken))
    ends.sender().begin(tell(1))
    doomed.start()
    assert taken.wait(20)
    assert doomed.pid
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.join()
    doomed.close()
    assert ends.backlog().claimed == 1
    # When another receiver of the group comes
    [delivery] = take_all(ends.receiver(name="heir"), 1)
    # Then it gets the operation, and knows that it is not the first
    assert (delivery.operation.id, delivery.attempt) == (1, 2)
    delivery.settle()
    assert ends.backlog() == Backlog(0, 0)


def test_acts_on_a_claim_that_another_has_taken_over_do_nothing(ends: Ends) -> None:
    slow = ends.receiver(name="slow", lease=0.05)
    acts: tuple[Callable[[Delivery], None], ...] = (
        lambda late: late.settle(),
        lambda late: late.release(),
        lambda late: late.set_aside("late"),
    )
    for number, act in enumerate(acts):
        heir = ends.receiver(name=f"heir{number}", lease=30)
        ends.sender().begin(tell(1))
        [late] = take_all(slow, 1)
        [current] = take_all(heir, 1)
        assert current.attempt == 2
        act(late)
        assert (ends.backlog().ready, ends.backlog().claimed) == (0, 1)
        current.settle()
    assert ends.backlog() == Backlog(0, 0)


def test_a_claim_has_its_lease_seen_from_outside(ends: Ends) -> None:
    ends.sender().begin(tell(1))
    take_all(ends.receiver(lease=30), 1)
    backlog = ends.backlog()
    assert (backlog.ready, backlog.claimed, backlog.set_aside) == (0, 1, 0)
    assert 0 < backlog.lease <= 30


def test_competing_receivers_never_share_a_message(ends: Ends) -> None:
    receivers = [ends.receiver(name=f"r{number}", lease=60) for number in range(3)]
    taken: list[list[int]] = [[] for _ in receivers]
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            for delivery in receivers[number].take(0.02):
                taken[number].append(delivery.operation.id)
                delivery.settle()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    sender = ends.sender()
    for number in range(300):
        sender.begin(tell(number))
    wait_for(lambda: sum(map(len, taken)) >= 300)
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain(*taken)) == list(range(300))


def test_a_released_message_comes_back_at_once_as_second_attempt(ends: Ends) -> None:
    receiver = ends.receiver()
    ends.sender().begin(tell(1))
    take_all(receiver, 1)[0].release()
    [again] = receiver.take(0)
    assert again.attempt == 2


def test_a_delayed_message_does_not_come_before_its_time_not_even_to_another(ends: Ends) -> None:
    receiver, other = ends.receiver(), ends.receiver(name="r2")
    ends.sender().begin(tell(1))
    [delivery] = take_all(receiver, 1)
    released = time.monotonic()
    delivery.release(0.3)
    assert other.take(0) == []
    assert (ends.backlog().ready, ends.backlog().claimed) == (1, 0)
    [again] = take_all(receiver, 1)
    assert time.monotonic() - released >= 0.3
    assert again.attempt == 2


def test_a_delay_below_zero_is_a_bad_argument(ends: Ends) -> None:
    ends.sender().begin(tell(1))
    [delivery] = take_all(ends.receiver(), 1)
    with pytest.raises(BadArgument, match="0 or more"):
        delivery.release(-1)


def test_a_message_that_is_set_aside_keeps_its_content_and_the_reason(ends: Ends) -> None:
    ends.sender().begin(tell(1))
    [delivery] = take_all(ends.receiver(), 1)
    delivery.set_aside("poison")
    assert [dead["reason"] for dead in ends.dead()] == ["poison"]
    [file] = [path for path in ends.folder(part="dead").iterdir() if path.suffix != ".reason"]
    assert json.loads(file.read_bytes())["id"] == 1
    assert ends.backlog().set_aside == 1


# ---- publishing ------------------------------------------------------------------------------------------------------


def test_a_message_is_never_visible_before_it_is_whole(ends: Ends) -> None:
    sender, folder = ends.sender(), ends.folder()
    done = threading.Event()

    def send() -> None:
        for number in range(200):
            sender.begin(tell(number, "x" * 20_000))
        done.set()

    writer = threading.Thread(target=send)
    writer.start()
    seen: set[Path] = set()
    while not done.is_set() or len(seen) < 200:
        for path in set(folder.iterdir()) - seen:
            json.loads(path.read_bytes())
            seen.add(path)
    writer.join()


def test_every_group_gets_the_same_file_under_its_own_name(tmp_path: Path) -> None:
    ends = Ends(tmp_path, (GROUP, "audit", "backup"))
    ends.sender().begin(tell(1))
    [files] = [[next(ends.folder(f"tell.{group}").iterdir()) for group in ends.site.groups]]
    assert len({file.stat().st_ino for file in files}) == 1
    assert list((tmp_path / "spool" / "new").iterdir()) == []
    # settled by one, it is still there for the others
    take_all(ends.receiver(), 1)[0].settle()
    assert ids(take_all(ends.receiver("audit", "r2"), 1)) == [1]
    ends.close()


def test_a_send_that_reaches_no_group_failed_and_one_that_reaches_some_is_unknown(tmp_path: Path) -> None:
    ends = Ends(tmp_path, (GROUP, "audit"))
    sender = ends.sender()
    ends.folder("tell.audit").rmdir()
    sender.begin(tell(1))
    ends.folder().rename(tmp_path / "elsewhere")
    sender.begin(tell(2))
    assert [outcome.status for outcome in sender.outcomes(0)] == [Status.UNKNOWN, Status.FAILED]
    ends.close()


def test_a_full_disk_is_a_definite_failure_and_leaves_nothing(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = ends.sender()
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
    sender.begin(tell(1))
    monkeypatch.undo()
    [outcome] = sender.outcomes(0)
    assert outcome.status is Status.FAILED
    assert [path for path in ends.site.folder.rglob("*") if path.is_file()] == []


def test_with_flush_file_and_folder_are_flushed_before_the_send_is_acknowledged(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def noting(fd: int) -> None:
        flushed.append("folder" if Path(f"/dev/fd/{fd}").is_dir() else "file")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noting)
    ends.sender("plain").begin(tell(1))
    assert flushed == []
    for number, operation in enumerate((tell(2), ask(3), Operation(4, "set_state", SetState(1, "error", 1)))):
        ends.sender(f"flushing{number}", flush=True).begin(operation)
        assert flushed == ["file", "folder"]
        flushed.clear()
    assert Spool(flush=True).guarantees.tell.accepted_by is Acceptor.DISK
    assert Spool().guarantees.tell.accepted_by is Acceptor.KERNEL


def test_a_body_over_the_limit_is_refused_before_it_is_written(ends: Ends) -> None:
    sender = ends.sender()
    with pytest.raises(TooLarge, match=str(MAX_BYTES)):
        sender.begin(tell(1, "x" * MAX_BYTES))
    assert sender.outcomes(0) == []
    assert ends.backlog() == Backlog(0, 0)


# ---- waiting and order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wake", [True, False])
def test_a_waiting_receiver_gets_what_comes_in_order(ends: Ends, wake: bool) -> None:
    receiver, sender = ends.receiver(wake=wake), ends.sender(wake=wake)
    sending = threading.Thread(target=lambda: [sender.begin(tell(number)) for number in range(400)])
    sending.start()
    taken = take_all(receiver, 400)
    sending.join()
    assert ids(taken) == list(range(400))


@pytest.mark.parametrize("wake", [True, False])
def test_ask_and_answer_both_wake_and_poll(ends: Ends, wake: bool) -> None:
    sender, receiver = ends.sender(wake=wake), ends.receiver(ASK_GROUP, wake=wake)
    for number in range(20):
        sender.begin(ask(number))
        [delivery] = take_all(receiver, 1)
        delivery.reply(OverQuota("no") if number % 2 else VolumeCreated(number, "host1"))
        delivery.settle()
        outcome = final(sender)
        assert (outcome.operation, outcome.status) == (number, Status.ANSWERED)
        assert isinstance(outcome.answer, OverQuota if number % 2 else VolumeCreated)


def test_without_wake_nothing_is_watched(ends: Ends) -> None:
    assert isinstance(wakeup.watch(str(ends.folder()), wake=False, interval=0.001), wakeup.Polling)


def test_when_the_system_has_no_watcher_left_it_is_polled(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(folder: str) -> None:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(wakeup, "Inotify" if hasattr(wakeup, "Inotify") else "Kqueue", none_left)
    receiver = ends.receiver()
    ends.sender().begin(tell(1))
    assert ids(take_all(receiver, 1)) == [1]


def test_what_lay_there_before_the_receiver_came_is_taken_in_order(ends: Ends) -> None:
    sender = ends.sender()
    for number in range(50):
        sender.begin(tell(number))
    assert ids(ends.receiver().take(0, 100)) == list(range(50))


@pytest.mark.parametrize("publish", [os.rename, os.link])
def test_a_file_that_is_renamed_or_linked_into_the_folder_is_announced_at_once(
    tmp_path: Path, publish: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "watched").mkdir()
    (tmp_path / "file").touch()
    watching = wakeup.watch(str(tmp_path / "watched"), wake=True, interval=0.001)
    publish(tmp_path / "file", tmp_path / "watched" / "name")
    assert watching.wait(10) in (["name"], None)  # None: the system says that there is something, not what
    assert watching.wait(0) == []
    watching.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify announces names, and can lose them")
def test_announcements_that_the_system_lost_ask_for_a_listing(tmp_path: Path) -> None:
    watching = wakeup.watch(str(tmp_path), wake=True, interval=0.001)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].touch()
    for number in range(limit + 10):
        os.rename(paths[number % 2], paths[1 - number % 2])  # noqa: PTH104 - 16,000 of them
    announced = iter(lambda: watching.wait(0), [])
    assert None in list(announced)
    watching.close()


class Scripted(wakeup.Wakeup):
    """Announces what it is told to; None stands for lost announcements."""

    def __init__(self, *announcements: list[str] | None) -> None:
        self._announcements = list(announcements)

    def wait(self, timeout: float) -> list[str] | None:
        return self._announcements.pop(0) if self._announcements else []


def test_when_announcements_were_lost_the_folder_is_listed(tmp_path: Path) -> None:
    inbox = Inbox(str(tmp_path), Scripted([], None))
    inbox.fill(0)
    (tmp_path / f"{1:020d}.s.1").touch()
    inbox.fill(0)
    assert list(inbox.names) == [f"{1:020d}.s.1"]


def test_a_file_younger_than_the_listing_waits_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two files put in place during a listing that, as POSIX allows, shows the second and misses the first
    inbox = Inbox(str(tmp_path), Scripted([], []))
    meanwhile: list[str] = []

    def listing(folder: str) -> list[str]:
        if meanwhile:
            return meanwhile
        meanwhile.extend(f"{time.monotonic_ns() + later:020d}.s.1" for later in (0, 1))
        return meanwhile[1:]

    monkeypatch.setattr(os, "listdir", listing)
    # When it is listed once, and again
    inbox.fill(0)
    assert list(inbox.names) == []
    inbox.fill(0)
    # Then both come, in order
    assert list(inbox.names) == meanwhile


def test_a_stamp_from_the_future_is_taken_at_the_second_look(ends: Ends) -> None:
    (ends.folder() / f"{10**19:020d}.stranger.1").write_bytes(envelope(id=5))
    assert ids(take_all(ends.receiver(wake=False), 1)) == [5]


# ---- asking ----------------------------------------------------------------------------------------------------------


def test_a_late_answer_is_counted_and_given_to_nobody(ends: Ends) -> None:
    sender, receiver = ends.sender(timeout=0.05), ends.receiver(ASK_GROUP)
    sender.begin(ask(1))
    [first] = take_all(receiver, 1)
    outcome = final(sender)
    assert (outcome.operation, outcome.status) == (1, Status.UNKNOWN)
    assert "0.05 s" in outcome.reason
    first.reply(VolumeCreated(1, "late"))
    wait_for(lambda: sender.outcomes(0) == [] and sender.late == 1)


def test_an_answer_given_twice_is_one_outcome(ends: Ends) -> None:
    sender, receiver = ends.sender(), ends.receiver(ASK_GROUP)
    for number in (1, 2):
        sender.begin(ask(number))
    first, second = take_all(receiver, 2)
    for _ in range(2):
        first.reply(VolumeCreated(1, "host1"))
    assert final(sender).operation == 1
    second.reply(VolumeCreated(2, "host1"))
    assert final(sender).operation == 2
    assert sender.late == 0


# ---- sharing ---------------------------------------------------------------------------------------------------------


def test_a_reader_sees_the_snapshot_or_that_there_is_none(ends: Ends) -> None:
    writer, reader = ends.sender("w"), ends.sender("r")
    reader.begin(Operation(1, "get_state", GetState(5)))
    writer.begin(Operation(2, "set_state", SetState(5, "creating", 1, "m")))
    reader.begin(Operation(3, "get_state", GetState(5)))
    missing, there = reader.outcomes(0)
    assert isinstance(missing.answer, NoSuchVolume)
    assert there == Outcome(3, Status.ANSWERED, VolumeState(5, "creating", 1, "m"))


def test_readers_never_see_half_a_snapshot_nor_go_back(ends: Ends) -> None:
    writer, reader = ends.sender("w"), ends.sender("r")
    writer.begin(Operation(0, "set_state", SetState(5, "available", 0)))
    writing = threading.Thread(
        target=lambda: [
            writer.begin(Operation(v, "set_state", SetState(5, "available", v, "x" * 5000))) for v in range(1, 300)
        ]
    )
    writing.start()
    versions = [0]
    while versions[-1] < 299:
        reader.begin(Operation(1, "get_state", GetState(5)))
        [outcome] = reader.outcomes(0)
        assert isinstance(outcome.answer, VolumeState), outcome.reason
        versions.append(outcome.answer.version)
    writing.join()
    assert versions == sorted(versions)


@pytest.mark.parametrize("make", [make_fifo, make_folder, make_link])
def test_a_snapshot_that_is_not_a_plain_file_fails_the_read(ends: Ends, make: Callable[[Path], None]) -> None:
    make(ends.site.folder / "spool" / "states" / "5.json")
    reader = ends.sender()
    reader.begin(Operation(1, "get_state", GetState(5)))
    [outcome] = reader.outcomes(0)
    assert outcome.status is Status.FAILED
    assert "not a plain file" in outcome.reason


# ---- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a/b", "..", "a.b", "x" * 65, "é"])
def test_a_name_that_cannot_be_part_of_a_file_name_is_refused(ends: Ends, name: str) -> None:
    with pytest.raises(BadArgument, match="letters, digits"):
        ends.sender(name)
    with pytest.raises(BadArgument, match="letters, digits"):
        ends.receiver(name=name)
    with pytest.raises(BadArgument, match="letters, digits"):
        Spool().install(Site(ends.site.folder, "test", (name,)), EXCHANGE)


@pytest.mark.parametrize("group", [OWNER_GROUP, "unheard-of"])
def test_a_group_that_the_site_does_not_have_is_refused(ends: Ends, group: str) -> None:
    with pytest.raises(BadArgument, match=f"{ASK_GROUP} or {GROUP}"):
        ends.receiver(group)


@pytest.mark.parametrize("knobs", [{"lease": 0}, {"poll": -1}, {"timeout": float("nan")}])
def test_a_time_that_is_none_is_refused(knobs: dict[str, float]) -> None:
    with pytest.raises(BadArgument, match=f"{next(iter(knobs))}: expected a number of seconds"):
        Spool(**knobs)  # type: ignore[arg-type]


def test_an_end_on_a_site_without_a_spool_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="Call install"):
        Spool().sender(Site(tmp_path, "test"), EXCHANGE, "s1")


# ---- the floor -------------------------------------------------------------------------------------------------------


def _serve(floor: Floor, site: Site, load: Load, pipe: multiprocessing.connection.Connection) -> None:
    pipe.send(floor.serve(site, load, lambda: pipe.send("ready")))
    pipe.close()


@pytest.mark.parametrize("flush", [False, True])
def test_the_floor_carries_its_load(tmp_path: Path, flush: bool) -> None:
    floor, site = Floor(flush=flush), Site(tmp_path, "test")
    load = Load(CreateVolume(1, 2, 3), ImageDownloaded(1, 2, 3), asks=20, tells=50, rate=2000)
    floor.install(site)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    serving = context.Process(target=_serve, args=(floor, site, load, there))
    serving.start()
    there.close()
    assert here.recv() == "ready"
    driven = floor.drive(site, load)
    taken = here.recv()
    serving.join()
    serving.close()
    here.close()
    assert (len(driven.asks), len(driven.told), len(taken)) == (20, 50, 50)
    assert all(told <= took for told, took in zip(driven.told, taken, strict=True))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert len(floor.bare(site, 1024, 5)) == 5
