"""What is particular to the two sound database channels: rows, claims, commits, and what breaks them."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.channel import ASK_GROUP, Channel, Delivery, Outcome, Receiver, Sender, Status
from sandbox.db_share import compare_and_swap, postgres, sqlite
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.db_share.floor import PostgresFloor, SqliteFloor
from sandbox.db_share.pipeline import Pipeline
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.db_share.tables import Statement
from sandbox.errors import BadArgument, Malformed, OverQuota, ServerUnavailable, TooLarge
from sandbox.exchange.schema import (
    EXCHANGE,
    CreateVolume,
    GetState,
    ImageDownloaded,
    Operation,
    Schema,
    SetState,
    VolumeCreated,
    VolumeState,
)
from sandbox.floor import Floor, Load
from sandbox.guarantees import Acceptor
from sandbox.servers import popen_spawn, start
from sandbox.site import Site

FINAL = (Status.ANSWERED, Status.FAILED, Status.UNKNOWN)
processes = multiprocessing.get_context("forkserver")  # one process imports all this, the others are its children
processes.set_forkserver_preload([__name__])
names = (f"t{os.getpid()}_{number}" for number in itertools.count())


@dataclass
class Place:
    """A channel installed at a site, its open ends, and plain SQL beside it."""

    channel: Any
    site: Site
    ends: list[Sender | Receiver]

    def sender(self, name: str = "nova", schema: Schema = EXCHANGE) -> Sender:
        sender: Sender = self._open(self.channel.sender(self.site, schema, name))
        return sender

    def receiver(self, group: str = "metering", name: str = "r", schema: Schema = EXCHANGE) -> Receiver:
        receiver: Receiver = self._open(self.channel.receiver(self.site, schema, group, name))
        return receiver

    def _open(self, end: Any) -> Any:
        self.ends.append(end)
        return end

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Plain SQL, as a stranger would say it: `{s}` stands before table names, %s for values."""
        if isinstance(self.channel, SkipLocked):
            with psycopg.connect(self.site.address("postgres"), autocommit=True) as stranger:
                done = stranger.execute(statement.format(s=f"{self.site.name}.").encode(), values)
                return done.fetchall() if done.description else []
        with closing(sqlite3.connect(self.site.folder / "compare_and_swap.db", timeout=10)) as stranger:
            found = stranger.execute(statement.format(s="").replace("%s", "?"), values).fetchall()
            stranger.commit()
            return found


