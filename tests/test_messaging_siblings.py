"""From naive to sound over a broker: publish and subscribe, settling before the work, settling after it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from sandbox.catalogue import catalogue
from sandbox.channel import Outcome, Receiver, Sender, Status
from sandbox.conformance import prove
from sandbox.errors import BadArgument, Malformed, RunFailed, ServerUnavailable, TooLarge
from sandbox.exchange import oracles
from sandbox.exchange.schema import EXCHANGE, CreateVolume, ImageDownloaded, Operation, Verb
from sandbox.harness import moments
from sandbox.harness import run as run_module
from sandbox.harness.cast import Cast
from sandbox.harness.checker import account
from sandbox.harness.journal import Event, read
from sandbox.harness.moments import at_work
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.workload import Workload
from sandbox.messaging.connection import Address, Line
from sandbox.messaging.pubsub import PubSub
from sandbox.messaging.streams import Streams
from sandbox.servers import popen_spawn, start
from sandbox.site import Site

PATIENCE = 10.0  # s, for what must come; only a failing test waits so long


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        try:
            made.server("redis")
        except ServerUnavailable as reason:
            pytest.skip(str(reason))
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon on what will never come."""
    monkeypatch.setattr(run_module, "PATIENCE", 0.5)


@pytest.fixture
def site(redis_address: str, tmp_path: Path) -> Site:
    return Site(tmp_path, f"t{time.monotonic_ns()}", ("metering", "audit"), {"redis": redis_address})


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def downloaded(identity: int, text: str = "") -> Operation:
    return Operation(identity, "image_downloaded", ImageDownloaded(identity, 1, 100, text))


def sender_of(site: Site, ends: ExitStack) -> Sender:
    return ends.enter_context(closing(PubSub().sender(site, EXCHANGE, "sender")))


def receiver_of(site: Site, ends: ExitStack, group: str = "metering", name: str = "receiver") -> Receiver:
    return ends.enter_context(closing(PubSub().receiver(site, EXCHANGE, group, name)))


def finals(sender: Sender, number: int = 1) -> list[Outcome]:
    found: list[Outcome] = []
    end = time.monotonic() + PATIENCE
    while len(found) < number and time.monotonic() < end:
        found += sender.outcomes(0.1)
    assert len(found) >= number, f"only {found} within {PATIENCE} s"
    return found


def taken(receiver: Receiver, number: int) -> list[int]:
    found: list[int] = []
    end = time.monotonic() + PATIENCE
    while len(found) < number and time.monotonic() < end:
        found += [delivery.operation.id for delivery in receiver.take(0.1, number)]
    return found


# --- publish and subscribe: who is away misses it -------------------------------------------------


def test_the_naive_sibling_is_in_the_catalogue_and_says_that_it_is_not_sound() -> None:
    assert catalogue()["pub_sub"] is PubSub
    assert not PubSub.sound


def test_who_comes_later_has_missed_it(site: Site, ends: ExitStack) -> None:
    # Given one listener, and one that comes after the first message
    sender, early = sender_of(site, ends), receiver_of(site, ends)
    sender.begin(downloaded(1))
    assert [outcome.status for outcome in finals(sender)] == [Status.ACCEPTED]
    late = receiver_of(site, ends, "audit", "late")
    # When a second is told
    sender.begin(downloaded(2))
    finals(sender)
    # Then the first is gone for the late one, although it was accepted
    assert taken(early, 2) == [1, 2]
    assert taken(late, 1) == [2]


def test_what_nobody_hears_is_reported_failed(site: Site, ends: ExitStack) -> None:
    sender = sender_of(site, ends)
    sender.begin(downloaded(1))
    (outcome,) = finals(sender)
    assert (outcome.status, outcome.reason) == (Status.FAILED, "nobody has subscribed")


def test_every_subscriber_of_one_group_gets_everything(site: Site, ends: ExitStack) -> None:
    sender = sender_of(site, ends)
    receivers = [receiver_of(site, ends, name=f"r{number}") for number in range(2)]
    for identity in (1, 2, 3):
        sender.begin(downloaded(identity))
    assert [taken(receiver, 3) for receiver in receivers] == [[1, 2, 3], [1, 2, 3]]


