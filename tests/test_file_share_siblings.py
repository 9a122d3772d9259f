"""From naive to sound, in files: each sibling fails in its own way, in real processes, and the next does not."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.api import run
from sandbox.channel import ASK_GROUP, Backlog, Channel, Delivery
from sandbox.exchange.schema import EXCHANGE, ImageDownloaded, Operation, Verb
from sandbox.file_share.in_place import BLOCK, InPlace
from sandbox.file_share.log import Log
from sandbox.file_share.rename import Rename
from sandbox.file_share.spool import Spool
from sandbox.harness.cast import Cast
from sandbox.harness.participant import Link, Participant
from sandbox.harness.session import Session
from sandbox.harness.workload import Workload
from sandbox.minimal import Minimal
from sandbox.site import Site

GROUP = "metering"
WAIT = 20.0
#: long enough to be written in several blocks
LARGE = "x" * 3 * BLOCK


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


class Stage:
    """A channel installed on a fresh site, and processes that use it; all of them end with the test."""

    def __init__(self, session: Session) -> None:
        self._session, self._members = session, list[Participant]()
        self.channel: Channel
        self.site: Site

    def install(self, channel: Channel) -> None:
        self.channel, self.site = channel, self._session.site(channel, (GROUP,))
        channel.install(self.site, EXCHANGE)

    def process(self, name: str, function: Any, *arguments: Any) -> Participant:
        """A process that runs `function` on the channel."""
        self._members.append(member := self._session.participant(name))
        member.begin(function, self.channel, self.site, name, *arguments)
        return member

    def tell(self, *operations: Operation, name: str = "image-service") -> list[str]:
        """What a sender is told of each of these operations."""
        told: list[str] = self.process(name, send, operations).finish(WAIT)
        return told

    def writes_half_of(self, operation: Operation) -> Participant:
        """A sender that has written the first block and will write the rest when it is sent a message."""
        writer = self.process("image-service", send_in_two_parts, operation)
        assert writer.receive(WAIT) == "half"
        return writer

    def receiver(self, name: str = "metering-0") -> Participant:
        return self.process(name, serve)

    @property
    def backlog(self) -> Backlog:
        found = self.channel.backlog(self.site)
        assert found is not None
        return found

    def close(self) -> None:
        for member in self._members:
            member.close()


@pytest.fixture
def stage(session: Session) -> Iterator[Stage]:
    made = Stage(session)
    yield made
    made.close()


# ---- what the processes do -------------------------------------------------------------------------------------------


def send(link: Link, channel: Channel, site: Site, name: str, operations: tuple[Operation, ...]) -> list[str]:
    sender = channel.sender(site, EXCHANGE, name)
    told = []
    for operation in operations:
        sender.begin(operation)
        told += [outcome.status.name for outcome in sender.outcomes(WAIT)]
    sender.close()
    return told


def send_in_two_parts(link: Link, channel: InPlace, site: Site, name: str, operation: Operation) -> list[str]:
    """Stop after the first block, until a message comes. The process is used for nothing else."""
    all_blocks = type(channel).blocks

    def blocks(self: InPlace, data: bytes) -> Iterator[bytes]:
        first, *rest = all_blocks(self, data)
        assert rest
        yield first
        link.send("half")
        link.recv()
        yield from rest

    type(channel).blocks = blocks
    return send(link, channel, site, name, (operation,))


def serve(link: Link, channel: Channel, site: Site, name: str) -> None:
    """Take, settle, or say what was refused, as the messages that come say."""
    receiver = channel.receiver(site, EXCHANGE, GROUP, name)
    held: list[Delivery] = []
    while (order := link.recv()) != "stop":
        if order == "take":
            held += receiver.take(0.05, 10)
            link.send([delivery.operation.id for delivery in held])
        elif order == "wait":
            while not (found := receiver.take(0.05, 10)):
                pass
            held += found
            link.send([delivery.operation.id for delivery in held])
        elif order == "settle":
            for delivery in held:
                delivery.settle()
            held = []
            link.send("settled")
        else:
            link.send(len(receiver.refused))
    receiver.close()


def take_one(link: Link, channel: Channel, site: Site, name: str) -> None:
    receiver = channel.receiver(site, EXCHANGE, GROUP, name)
    while not (taken := receiver.take(0.05, 1)):
        pass
    link.send([delivery.operation.id for delivery in taken])
    link.recv()


def hold_the_lock(link: Link, channel: Log, site: Site, name: str) -> None:
    with channel.locked(channel.open(site), WAIT):
        link.send("held")
        link.recv()


def told(member: Participant, order: str) -> Any:
    """What a receiver says to an order."""
    member.send(order)
    return member.receive(WAIT)


def download(number: int, metadata: str = "") -> Operation:
    return Operation(number, "image_downloaded", ImageDownloaded(number, 1, 100, metadata))


# ---- in place: torn files; rename: whole ones ------------------------------------------------------------------------


def test_in_place_a_reader_takes_half_a_file_and_what_was_acknowledged_is_lost(stage: Stage) -> None:
    # Given a sender that has written half of its file
    stage.install(InPlace())
    writer, reader = stage.writes_half_of(download(1, LARGE)), stage.receiver()

    # When a receiver looks just now, and the sender then writes the rest
    assert told(reader, "take") == []
    assert told(reader, "refused") == 1
    writer.send("go on")

    # Then the sender is told that all is well, and nobody ever gets it
    assert writer.finish(WAIT) == ["ACCEPTED"]
    assert told(reader, "take") == []
    assert stage.backlog.ready == 0


def test_rename_a_reader_sees_nothing_and_then_the_whole_file(stage: Stage) -> None:
    stage.install(Rename())
    writer, reader = stage.writes_half_of(download(1, LARGE)), stage.receiver()

    assert told(reader, "take") == []
    assert told(reader, "refused") == 0
    writer.send("go on")

    assert writer.finish(WAIT) == ["ACCEPTED"]
    assert told(reader, "wait") == [1]


@pytest.mark.parametrize(("channel", "seen"), [(InPlace(), 1), (Rename(), 0)], ids=["in_place", "rename"])
def test_a_sender_killed_half_way_leaves_half_a_file_where_readers_look_or_where_they_do_not(
    stage: Stage, channel: Minimal, seen: int
) -> None:
    stage.install(channel)
    stage.writes_half_of(download(1, LARGE)).kill()
    stage.tell(download(2), name="another")
    reader = stage.receiver()

    assert told(reader, "wait") == [2]
    assert told(reader, "refused") == seen


def test_in_place_a_run_loses_what_it_has_acknowledged(session: Session) -> None:
    workload = Workload(size=3 * BLOCK, operations=20, rate=40, warmup=0)

    result = run(InPlace(pause=0.005), workload, session=session)

    assert result.accounts[Verb.TELL].ok == 20
    assert result.accounts[Verb.TELL].lost
    assert "in_place promises at least once for tell and did not keep it." in result.findings


def test_rename_a_run_with_the_same_load_loses_nothing(session: Session) -> None:
    workload = Workload(size=3 * BLOCK, operations=20, rate=40, warmup=0)

    result = run(Rename(pause=0.005), workload, session=session)

    assert result.findings == ()


# ---- rename: two readers take the same file; the spool: one ---------------------------------------------------------


def test_rename_two_readers_take_the_same_file(stage: Stage) -> None:
    # Given a file, and a receiver that works on it
    stage.install(Rename())
    stage.tell(download(1))
    first, second = stage.receiver("metering-0"), stage.receiver("metering-1")
    assert told(first, "wait") == [1]

    # When another receiver of the group looks
    taken = told(second, "take")

    # Then it works on the same file, and neither notices
    assert taken == [1]
    assert told(first, "settle") == told(second, "settle") == "settled"


@pytest.mark.parametrize("channel", [Spool(lease=60), Log(patience=WAIT)], ids=["spool", "log"])
def test_of_two_readers_only_one_takes_it(stage: Stage, channel: Channel) -> None:
    stage.install(channel)
    stage.tell(download(1))
    first, second = stage.receiver("metering-0"), stage.receiver("metering-1")
    assert told(first, "wait") == [1]

    assert told(second, "take") == []


@pytest.mark.parametrize(("channel", "twice"), [(Rename(), True), (Spool(), False)], ids=["rename", "spool"])
def test_a_run_with_two_readers_bills_twice_until_they_claim(session: Session, channel: Channel, twice: bool) -> None:
    workload = Workload(operations=20, rate=40, receivers=2, service=0.01, warmup=0)

    result = run(channel, workload, session=session)

    assert (result.bills[GROUP].doubled > 0) is twice
    assert result.accounts[Verb.TELL].lost == 0


# ---- the log: a stale lock stops everybody; the spool: a claim lapses -----------------------------------------------


def test_log_whoever_is_killed_with_the_lock_stops_everybody_until_a_person_deletes_it(stage: Stage) -> None:
    # Given three lines in the log, and a process that is killed while it has the lock
    stage.install(Log(patience=0.1))
    stage.tell(download(1), download(2), download(3))
    reader, backup = stage.receiver(), stage.process("backup", hold_the_lock)
    assert backup.receive(WAIT) == "held"
    backup.kill()

    # When those who were there, and others that come later, want to go on
    outcomes = stage.tell(download(4), name="another")
    seen = [told(reader, "take"), told(stage.receiver("metering-1"), "take")]

    # Then nobody can, although everything lies there
    assert outcomes == ["UNKNOWN"]
    assert seen == [[], []]
    assert stage.backlog.ready == 3

    # And only a person who deletes the file sets them free
    (stage.site.folder / "shared" / "log.lock").unlink()
    assert told(reader, "wait") == [1, 2, 3]


def test_log_breaking_a_lock_that_only_looks_stale_tears_two_lines(stage: Stage) -> None:
    # Given a sender that is slow, not dead
    stage.install(Log(patience=WAIT))
    writer = stage.writes_half_of(download(1, LARGE))

    # When somebody takes its lock for stale and deletes it, and another sender writes
    (stage.site.folder / "shared" / "log.lock").unlink()
    assert stage.tell(download(2), name="another") == ["ACCEPTED"]
    writer.send("go on")
    assert writer.finish(WAIT) == ["ACCEPTED"]

    # Then both have been acknowledged, and both are lost
    reader = stage.receiver()
    assert told(reader, "take") == []
    assert told(reader, "refused") == 2


def test_log_the_line_that_a_killed_reader_had_taken_is_lost(stage: Stage) -> None:
    stage.install(Log(patience=WAIT))
    stage.tell(download(1), download(2))
    first = stage.process("metering-0", take_one)
    assert first.receive(WAIT) == [1]
    first.kill()

    assert told(stage.receiver("metering-1"), "wait") == [2]


def test_spool_whoever_is_killed_with_a_claim_stops_nobody_and_the_claim_comes_back(stage: Stage) -> None:
    # Given a receiver that is killed while it has a message in hand
    stage.install(Spool(lease=0.5))
    stage.tell(download(1), download(2))
    first = stage.process("metering-0", take_one)
    assert first.receive(WAIT) == [1]
    first.kill()

    # When others go on
    assert stage.tell(download(3), name="another") == ["ACCEPTED"]
    reader, seen = stage.receiver("metering-1"), set[int]()
    until = time.monotonic() + WAIT
    while seen < {1, 2, 3} and time.monotonic() < until:
        seen |= set(told(reader, "take"))

    # Then they get everything, that message too
    assert seen == {1, 2, 3}


def test_log_a_run_in_which_somebody_dies_with_the_lock_stands_still_from_there_on(session: Session) -> None:
    # Given a receiver that is slower than the sender
    channel = Log(patience=0.05)
    workload = Workload(operations=40, rate=60, service=0.05, warmup=0, timeout=0.5)

    # When another process dies with the lock, while lines wait in the log
    def backup_dies(cast: Cast) -> None:
        until = time.monotonic() + WAIT
        while channel.backlog(cast.site).ready < 3 and time.monotonic() < until:
            time.sleep(0.01)
        backup = cast.session.participant("backup")
        backup.begin(hold_the_lock, channel, cast.site, "backup")
        backup.receive(WAIT)
        backup.kill()
        backup.close()

    result = run(channel, workload, session=session, interventions=[(0.05, backup_dies)])

    # Then what was acknowledged lies there, and of the rest nobody knows
    accounts = result.accounts[Verb.TELL]
    assert accounts.lost
    assert accounts.info
    assert any("nobody works on them" in reason for reason in result.verdict.reasons)


# ---- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [InPlace(), Rename(), Log(patience=WAIT)], ids=lambda channel: channel.title())
def test_with_one_sender_one_receiver_and_no_haste_all_is_well(stage: Stage, channel: Channel) -> None:
    """Which is why everybody believes in them."""
    stage.install(channel)
    stage.tell(download(1), download(2, LARGE), download(3))
    reader = stage.receiver()

    assert told(reader, "wait") == [1, 2, 3]
    assert told(reader, "settle") == "settled"
    assert stage.backlog == Backlog(0, 0)


@pytest.mark.parametrize("channel", [Rename(), Log(patience=WAIT)], ids=lambda channel: channel.title())
@pytest.mark.parametrize("verb", ["ask", "share"])
def test_the_layered_verbs_work_on_them(session: Session, channel: Channel, verb: str) -> None:
    result = run(channel, Workload(verb, operations=20, rate=100, warmup=0), session=session)

    assert result.findings == ()


@pytest.mark.parametrize("channel", [InPlace(), Rename()], ids=lambda channel: channel.title())
def test_a_file_that_is_no_message_is_set_aside_and_the_receiver_goes_on(stage: Stage, channel: Channel) -> None:
    stage.install(channel)
    box = stage.site.folder / "shared" / f"tell.{GROUP}"
    box.mkdir(exist_ok=True)
    (box / "0-foreign").write_bytes(b"\xff no message")
    stage.tell(download(1))
    reader = stage.receiver()

    assert told(reader, "wait") == [1]
    assert told(reader, "refused") == 1
    assert stage.backlog.set_aside == 1


def test_a_return_address_never_becomes_a_path(stage: Stage) -> None:
    stage.install(InPlace())
    box = stage.site.folder / "shared" / ASK_GROUP
    box.mkdir()
    body = {"volume": 1, "project": 1, "size_gb": 1}
    message = {"id": 1, "message": "create_volume", "sender": "image-service/../../evil", "body": body}
    (box / "0-foreign").write_text(json.dumps(message))

    receiver = stage.channel.receiver(stage.site, EXCHANGE, ASK_GROUP, "volumes-0")

    assert receiver.take(0.0) == []
    assert "return address" in receiver.refused[0]


def test_a_line_that_is_no_message_is_set_aside_and_the_receiver_goes_on(stage: Stage) -> None:
    stage.install(Log(patience=WAIT))
    log = stage.site.folder / "shared" / "log.jsonl"
    log.write_bytes(b"\xff no line\n" + json.dumps({"box": f"tell.{GROUP}", "data": "no message"}).encode() + b"\n")
    stage.tell(download(1))
    reader = stage.receiver()

    assert told(reader, "wait") == [1]
    assert told(reader, "refused") == 2
    assert stage.backlog.set_aside == 2


def test_the_difference_between_two_siblings_is_the_lesson() -> None:
    """Same parts in the same order."""
    parts = [[name for name in vars(kind) if not name.startswith("_")] for kind in (InPlace, Rename, Log)]

    assert parts[0] == parts[1]
    assert [name for name in parts[2] if name in parts[0]] == parts[0]
    assert inspect.getsource(InPlace.take) == inspect.getsource(Rename.take)
    assert inspect.getsource(InPlace.put) != inspect.getsource(Rename.put)