@pytest.fixture
def install(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(channel: Channel, **at: Any) -> Place:
        media = {"postgres": request.getfixturevalue("postgres_address")} if channel.needs else {}
        site = Site(short_folder, next(names), **{"addresses": media, **at})
        channel.install(site, EXCHANGE)
        places.append(Place(channel, site, []))
        return places[-1]

    yield make
    for place in places:
        for end in place.ends:
            end.close()
        place.channel.uninstall(place.site)


@pytest.fixture(params=[SkipLocked, CompareAndSwap])
def kind(request: pytest.FixtureRequest) -> type[SkipLocked] | type[CompareAndSwap]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def place(install: Callable[..., Place], kind: Any) -> Place:
    return install(kind())


def told(number: int = 1, project: int = 2, text: str = "") -> Operation:
    return Operation(number, "image_downloaded", ImageDownloaded(number, project, 10**6, text))


def asked(number: int = 1) -> Operation:
    return Operation(number, "create_volume", CreateVolume(number, 2, 10))


def until(sender: Sender, operation: Operation, *wanted: Status, within: float = 10.0) -> Outcome:
    """The first outcome of the operation with one of these statuses."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        for outcome in sender.outcomes(0.2):
            if outcome.operation == operation.id and outcome.status in wanted:
                return outcome
    raise AssertionError(f"no {wanted} of {operation}")


def tell(sender: Sender, operation: Operation) -> None:
    sender.begin(operation)
    assert until(sender, operation, Status.ACCEPTED, *FINAL).status is Status.ACCEPTED


# --- rows with real columns -----------------------------------------------------------------------


def test_a_message_is_a_row_whose_fields_are_columns(install: Callable[..., Place], kind: Any) -> None:
    place = install(kind(), groups=("metering", "audit"))

    tell(place.sender(), told(7, text="a cirros"))

    rows = place.sql("SELECT operation, sender, grp, image, project, bytes_sent, metadata FROM {s}image_downloaded")
    assert sorted(rows) == [
        (7, "nova", "audit", 7, 2, 10**6, "a cirros"),
        (7, "nova", "metering", 7, 2, 10**6, "a cirros"),
    ]


def test_an_answer_and_a_refusal_are_rows_until_they_are_fetched(place: Place) -> None:
    # Given two requests of somebody who is not looking
    sender, receiver = place.sender(), place.receiver(ASK_GROUP)
    for operation in (asked(1), asked(2)):
        tell(sender, operation)

    # When one is granted and one refused
    first, second = receiver.take(5, 2)
    first.reply(VolumeCreated(1, "host-1"))
    second.reply(OverQuota("no more"))
    receiver.take(0)

    # Then that stands in columns
    rows = place.sql(
        "SELECT operation, sender, volume, host, refused, reason FROM {s}create_volume_answer ORDER BY seq"
    )
    assert rows == [(1, "nova", 1, "host-1", None, None), (2, "nova", None, None, "OverQuota", "no more")]

    # And it is gone once the asker has looked
    assert until(sender, asked(1), Status.ANSWERED).answer == VolumeCreated(1, "host-1")
    assert not place.sql("SELECT * FROM {s}create_volume_answer WHERE operation = 1")


def test_shared_state_is_the_table_itself(place: Place) -> None:
    # Given a row that plain SQL has written
    place.sql("INSERT INTO {s}volume_state (volume, state, version, metadata) VALUES (5, 'in-use', 3, '')")

    # When the state is read and written
    sender, read = place.sender(), Operation(1, "get_state", GetState(5))
    sender.begin(read)
    assert until(sender, read, *FINAL).answer == VolumeState(5, "in-use", 3)
    tell(sender, Operation(2, "set_state", SetState(5, "error", 4)))

    # Then it is the same row
    assert place.sql("SELECT volume, state, version FROM {s}volume_state") == [(5, "error", 4)]


def test_a_state_that_is_no_state_fails_the_read_with_the_reason(place: Place) -> None:
    place.sql("INSERT INTO {s}volume_state (volume, state, version, metadata) VALUES (5, 'melted', 3, '')")
    sender, read = place.sender(), Operation(1, "get_state", GetState(5))

    sender.begin(read)

    outcome = until(sender, read, *FINAL)
    assert outcome.status is Status.FAILED
    assert "melted" in outcome.reason


def test_another_column_disturbs_nobody_who_is_at_work(place: Place) -> None:
    # Given ends that have used every table
    sender, told_one, asked_one = place.sender(), place.receiver(), place.receiver(ASK_GROUP)
    for number in (1, 11):
        tell(sender, told(number))
        tell(sender, Operation(number + 1, "set_state", SetState(5, "error", number)))
        tell(sender, asked(number + 2))
        (delivery,) = asked_one.take(5)
        delivery.reply(VolumeCreated(1, "h"))
        delivery.settle()
        assert until(sender, asked(number + 2), *FINAL).status is Status.ANSWERED
        read = Operation(number + 3, "get_state", GetState(5))
        sender.begin(read)
        assert until(sender, read, *FINAL).answer == VolumeState(5, "error", number)
        (delivery,) = _first(told_one)
        assert delivery.operation == told(number)
        delivery.settle()

        # When each gets another column, all goes on
        for table in ("image_downloaded", "volume_state", "create_volume", "create_volume_answer"):
            place.sql(f"ALTER TABLE {{s}}{table} ADD COLUMN more{number} text")


def _first(receiver: Receiver) -> list[Delivery]:
    for _ in range(20):
        if taken := receiver.take(0.5):
            return taken
    return []


def test_a_renamed_field_fails_loudly_and_alone(place: Place) -> None:
    # Given a table whose column has another name than the sender believes
    place.sql("ALTER TABLE {s}image_downloaded RENAME COLUMN bytes_sent TO volume_bytes")
    sender = place.sender()

    # When it sends that and, in the same breath, something else
    for operation in (asked(1), told(2), asked(3), told(4)):
        sender.begin(operation)

    # Then what does not fit has failed, and only that
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < 4:
        outcomes |= {outcome.operation: outcome for outcome in sender.outcomes(5)}
    assert [outcomes[number].status for number in (1, 2, 3, 4)] == [Status.ACCEPTED, Status.FAILED] * 2
    assert "bytes_sent" in outcomes[2].reason


# --- hostile rows ---------------------------------------------------------------------------------

HOSTILE = {
    "no operation": "INSERT INTO {s}image_downloaded (sender, grp, image, project, bytes_sent, metadata) "
    "VALUES ('x', 'metering', 1, 2, 3, '')",
    "no sender": "INSERT INTO {s}image_downloaded (operation, grp, image, project, bytes_sent, metadata) "
    "VALUES (1, 'metering', 1, 2, 3, '')",
    "negative size": "INSERT INTO {s}image_downloaded (operation, sender, grp, image, project, bytes_sent, metadata) "
    "VALUES (1, 'x', 'metering', 1, 2, -3, '')",
    "negative operation": "INSERT INTO {s}image_downloaded (operation, sender, grp, image, project, bytes_sent, "
    "metadata) VALUES (-1, 'x', 'metering', 1, 2, 3, '')",
    "nothing at all": "INSERT INTO {s}image_downloaded (grp) VALUES ('metering')",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_row_is_set_aside_with_its_reason_and_the_receiver_goes_on(place: Place, hostile: str) -> None:
    # Given a stranger's row before an honest one
    place.sql(hostile)
    tell(place.sender(), told(9))

    # When somebody takes
    receiver = place.receiver()
    taken = receiver.take(5)

    # Then the honest one is delivered and the other kept, with the reason
    assert [delivery.operation.id for delivery in taken] == [9]
    taken[0].settle()
    receiver.take(0)
    ((reason,),) = place.sql("SELECT reason FROM {s}dead_letters")
    assert receiver.refused == [reason]
    assert "image_downloaded" in reason
    backlog = place.channel.backlog(place.site)
    assert (backlog.ready, backlog.claimed, backlog.set_aside) == (0, 0, 1)


anything = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=20), st.text("ab\0é'\"", max_size=20)
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.tuples(*[anything] * 6), broken_text=st.booleans())
def test_values_of_any_type_in_sqlite_are_refused_or_delivered(
    values: tuple[Any, ...], broken_text: bool, in_sqlite: Place
) -> None:
    # Given a row with anything in its columns
    metadata = "CAST(%s AS TEXT)" if broken_text else "%s"
    in_sqlite.sql(
        "INSERT INTO image_downloaded (grp, operation, sender, image, project, bytes_sent, metadata) "
        f"VALUES ('metering', %s, %s, %s, %s, %s, {metadata})",
        *values,
    )

    # When it is taken, it is a message of the schema or refused
    receiver = in_sqlite.channel.receiver(in_sqlite.site, EXCHANGE, "metering", "r")
    taken = receiver.take(0)
    assert len(taken) + len(receiver.refused) == 1
    for delivery in taken:
        EXCHANGE.check(delivery.operation)
        delivery.settle()
    receiver.close()

    # Then it is not in the way of the next one
    assert in_sqlite.sql("SELECT count(*) FROM image_downloaded") == [(0,)]


@pytest.fixture
def in_sqlite(install: Callable[..., Place]) -> Place:
    return install(CompareAndSwap())


@pytest.mark.parametrize(
    "hostile",
    ["attempts) VALUES ('metering', 2147483647)", "attempts) VALUES ('metering', -1)"]
    + [f"visible_at) VALUES ('metering', '{moment}')" for moment in ("infinity", "-infinity", "NaN")]
    + ["claimed_by, visible_at) VALUES ('metering', 'x', 'infinity')"],
)
def test_whatever_stands_in_the_columns_of_the_queue_the_others_are_delivered(place: Place, hostile: str) -> None:
    # Given a stranger's row, unless the database refuses it
    with contextlib.suppress(psycopg.Error, sqlite3.Error):
        place.sql("INSERT INTO {s}image_downloaded (grp, " + hostile)
    tell(place.sender(), told(9))

    # Then others are delivered and counted
    receiver = place.receiver()
    assert [delivery.operation.id for delivery in receiver.take(5)] == [9]
    assert place.channel.backlog(place.site).claimed == 1
    assert place.channel.backlog(place.site).lease < 60


def test_sql_in_a_name_or_a_text_stays_text(place: Place) -> None:
    evil = "x'); DROP TABLE image_downloaded; --\""
    sender = place.sender(name=evil)
    tell(sender, told(1, text=evil))
    receiver = place.receiver(name=evil)

    (delivery,) = receiver.take(5)

    assert delivery.operation == told(1, text=evil)
    delivery.set_aside(evil)
    receiver.take(0)
    assert place.sql("SELECT reason, sender FROM {s}dead_letters") == [(evil, evil)]


def test_an_answer_that_is_no_answer_leaves_its_request_unknown(place: Place) -> None:
    sender = place.sender()
    tell(sender, asked(1))

    place.sql("INSERT INTO {s}create_volume_answer (operation, sender, volume, host) VALUES (1, 'nova', -5, 'h')")
    place.sql("INSERT INTO {s}create_volume_answer (sender) VALUES ('nova')")
    _wake(place, "nova")

    outcome = until(sender, asked(1), *FINAL)
    assert outcome.status is Status.UNKNOWN
    assert "create_volume" in outcome.reason


def _wake(place: Place, name: str) -> None:
    if isinstance(place.channel, SkipLocked):
        place.sql("SELECT pg_notify(%s, '')", f"{place.site.name}.{name}")


def test_what_cannot_be_sent_is_refused_before_it_is_begun(install: Callable[..., Place], kind: Any) -> None:
    sender = install(kind(max_bytes=200)).sender()

    with pytest.raises(TooLarge, match="200"):
        sender.begin(told(text="x" * 200))
    with pytest.raises(Malformed):
        sender.begin(told(text="\ud800"))

    assert sender.outcomes(0) == []


def test_text_that_postgres_cannot_hold_is_malformed_and_disturbs_nobody(install: Callable[..., Place]) -> None:
    sender = install(SkipLocked()).sender()

    with pytest.raises(Malformed, match="NUL"):
        sender.begin(told(1, text="a\0b"))

    tell(sender, told(2))


def test_a_knob_that_makes_no_sense_says_what_was_expected(kind: Any) -> None:
    with pytest.raises(BadArgument, match="lease: expected a number above 0, got -1"):
        kind(lease=-1)


# --- commits --------------------------------------------------------------------------------------


def test_what_is_accepted_is_committed(place: Place) -> None:
    # Given more than fits into one transaction, begun in one go
    sender = place.sender()
    for number in range(1, 301):
        sender.begin(told(number))

    # Then whenever some are reported, a stranger sees them
    accepted: set[int] = set()
    while len(accepted) < 300:
        outcomes = sender.outcomes(5)
        assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
        accepted |= {outcome.operation for outcome in outcomes}
        seen = {operation for (operation,) in place.sql("SELECT operation FROM {s}image_downloaded")}
        assert accepted <= seen


def test_what_postgres_undoes_has_failed_and_is_not_there(install: Callable[..., Place]) -> None:
    # Given a table that refuses one of the messages that go into the same transaction
    place = install(SkipLocked())
    place.sql("ALTER TABLE {s}image_downloaded ADD CHECK (project <> 13)")
    sender = place.sender()
    tell(sender, told(1))

    # When it is begun among others
    for number in range(2, 12):
        sender.begin(told(number, project=13 if number == 7 else 2))
    outcomes: list[Outcome] = []
    while len(outcomes) < 10:
        outcomes += sender.outcomes(5)

    # Then accepted is exactly what is there
    there = {operation for (operation,) in place.sql("SELECT operation FROM {s}image_downloaded")}
    assert {o.operation for o in outcomes if o.status is Status.ACCEPTED} | {1} == there
    assert {o.status for o in outcomes if o.operation not in there} == {Status.FAILED}
    assert 7 not in there


def test_begin_only_queues_while_another_writes_to_sqlite(install: Callable[..., Place]) -> None:
    # Given somebody who holds the write lock
    place = install(CompareAndSwap())
    sender = place.sender()
    with closing(sqlite3.connect(place.site.folder / "compare_and_swap.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        # When something is begun, nothing is reported
        sender.begin(told(1))
        assert sender.outcomes(0) == []
        assert sender.outcomes(0.05) == []

    # Then it is written as soon as that one is gone
    assert until(sender, told(1), *FINAL, Status.ACCEPTED).status is Status.ACCEPTED


def test_what_could_not_be_written_in_time_has_certainly_failed(install: Callable[..., Place]) -> None:
    place = install(CompareAndSwap(timeout=0.1))
    sender = place.sender()
    with closing(sqlite3.connect(place.site.folder / "compare_and_swap.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sender.begin(told(1))
        assert until(sender, told(1), *FINAL).status is Status.FAILED

    tell(sender, told(2))
    assert [d.operation.id for d in place.receiver().take(5, 5)] == [2]


def test_flushing_makes_sqlite_promise_the_disk(install: Callable[..., Place]) -> None:
    assert CompareAndSwap().guarantees.tell.accepted_by is Acceptor.KERNEL
    assert CompareAndSwap(flush=True).guarantees.tell.accepted_by is Acceptor.DISK

    tell(install(CompareAndSwap(flush=True)).sender(), told())


def _tell_many(channel: Channel, site: Site, name: str, numbers: range) -> None:
    sender = channel.sender(site, EXCHANGE, name)
    accepted: set[int] = set()
    for number in numbers:
        sender.begin(told(number))
        accepted |= {outcome.operation for outcome in sender.outcomes(0) if outcome.status is Status.ACCEPTED}
    deadline = time.monotonic() + 30
    while len(accepted) < len(numbers) and time.monotonic() < deadline:
        accepted |= {outcome.operation for outcome in sender.outcomes(1) if outcome.status is Status.ACCEPTED}
    sender.close()
    if accepted != set(numbers):
        raise SystemExit(f"{len(accepted)} of {len(numbers)} accepted")


def test_two_processes_write_at_once_and_nothing_is_lost(place: Place) -> None:
    shares = [range(1, 201), range(1001, 1201)]
    writers = [
        processes.Process(target=_tell_many, args=(place.channel, place.site, f"w{share.start}", share))
        for share in shares
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(40)

    assert [writer.exitcode for writer in writers] == [0, 0]
    operations = [operation for (operation,) in place.sql("SELECT operation FROM {s}image_downloaded")]
    assert sorted(operations) == [*shares[0], *shares[1]]


# --- claims ---------------------------------------------------------------------------------------


def _take_and_hang(channel: Channel, site: Site, taken: Any) -> None:
    deliveries = channel.receiver(site, EXCHANGE, "metering", "victim").take(10)
    taken.send(len(deliveries))
    time.sleep(60)


def test_the_claim_of_a_killed_receiver_lapses_and_comes_back(install: Callable[..., Place], kind: Any) -> None:
    # Given a receiver that is killed with a claim in its hands
    place = install(kind(lease=0.5))
    tell(place.sender(), told())
    mine, theirs = processes.Pipe()
    victim = processes.Process(target=_take_and_hang, args=(place.channel, place.site, theirs))
    victim.start()
    with mine, theirs:
        assert mine.poll(20) and mine.recv() == 1
    backlog = place.channel.backlog(place.site)
    assert (backlog.ready, backlog.claimed) == (0, 1)
    os.kill(victim.pid or 0, signal.SIGKILL)
    victim.join()

    # When the lease has run out, another gets it and knows that it is the second attempt
    (delivery,) = place.receiver().take(10)
    assert (delivery.operation, delivery.attempt) == (told(), 2)


def _take_all(channel: Channel, site: Site, name: str, out: Any) -> None:
    receiver = channel.receiver(site, EXCHANGE, "metering", name)
    taken = receiver.take(10)
    out.send("has one")
    out.recv()
    got: list[int] = []
    while taken:
        for delivery in taken:
            got.append(delivery.operation.id)
            delivery.settle()
        taken = receiver.take(1.0, 3)
    receiver.close()
    out.send(got)


def test_competing_receivers_never_both_get_a_row(install: Callable[..., Place], kind: Any) -> None:
    # Given many rows, and two receivers of one group in processes of their own
    place = install(kind(lease=60.0))
    sender = place.sender()
    for number in range(1, 401):
        sender.begin(told(number))
    while place.channel.backlog(place.site).ready < 400:
        sender.outcomes(0.1)
    members = []
    for name in ("a", "b"):
        mine, theirs = processes.Pipe()
        member = processes.Process(target=_take_all, args=(place.channel, place.site, name, theirs))
        member.start()
        members.append((member, mine, theirs))

    # When both take as fast as they can
    for _, mine, _ in members:
        assert mine.recv() == "has one"
    for _, mine, _ in members:
        mine.send("go")
    shares = [mine.recv() for _, mine, _ in members]
    for member, mine, theirs in members:
        member.join()
        mine.close()
        theirs.close()

    # Then each row went to one of them, and both had some
    assert sorted(shares[0] + shares[1]) == list(range(1, 401))
    assert all(shares)


def test_a_row_that_has_changed_since_it_was_read_is_not_claimed(
    in_sqlite: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a receiver that is overtaken between reading and writing
    tell(in_sqlite.sender(), told())
    slow, quick = in_sqlite.receiver(name="slow"), in_sqlite.receiver(name="quick")
    overtaken: list[Delivery] = []

    def look_and_be_overtaken(*what: Any) -> list[Any]:
        monkeypatch.undo()
        seen = look(*what)
        overtaken.extend(quick.take(0))
        return seen

    look = sqlite.look
    monkeypatch.setattr(compare_and_swap, "look", look_and_be_overtaken)

    # Then only the quick one has the row
    assert slow.take(0) == []
    assert len(overtaken) == 1


def test_a_released_row_comes_back_no_sooner_than_its_delay(place: Place) -> None:
    tell(place.sender(), told())
    receiver = place.receiver()
    (delivery,) = receiver.take(5)

    released = time.monotonic()
    delivery.release(0.3)

    (again,) = receiver.take(5)
    assert time.monotonic() - released >= 0.3
    assert again.attempt == 2


def test_a_release_that_comes_after_the_lease_leaves_the_next_claim_alone(
    install: Callable[..., Place], kind: Any
) -> None:
    # Given a claim that has lapsed and that another receiver holds now
    place = install(kind(lease=0.2))
    tell(place.sender(), told())
    (stale,) = place.receiver(name="a").take(5)
    place.channel = replace(place.channel, lease=30.0)
    other = place.receiver(name="b")
    assert len(other.take(5)) == 1

    # When the first one gives it back
    stale.release()
    place.ends[1].take(0)  # type: ignore[union-attr]

    # Then it stays where it is
    assert place.channel.backlog(place.site).claimed == 1


def test_a_settled_row_is_gone_when_the_receiver_closes(place: Place) -> None:
    tell(place.sender(), told())
    receiver = place.receiver()
    (delivery,) = receiver.take(5)
    delivery.settle()

    receiver.close()

    assert place.sql("SELECT count(*) FROM {s}image_downloaded") == [(0,)]


def test_an_answer_after_the_timeout_is_counted_and_dropped(install: Callable[..., Place], kind: Any) -> None:
    # Given a request whose time is up
    place = install(kind(timeout=0.2))
    sender, receiver = place.sender(), place.receiver(ASK_GROUP)
    sender.begin(asked(1))
    assert until(sender, asked(1), *FINAL).status is Status.UNKNOWN

    # When it is answered all the same
    (delivery,) = receiver.take(5)
    delivery.reply(VolumeCreated(1, "host-1"))
    deadline = time.monotonic() + 10
    while not sender.late and time.monotonic() < deadline:
        assert sender.outcomes(0.05) == []

    # Then it is counted, and gone
    assert sender.late == 1
    assert place.sql("SELECT count(*) FROM {s}create_volume_answer") == [(0,)]


def test_a_notification_that_comes_with_results_is_heard(postgres_address: str) -> None:
    # Given a connection that notifies itself, so that result and notification come in one piece
    pipe = Pipeline(postgres_address, postgres.RECEIVING, "self")
    while pipe.busy:
        pipe.wait(1)
        pipe.finished()
    pipe.rung = False
    pipe.send([(postgres.NOTIFY, (b"self",)), (Statement("late", "SELECT pg_sleep(0.05)"), ())], "ring")

    # When the result has been taken
    while (done := pipe.finished()) is None:
        time.sleep(0.1)
        pipe.wait(1)
    assert not done.error
    assert pipe.finished() is None

    # Then the other has been heard, without anything more coming in
    assert pipe.rung
    pipe.close()


# --- the connection breaks ------------------------------------------------------------------------


@pytest.fixture
def mortal(short_folder: Path) -> Iterator[Any]:
    """A PostgreSQL of one's own, to be killed."""
    try:
        server = start("postgres", short_folder / "pg", popen_spawn)
    except ServerUnavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    yield server
    server.stop()


def test_a_killed_server_makes_what_is_open_unknown_and_what_is_begun_then_failed(
    mortal: Any, install: Callable[..., Place]
) -> None:
    # Given a request that is accepted and waits for its answer
    place = install(SkipLocked(), addresses={"postgres": mortal.address})
    sender, receiver = place.sender(), place.receiver(ASK_GROUP)
    tell(sender, asked(1))

    # When the server is killed
    mortal.kill()
    lost = until(sender, asked(1), *FINAL)
    sender.begin(asked(2))
    refused = until(sender, asked(2), *FINAL)

    # Then nobody can say of the one, and the other was never sent
    assert (lost.status, refused.status) == (Status.UNKNOWN, Status.FAILED)
    assert "connection" in lost.reason and "connection" in refused.reason
    assert receiver.take(0.1) == []

    # And when it is back, both ends find it by themselves, and what was accepted is there
    mortal.restart()
    taken: list[Delivery] = []
    while not taken:
        taken = receiver.take(5)
    assert taken[0].operation == asked(1)
    taken[0].reply(VolumeCreated(1, "host-1"))
    deadline = time.monotonic() + 20
    while not sender.late and time.monotonic() < deadline:
        sender.outcomes(0.05)
    assert sender.late == 1


def test_an_end_without_a_server_says_so(tmp_path: Path) -> None:
    nowhere = Site(tmp_path, "nowhere", addresses={"postgres": f"host={tmp_path} dbname=postgres user=x"})

    with pytest.raises(ServerUnavailable, match="PostgreSQL is not available"):
        SkipLocked().sender(nowhere, EXCHANGE, "nova")
    with pytest.raises(ServerUnavailable, match="PostgreSQL is not available"):
        SkipLocked().install(nowhere, EXCHANGE)


def test_an_end_before_install_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="Call install"):
        CompareAndSwap().sender(Site(tmp_path, "early"), EXCHANGE, "nova")


