"""From naive to sound in the database: each naive way fails in its own way, by a forced order and not by luck."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.catalogue import find
from sandbox.channel import ASK_GROUP, Channel, Sender, Status
from sandbox.conformance import prove
from sandbox.db_share import owner, usage
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.db_share.interleaving import overtake, take
from sandbox.db_share.other_team import AtTheTables, ThroughTheInterface
from sandbox.db_share.owner import INTERFACE, Cinder, DeleteVolume, Volume, broken_rules
from sandbox.db_share.postgres import bell
from sandbox.db_share.read_then_write import ReadThenWrite
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.errors import BadArgument, NoSuchVolume, OverQuota, Refusal, RemoteError, RunFailed, TimedOut
from sandbox.exchange.schema import EXCHANGE, CreateVolume, ImageDownloaded, Operation, VolumeCreated
from sandbox.harness.participant import Link, Participant
from sandbox.harness.session import Session
from sandbox.site import Site

names = (f"sib{os.getpid()}_{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


def told(number: int = 1) -> Operation:
    return Operation(number, "image_downloaded", ImageDownloaded(number, 2, 10**6))


def tell(sender: Sender, operation: Operation) -> None:
    sender.begin(operation)
    outcomes = sender.outcomes(10)
    assert [(outcome.operation, outcome.status) for outcome in outcomes] == [(operation.id, Status.ACCEPTED)]


# --- two workers and one row ----------------------------------------------------------------------


def taken_by_both(channel: CompareAndSwap, session: Session) -> tuple[list[int], list[int]]:
    """One row; a slow worker is overtaken by a quick one between reading and writing. What each has taken."""
    site = session.site(channel)
    channel.install(site, EXCHANGE)
    with closing(channel.sender(site, EXCHANGE, "glance")) as sender:
        tell(sender, told(7))
    return overtake(session, partial(take, channel, site, "slow"), partial(take, channel, site, "quick"))


def test_of_two_that_read_and_then_write_both_take_the_same_row(session: Session) -> None:
    assert taken_by_both(ReadThenWrite(), session) == ([7], [7])


def test_in_the_same_order_compare_and_swap_gives_the_row_to_one(session: Session) -> None:
    assert taken_by_both(CompareAndSwap(), session) == ([], [7])


def test_one_worker_alone_never_shows_it(session: Session) -> None:
    site = session.site()
    channel = ReadThenWrite()
    channel.install(site, EXCHANGE)
    with closing(channel.sender(site, EXCHANGE, "glance")) as sender:
        for number in range(1, 11):
            tell(sender, told(number))

    with closing(channel.receiver(site, EXCHANGE, "metering", "alone")) as receiver:
        taken = receiver.take(5, 20)
        again = receiver.take(0, 20)

    assert ([delivery.operation for delivery in taken], again) == ([told(number) for number in range(1, 11)], [])


def test_conformance_refutes_reading_and_then_writing_for_competing_receivers(session: Session) -> None:
    report = prove(ReadThenWrite(pause=0.02), session, about="contract.competing")

    assert {finding.guarantee for finding in report.refuted} == {"contract.competing"}, str(report)


@pytest.mark.slow
def test_reading_and_then_writing_keeps_all_that_it_declares(session: Session) -> None:
    report = prove(ReadThenWrite(pause=0.005), session)

    assert {finding.guarantee for finding in report.refuted} <= {"contract.competing"}, str(report)


def test_a_pause_below_nothing_is_refused() -> None:
    with pytest.raises(BadArgument, match="pause: expected 0 or more seconds, got -1"):
        CompareAndSwap(pause=-1)


def test_one_who_never_comes_to_the_point_is_named(session: Session) -> None:
    with pytest.raises(RunFailed, match="never came to its point between reading and writing; it returned 5"):
        overtake(session, lambda between: 5, lambda between: 6)


# --- a counter that two processes raise -----------------------------------------------------------

RAISES = [usage.read_then_write, usage.compare_and_swap, usage.in_one_statement]


@pytest.fixture
def counter(session: Session) -> Path:
    """The use of project 1, which may use 100 GB."""
    file = session.site().folder / "usage.db"
    usage.create(file, {1: 100})
    return file


def raised_twice(session: Session, raising: Callable[..., bool], file: Path, size_gb: int) -> tuple[Any, Any, int]:
    """Whether each was granted, and what the counter says."""
    act = partial(raising, file, 1, size_gb)
    return *overtake(session, act, act), usage.in_use(file, 1)


def test_reading_and_then_writing_loses_the_update_in_between(session: Session, counter: Path) -> None:
    assert raised_twice(session, usage.read_then_write, counter, 30) == (True, True, 30)


def test_and_it_grants_more_than_the_quota_while_the_counter_looks_right(session: Session, counter: Path) -> None:
    assert raised_twice(session, usage.read_then_write, counter, 60) == (True, True, 60)


@pytest.mark.parametrize("raising", RAISES[1:])
def test_a_sound_way_counts_both(session: Session, counter: Path, raising: Callable[..., bool]) -> None:
    assert raised_twice(session, raising, counter, 30) == (True, True, 60)


@pytest.mark.parametrize("raising", RAISES[1:])
def test_a_sound_way_grants_one_of_two_that_do_not_both_fit(
    session: Session, counter: Path, raising: Callable[..., bool]
) -> None:
    assert raised_twice(session, raising, counter, 60) == (False, True, 60)


@pytest.mark.parametrize("raising", RAISES)
def test_alone_every_way_keeps_to_the_quota(counter: Path, raising: Callable[..., bool]) -> None:
    granted = [raising(counter, 1, 40) for _ in range(3)]

    assert (granted, usage.in_use(counter, 1)) == ([True, True, False], 80)


# --- polling against notification -----------------------------------------------------------------


@pytest.fixture
def in_postgres(postgres_address: str, short_folder: Path) -> Iterator[Callable[..., Site]]:
    with ExitStack() as stack:

        def install(channel: SkipLocked) -> Site:
            site = Site(short_folder, next(names), addresses={"postgres": postgres_address})
            channel.install(site, EXCHANGE)
            stack.callback(channel.uninstall, site)
            return site

        yield install


@pytest.mark.parametrize(("notify", "heard"), [(True, ["", "the end"]), (False, ["the end"])])
def test_without_notification_nobody_is_notified(
    in_postgres: Callable[..., Site], notify: bool, heard: list[str]
) -> None:
    # Given a stranger who listens to the bell of a group
    channel = SkipLocked(notify=notify)
    site = in_postgres(channel)
    with psycopg.connect(site.address("postgres"), autocommit=True) as stranger:
        stranger.execute(f'LISTEN "{bell(site, "metering")}"'.encode())

        # When something is told to that group
        with closing(channel.sender(site, EXCHANGE, "glance")) as sender:
            tell(sender, told())
        stranger.execute("SELECT pg_notify(%s, 'the end')", [bell(site, "metering")])

        # Then the bell has rung, or not
        rung = [notice.payload for notice in stranger.notifies(timeout=10, stop_after=len(heard))]
    assert rung == heard


def _receive(link: Link, channel: Channel, site: Site, wanted: int) -> tuple[list[int], int, int]:
    with closing(channel.receiver(site, EXCHANGE, "metering", "r")) as receiver:
        receiver.take(0)
        link.send("looks")
        numbers: list[int] = []
        while len(numbers) < wanted:
            for delivery in receiver.take(1):
                numbers.append(delivery.operation.id)
                delivery.settle()
        return numbers, receiver.looks, receiver.empty_looks


@pytest.mark.parametrize("channel", [SkipLocked(notify=False, poll=0.002), SkipLocked(), CompareAndSwap()], ids=str)
def test_a_receiver_in_its_own_process_gets_all_and_knows_how_often_it_has_looked(
    session: Session, channel: Channel, request: pytest.FixtureRequest
) -> None:
    site = session.site(channel)
    channel.install(site, EXCHANGE)
    member = session.participant("receiver")
    try:
        member.begin(_receive, channel, site, 20)
        assert member.receive(20) == "looks"
        with closing(channel.sender(site, EXCHANGE, "glance")) as sender:
            for number in range(1, 21):
                tell(sender, told(number))
        numbers, looks, empty = member.finish(20)
    finally:
        member.close()
        channel.uninstall(site)

    assert numbers == list(range(1, 21))
    assert looks - empty == 20  # one row for each look that was not in vain
    assert empty >= 1


def test_one_who_polls_looks_again_and_again_in_vain(in_postgres: Callable[..., Site]) -> None:
    channel = SkipLocked(notify=False, poll=0.001)
    with closing(channel.receiver(in_postgres(channel), EXCHANGE, "metering", "r")) as receiver:
        while receiver.looks < 50:
            assert receiver.take(0.2) == []

        assert receiver.empty_looks == receiver.looks


def test_one_who_is_notified_looks_only_when_there_is_something(in_postgres: Callable[..., Site]) -> None:
    channel = SkipLocked(repoll=60)
    with closing(channel.receiver(in_postgres(channel), EXCHANGE, "metering", "r")) as receiver:
        assert receiver.take(0.2) == []

        assert receiver.empty_looks <= 2  # when it comes, and for what has rung before


def test_an_asker_who_polls_finds_its_answer_even_after_its_time(in_postgres: Callable[..., Site]) -> None:
    # Given an answer in time and one too late
    channel = SkipLocked(notify=False, poll=0.002, timeout=0.5)
    site = in_postgres(channel)
    with (
        closing(channel.sender(site, EXCHANGE, "nova")) as sender,
        closing(channel.receiver(site, EXCHANGE, ASK_GROUP, "cinder")) as receiver,
    ):
        asked = [Operation(number, "create_volume", CreateVolume(number, 2, 10)) for number in (1, 2)]
        statuses: list[tuple[int, Status]] = []
        for operation in asked:
            sender.begin(operation)
            first = operation.id == 1
            while (operation.id, Status.ANSWERED if first else Status.UNKNOWN) not in statuses:
                for delivery in receiver.take(0):
                    if first:
                        delivery.reply(VolumeCreated(1, "host"))
                        delivery.settle()
                    else:
                        late = delivery
                statuses += [(outcome.operation, outcome.status) for outcome in sender.outcomes(0.05)]

        # When the late one comes
        late.reply(VolumeCreated(2, "host"))
        receiver.take(0)
        while not sender.late:
            assert sender.outcomes(0.05) == []

    # Then it was fetched and counted, and much of the looking was in vain
    assert sender.late == 1
    assert (sender.looks - sender.empty_looks, sender.empty_looks > 0) == (2, True)


# --- another team: at the tables, or through the interface ----------------------------------------


class Office:
    """Cinder in a process of its own; project 1 may use 100 GB."""

    def __init__(self, session: Session, channel: Channel) -> None:
        self.session, self.channel, self.site = session, channel, session.site(channel)
        self.file = self.site.folder / "cinder.db"
        owner.install(self.file, {1: 100})
        channel.install(self.site, INTERFACE)
        self.node: Participant = session.participant("cinder")
        self.start(release=1)
        self.client = ThroughTheInterface(channel.sender(self.site, INTERFACE, "nova"))

    def start(self, release: int) -> None:
        self.node.begin(owner.serve, self.channel, self.site, self.file, release)
        assert self.node.receive(20) == "ready"

    def upgrade(self) -> None:
        self.node.send("stop")
        self.node.finish(20)
        owner.upgrade(self.file)
        self.start(release=2)

    def close(self) -> None:
        self.client.close()
        self.node.close()
        self.channel.uninstall(self.site)


@pytest.fixture(params=["compare_and_swap", "socket"])
def office(session: Session, request: pytest.FixtureRequest) -> Iterator[Office]:
    with closing(Office(session, find(request.param))) as office:
        for volume in (1, 2):
            office.client.ask("create_volume", CreateVolume(volume, 1, 40))
        office.client.ask("delete_volume", DeleteVolume(2))
        yield office


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The tables, with an available volume of 40 GB and one that is being deleted."""
    file = tmp_path / "cinder.db"
    owner.install(file, {1: 100})
    with closing(Cinder(file)) as cinder:
        for body in (CreateVolume(1, 1, 40), CreateVolume(2, 1, 40), DeleteVolume(2)):
            assert not isinstance(cinder.answer(body), Refusal)
    assert broken_rules(file) == []
    return file