def test_who_is_too_slow_is_cut_off_and_the_sender_is_told_that_all_was_accepted(
    short_folder: Path, ends: ExitStack
) -> None:
    # Given a broker that keeps 1 MiB for a subscriber, and one that does not read
    server = start("redis", short_folder / "redis", popen_spawn)
    ends.callback(server.stop)
    site = Site(short_folder, "slow", addresses={"redis": server.address})
    with closing(Line(Address.parse(server.address), PATIENCE)) as line:
        line.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
    sender, slow = sender_of(site, ends), receiver_of(site, ends)
    # When more than that is told
    statuses = []
    while Status.FAILED not in statuses:  # from then on nobody is subscribed
        sender.begin(downloaded(len(statuses) + 1, "x" * 10_000))
        statuses += [outcome.status for outcome in finals(sender)]
    # Then what the broker had not got rid of is lost without a word, and it hears again what comes later
    accepted = statuses.count(Status.ACCEPTED)
    heard = []
    while not heard or heard[-1] != 10**6:
        heard += [delivery.operation.id for delivery in slow.take(0.05, 1000)]
        sender.begin(downloaded(10**6))
        sender.outcomes(0.05)
    assert accepted > 0
    assert len([identity for identity in heard if identity <= accepted]) < accepted


def test_there_is_nothing_to_give_back_to(site: Site, ends: ExitStack) -> None:
    sender, receiver = sender_of(site, ends), receiver_of(site, ends)
    sender.begin(downloaded(1))
    (delivery,) = receiver.take(PATIENCE)
    with pytest.raises(BadArgument, match="keeps what it delivers"):
        delivery.release()


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (downloaded(1, "x" * (1 << 20)), TooLarge),
        (Operation(1, "create_volume", CreateVolume(1, 1, 1)), Malformed),
    ],
)
def test_what_cannot_be_published_is_refused_at_once(
    site: Site, ends: ExitStack, operation: Operation, error: type[Exception]
) -> None:
    sender = sender_of(site, ends)
    with pytest.raises(error):
        sender.begin(operation)
    assert sender.outcomes(0) == []


def test_what_is_no_message_is_refused_and_the_next_one_heard(site: Site, ends: ExitStack) -> None:
    receiver, sender = receiver_of(site, ends), sender_of(site, ends)
    with closing(Line(Address.parse(site.address("redis")), PATIENCE)) as line:
        line.call("PUBLISH", f"{site.name}:told", b"{")
    sender.begin(downloaded(1))
    assert taken(receiver, 1) == [1]
    assert len(receiver.refused) == 1


def test_a_broker_that_dies_fails_what_comes_after_and_is_used_again_when_it_is_back(
    short_folder: Path, ends: ExitStack
) -> None:
    server = start("redis", short_folder / "redis", popen_spawn)
    ends.callback(server.stop)
    if server.external:
        pytest.skip("the broker is yours, and is not killed")
    site = Site(short_folder, "dies", addresses={"redis": server.address})
    sender, receiver = sender_of(site, ends), receiver_of(site, ends)
    server.kill()
    assert receiver.take(0.1) == []
    sender.outcomes(0.1)
    sender.begin(downloaded(1))
    assert [outcome.status for outcome in finals(sender)] == [Status.FAILED]
    server.restart()
    assert receiver.take(0.3) == []  # subscribes again
    status, end = Status.FAILED, time.monotonic() + PATIENCE
    while status is not Status.ACCEPTED and time.monotonic() < end:
        sender.begin(downloaded(2))
        status = finals(sender)[0].status
        receiver.take(0)
    assert status is Status.ACCEPTED


def test_it_keeps_every_promise_except_that_receivers_of_one_group_compete(session: Session) -> None:
    report = prove(PubSub(), session)
    assert {finding.guarantee for finding in report.refuted} == {"contract.competing"}, str(report)


# --- under one workload -----------------------------------------------------------------------------


def small(**knobs: Any) -> Workload:
    return Workload(**{"operations": 60, "rate": 300.0, "warmup": 0, "size": 200, **knobs})


def test_a_subscriber_that_dies_misses_the_rest_and_its_sender_never_learns(session: Session, impatient: None) -> None:
    # Given two groups, of which one dies while messages are told
    workload = small(groups=("metering", "audit"), service=0.001)
    history = run_history(PubSub(), workload, session, [(0.05, at_work("metering-0", Cast.kill))])
    # Then all was accepted, and billed by the other only
    accounts = account(history, Verb.TELL)
    assert (accounts.ok, accounts.fail, accounts.info) == (60, 0, 0)
    assert accounts.lost == 120 - (accounts.delivered or 0) > 0
    assert oracles.bill(history, "metering").unbilled > 0
    assert oracles.bill(history, "audit").right
    assert not history.notes  # the loss is a finding about the channel, no doubt about the measuring