# --- floors ---------------------------------------------------------------------------------------


def _serve(floor: Floor, site: Site, load: Load, link: Any) -> None:
    link.send(floor.serve(site, load, lambda: link.send("ready")))


@pytest.mark.parametrize("floor", [PostgresFloor(), SqliteFloor()], ids=lambda floor: floor.channel)
@pytest.mark.parametrize("rate", [None, 2000.0])
def test_a_floor_carries_its_load(floor: Floor, rate: float | None, request: pytest.FixtureRequest) -> None:
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    media = {"postgres": request.getfixturevalue("postgres_address")} if floor.needs else {}
    site = Site(folder, next(names), addresses=media)
    load = Load(CreateVolume(1, 2, 3, "x" * 900), ImageDownloaded(1, 2, 3, "x" * 900), asks=5, tells=150, rate=rate)
    floor.install(site)
    mine, theirs = processes.Pipe()
    server = processes.Process(target=_serve, args=(floor, site, load, theirs))
    try:
        server.start()
        assert mine.recv() == "ready"

        driven = floor.drive(site, load)

        assert mine.poll(20)
        assert len(mine.recv()) == 150
        assert (len(driven.asks), len(driven.told)) == (5, 150)
        assert driven.acknowledged > driven.told[-1]
        assert len(floor.bare(site, 1024, 5)) == 5
    finally:
        server.kill()
        server.join()
        mine.close()
        theirs.close()
        floor.uninstall(site)
        shutil.rmtree(folder)