def test_at_the_tables_every_rule_breaks_and_nothing_fails(file: Path) -> None:
    with closing(AtTheTables(file)) as other_team:
        other_team.attach(2)
        other_team.extend(1, 500)

    assert broken_rules(file) == [
        "volume 2 went from deleting to in-use",
        "project 1 has 540 GB of volumes, its quota is 100",
        "project 1 has 540 GB of volumes, its usage says 80",
    ]


def test_at_the_tables_the_owners_next_release_breaks_the_other_team(file: Path) -> None:
    owner.upgrade(file)

    with (
        closing(AtTheTables(file)) as other_team,
        pytest.raises(sqlite3.OperationalError, match="no such column"),
    ):
        other_team.extend(1, 50)


def test_through_the_interface_the_rules_are_kept_and_refusals_are_answers(office: Office) -> None:
    with pytest.raises(RemoteError, match="volume 2 is deleting, it has to be available"):
        office.client.attach(2)
    with pytest.raises(OverQuota, match="quota of project 1"):
        office.client.extend(1, 500)
    with pytest.raises(RemoteError, match="only be given more"):
        office.client.extend(1, 40)
    with pytest.raises(NoSuchVolume, match="no volume 9"):
        office.client.attach(9)
    with pytest.raises(RemoteError, match="a volume 1 already"):
        office.client.ask("create_volume", CreateVolume(1, 1, 1))

    assert office.client.extend(1, 60) == Volume(1, "available", 60)
    assert office.client.attach(1) == Volume(1, "in-use", 60)
    assert broken_rules(office.file) == []


def test_through_the_interface_the_owners_next_release_disturbs_nobody(office: Office) -> None:
    office.upgrade()

    assert office.client.extend(1, 60) == Volume(1, "available", 60)
    assert office.client.ask("create_volume", CreateVolume(3, 1, 0)) == VolumeCreated(3, "cinder")
    assert broken_rules(office.file, release=2) == []


def test_without_the_owner_the_interface_says_that_nobody_knows(session: Session) -> None:
    channel = CompareAndSwap(timeout=0.1)
    site = session.site(channel)
    channel.install(site, INTERFACE)

    with closing(ThroughTheInterface(channel.sender(site, INTERFACE, "nova"))) as client, pytest.raises(TimedOut):
        client.attach(1)