def test_a_second_worker_doubles_the_bill(session: Session) -> None:
    history = run_history(PubSub(), small(receivers=2), session)
    bill = oracles.bill(history, "metering")
    assert account(history, Verb.TELL).duplicated == 60
    assert bill.billed == 2 * bill.meant


# --- streams: settled before the work, or after it ----------------------------------------------------


#: more than one is taken at once, so that some are done and not settled when the receiver dies
BATCHES = {"arrivals": "bursty", "burst": 60, "service": 0.01, "batch": 10, "receivers": 2}


def test_settled_before_the_work_what_its_receiver_dies_with_is_lost(session: Session) -> None:
    # Given a receiver that has acknowledged what it works on, as OpenStack's RPC does
    workload = small(settle="before", service=0.005, receivers=2)
    # When it is killed at work
    history = run_history(Streams(lease=1.0), workload, session, [(0.1, at_work("metering-0", Cast.kill))])
    # Then this one is lost, for good, and not one is done twice
    accounts = account(history, Verb.TELL)
    assert (accounts.acknowledged, accounts.lost, accounts.duplicated) == (60, 1, 0)
    assert oracles.bill(history, "metering").unbilled > 0


def test_settled_after_the_work_nothing_is_lost_when_its_receiver_dies(session: Session) -> None:
    workload = small(settle="after", service=0.005, receivers=2)
    history = run_history(Streams(lease=1.0), workload, session, [(0.1, at_work("metering-0", Cast.kill))])
    begun = Counter(history.of(Event.WORK)["operation"].tolist())
    assert account(history, Verb.TELL).lost == 0
    assert Counter(begun.values())[2] >= 1  # begun twice, and done once: the first receiver died at it


@pytest.mark.parametrize("settle", ["after", "before"])
def test_settled_after_the_work_what_was_done_and_not_settled_is_done_again(session: Session, settle: str) -> None:
    # Given a receiver that has done three of its batch
    kill = at_work("metering-0", Cast.kill, effects=3)
    # When it is killed at the next
    history = run_history(Streams(lease=1.0), small(settle=settle, **BATCHES), session, [(0.0, kill)])
    # Then these are billed twice; settled before, the rest of its batch is never billed
    accounts, bill = account(history, Verb.TELL), oracles.bill(history, "metering")
    if settle == "after":
        assert (accounts.lost, (accounts.duplicated or 0) > 0, bill.doubled > 0) == (0, True, True)
    else:
        assert (accounts.duplicated, (accounts.lost or 0) > 0, bill.unbilled > 0) == (0, True, True)
    assert not bill.right


def test_a_receiver_that_was_only_slow_does_what_another_has_done_meanwhile(session: Session) -> None:
    # Given a receiver that stands still at work for longer than its lease
    freeze = at_work("metering-0", lambda *_: None)

    def thaw(cast: Cast) -> None:
        cast["metering-0"].resume()

    workload = small(service=0.005, receivers=2)
    history = run_history(Streams(lease=0.2), workload, session, [(0.05, freeze), (1.0, thaw)])
    # Then the lease has lapsed, and the same is billed by both
    accounts = account(history, Verb.TELL)
    assert (accounts.lost, (accounts.duplicated or 0) > 0) == (0, True)
    assert oracles.bill(history, "metering").doubled > 0


def test_a_moment_at_work_waits_for_so_many_effects_before_and_can_be_left_again(session: Session) -> None:
    found: list[int] = []

    def look(cast: Cast, name: str) -> None:
        events = read(cast.journals[name])["event"].tolist()
        found.append(events.count(Event.EFFECT))
        assert events[-1] == Event.WORK
        cast[name].resume()

    history = run_history(Streams(), small(service=0.005), session, [(0.0, at_work("metering-0", look, effects=7))])
    assert len(found) == 1
    assert found[0] >= 7
    assert account(history, Verb.TELL).delivered == 60


def test_a_moment_that_never_comes_ends_the_run(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_PATIENCE", 0.5)
    with pytest.raises(RunFailed, match="metering-0 was not at work, after 61 effects at least"):
        run_history(Streams(), small(), session, [(0.0, at_work("metering-0", Cast.kill, effects=61))])
