"""The idempotent receiver: what any channel delivers again is worked once, and where that ends."""

from __future__ import annotations

import os
import pickle
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from sandbox.api import run
from sandbox.catalogue import find
from sandbox.channel import ASK_GROUP, Channel, Status
from sandbox.conformance import prove
from sandbox.errors import BadArgument, OverQuota, ServerUnavailable
from sandbox.exchange.schema import EXCHANGE, CreateVolume, ImageDownloaded, Operation, Verb, VolumeCreated
from sandbox.file_share.spool import Spool
from sandbox.guarantees import Delivery
from sandbox.harness.checker import State as Verdict
from sandbox.harness.compare import name_of
from sandbox.harness.participant import Link, Participant
from sandbox.harness.session import Session
from sandbox.harness.workload import Workload
from sandbox.idempotent import Idempotent
from sandbox.memory import Memory, State, create
from sandbox.rpc.socket import Socket
from sandbox.site import Site

#: so short that a claim that is not settled comes back within the test
LEASE = 0.2
#: one receiver gets more at once than it can work within a lease, and the other takes over what has lapsed
LONG_BATCHES = Workload(
    "tell", operations=24, rate=2000, warmup=0, size=200, receivers=2, batch=20, service=0.03, timeout=2
)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


# --- in real runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["spool", "streams", "skip_locked"])
def test_what_is_delivered_again_is_billed_twice_unless_its_receiver_remembers(title: str, session: Session) -> None:
    channel = find(title, lease=LEASE)
    try:
        naive = run(channel, LONG_BATCHES, session=session)
    except ServerUnavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    wrapped = run(Idempotent(channel), LONG_BATCHES, session=session)

    assert naive.accounts[Verb.TELL].duplicated > 0
    assert naive.bills["metering"].doubled > 0
    assert wrapped.verdict.state is Verdict.VALID, wrapped.verdict
    assert wrapped.accounts[Verb.TELL].ok == wrapped.accounts[Verb.TELL].delivered == 24
    assert wrapped.accounts[Verb.TELL].duplicated == 0
    assert wrapped.bills["metering"].right
    assert wrapped.history.style == channel.style


def _settle_and_wait(link: Link, channel: Channel, site: Site) -> None:
    """Take three, do them, settle them; the channel carries that out with its next take, which never comes."""
    receiver = channel.receiver(site, EXCHANGE, "metering", "first")
    taken: list[int] = []
    while len(taken) < 3:
        for delivery in receiver.take(1.0, 3 - len(taken)):
            taken.append(delivery.operation.id)
            delivery.settle()
            if len(taken) == 3:
                link.send(taken)
                link.recv()


def _killed_in_between(session: Session, channel: Channel, site: Site) -> None:
    member: Participant = session.participant("first")
    member.begin(_settle_and_wait, channel, site)
    assert member.receive(timeout=10) == [1, 2, 3]
    member.kill()
    with pytest.raises(EOFError):
        member.receive(timeout=10)
    member.close()


@pytest.mark.parametrize(("memory", "again"), [("file", []), ("process", [1, 2, 3])])
def test_a_note_in_a_file_survives_the_kill_that_the_settlement_did_not(
    memory: str, again: list[int], session: Session, stack: ExitStack
) -> None:
    # Given a receiver that is killed when it has done and settled three, before the channel has carried that out
    channel = Idempotent(find("skip_locked", lease=LEASE), memory=memory)
    try:
        site = session.site(channel)
    except ServerUnavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    channel.install(site, EXCHANGE)
    stack.callback(channel.uninstall, site)
    sender = stack.enter_context(closing(channel.sender(site, EXCHANGE, "s")))
    for number in (1, 2, 3):
        sender.begin(told(number))
    while len(sender.outcomes(0.1)) == 0:
        pass
    _killed_in_between(session, channel, site)
    # When all claims have lapsed, and another receiver looks for as long as there is anything
    receiver = stack.enter_context(closing(channel.receiver(site, EXCHANGE, "metering", "second")))
    seen = []
    while (backlog := channel.backlog(site)).ready + backlog.claimed:
        for delivery in receiver.take(0.05, 10):
            seen.append(delivery.operation.id)
            delivery.settle()
    # Then it works only what it does not know to be done
    assert sorted(seen) == again


# --- by hand, on the spool -------------------------------------------------------------------------


class Place:
    """A site on which a channel is installed, and the ends that a test opens."""

    def __init__(self, folder: Path, channel: Channel, stack: ExitStack) -> None:
        self.site, self.channel, self._stack = Site(folder, "t"), channel, stack
        channel.install(self.site, EXCHANGE)

    def sender(self):
        return self._stack.enter_context(closing(self.channel.sender(self.site, EXCHANGE, "s")))

    def receiver(self, name: str, group: str = "metering"):
        return self._stack.enter_context(closing(self.channel.receiver(self.site, EXCHANGE, group, name)))

    def left(self) -> int:
        backlog = Spool().backlog(self.site)
        return backlog.ready + backlog.claimed


def told(number: int) -> Operation:
    return Operation(number, "image_downloaded", ImageDownloaded(number, 2, 3))


def asked(number: int) -> Operation:
    return Operation(number, "create_volume", CreateVolume(number, 2, 3))


def test_an_answer_is_given_again_and_the_work_is_not(short_folder: Path, stack: ExitStack) -> None:
    # Given a receiver that ends when it has answered and not settled
    place = Place(short_folder, Idempotent(Spool(lease=LEASE)), stack)
    sender, first = place.sender(), place.receiver("a", ASK_GROUP)
    sender.begin(asked(1))
    first.take(5)[0].reply(VolumeCreated(1, "first"))
    first.close()
    # When another gets it
    second = place.receiver("b", ASK_GROUP)
    while place.left():
        assert second.take(0.05) == []
    # Then it has answered by itself, and the asker has one answer and a late one
    assert second.repeats == 1
    answers = [outcome for _ in range(5) for outcome in sender.outcomes(0.05) if outcome.status is Status.ANSWERED]
    assert [outcome.answer for outcome in answers] == [VolumeCreated(1, "first")]


def test_a_refusal_is_given_again_as_well(short_folder: Path, stack: ExitStack) -> None:
    place = Place(short_folder, Idempotent(Socket()), stack)
    sender, receiver = place.sender(), place.receiver("a", ASK_GROUP)
    for _ in range(2):
        sender.begin(asked(1))
        for delivery in receiver.take(0.2):
            delivery.reply(OverQuota("no"))
        (outcome,) = sender.outcomes(5)
        assert isinstance(outcome.answer, OverQuota)
    assert receiver.repeats == 1


@pytest.mark.parametrize(("in_doubt", "worked"), [("again", 1), ("aside", 0)])
def test_what_was_taken_by_a_receiver_that_is_gone_is_worked_again_or_set_aside(
    in_doubt: str, worked: int, short_folder: Path, stack: ExitStack
) -> None:
    # Given a receiver that is gone with an operation in hand: nobody can know whether it was done
    place = Place(short_folder, Idempotent(Spool(lease=LEASE), in_doubt=in_doubt), stack)
    first = place.receiver("a")
    place.sender().begin(told(1))
    assert first.take(5)
    first.close()
    # When another gets it
    second = place.receiver("b")
    seen = []
    while place.left():
        for delivery in second.take(0.05):
            seen.append(delivery)
            delivery.settle()
    # Then that is decided as it was chosen
    assert len(seen) == worked
    assert Spool().backlog(place.site).set_aside == 1 - worked


def test_what_another_receiver_still_works_on_is_held_until_that_is_over(short_folder: Path, stack: ExitStack) -> None:
    place = Place(short_folder, Idempotent(Spool(lease=LEASE)), stack)
    first, second = place.receiver("a"), place.receiver("b")
    place.sender().begin(told(1))
    (delivery,) = first.take(5)
    assert second.take(3 * LEASE) == []  # its lease has lapsed and the other has it now, but does not hand it out
    delivery.settle()
    while place.left():
        assert second.take(0.05) == []
    assert second.repeats > 0


def test_work_that_takes_too_long_is_in_doubt_although_its_receiver_lives(short_folder: Path, stack: ExitStack) -> None:
    place = Place(short_folder, Idempotent(Spool(lease=LEASE), work=2 * LEASE), stack)
    first, second = place.receiver("a"), place.receiver("b")
    place.sender().begin(told(1))
    assert first.take(5)

    assert [delivery.operation.id for delivery in second.take(5)] == [1]


def test_what_was_released_is_handed_out_again(short_folder: Path, stack: ExitStack) -> None:
    place = Place(short_folder, Idempotent(Spool()), stack)
    receiver = place.receiver("a")
    place.sender().begin(told(1))
    receiver.take(5)[0].release()

    assert [delivery.operation.id for delivery in receiver.take(5)] == [1]


def test_no_more_than_the_limit_is_handed_out_and_the_rest_comes_next(short_folder: Path, stack: ExitStack) -> None:
    place = Place(short_folder, Idempotent(Spool()), stack)
    sender, receiver = place.sender(), place.receiver("a")
    for number in range(5):
        sender.begin(told(number))
    seen: list[int] = []
    while len(seen) < 5:
        taken = receiver.take(5, 2)
        assert 0 < len(taken) <= 2
        for delivery in taken:
            seen.append(delivery.operation.id)
            delivery.settle()

    assert sorted(seen) == [0, 1, 2, 3, 4]


# --- the memory ------------------------------------------------------------------------------------


def remember(path: Path | None, name: str = "r", keep: float = 3600, most: int = 1000, work: float = 60) -> Memory:
    return Memory(path, name, keep=keep, most=most, work=work)


def test_of_many_that_claim_the_same_each_operation_goes_to_exactly_one(tmp_path: Path) -> None:
    path = tmp_path / "m" / "g.db"
    create(path)
    got: list[int] = []

    def claim_all(name: str) -> None:
        with closing(remember(path, name)) as memory:
            mine = []
            for number in range(100):
                if memory.claim(number).state is State.OURS:
                    mine.append(number)
                    memory.done(number)
            got.extend(mine)

    threads = [threading.Thread(target=claim_all, args=(f"r{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(got) == Counter(range(100))


def test_what_is_in_doubt_goes_to_one_of_those_that_ask(tmp_path: Path, stack: ExitStack) -> None:
    path = tmp_path / "m" / "g.db"
    create(path)
    gone = remember(path, "same")
    assert gone.claim(1).state is State.OURS
    here, there = (stack.enter_context(closing(remember(path, name))) for name in ("same", "other"))
    assert here.claim(1).state is State.BUSY
    gone.close()

    assert here.claim(1).state is State.DOUBTFUL
    assert there.claim(1).state is State.BUSY


def test_it_remembers_no_more_than_it_may(stack: ExitStack) -> None:
    memory = stack.enter_context(closing(remember(None, most=8)))
    for number in range(100):
        memory.claim(number)
        memory.done(number)

    # from the newest on: whoever asks for what was forgotten has it, and makes it forget more
    known = [number for number in reversed(range(100)) if memory.claim(number).state is State.DONE]
    assert 8 <= len(known) <= 10
    assert known == list(range(99, 99 - len(known), -1))


def test_what_is_at_work_is_never_forgotten_to_make_room(stack: ExitStack) -> None:
    memory = stack.enter_context(closing(remember(None, most=2)))
    memory.claim(1000)
    for number in range(20):
        memory.claim(number)
        memory.done(number)

    assert memory.claim(1000).state is State.BUSY


def test_what_is_older_than_it_remembers_is_new(stack: ExitStack) -> None:
    memory = stack.enter_context(closing(remember(None, keep=1e-9)))
    memory.claim(1)
    memory.done(1, b"{}")

    assert memory.claim(1).state is State.OURS
    memory.done(1)
    assert memory.claim(1).said is None  # and its old answer is not the answer to the new one


# --- as a channel ----------------------------------------------------------------------------------


def test_it_takes_style_and_servers_from_what_it_wraps_and_travels() -> None:
    wrapped = Idempotent(find("skip_locked"))
    travelled = pickle.loads(pickle.dumps(wrapped))

    assert travelled == wrapped
    assert (travelled.style, travelled.needs) == ("db_share", ("postgres",))
    assert travelled.guarantees == wrapped.channel.guarantees
    assert Idempotent(Spool(), in_doubt="aside").guarantees.tell.delivery is Delivery.AT_MOST_ONCE


@pytest.mark.parametrize("knobs", [{"memory": "head"}, {"in_doubt": "maybe"}, {"keep": 0}, {"most": 0}, {"work": 0}])
def test_bad_knobs_are_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(BadArgument):
        Idempotent(Spool(), **knobs)


def test_a_class_is_no_channel_to_wrap() -> None:
    with pytest.raises(BadArgument, match="with the parentheses"):
        Idempotent(Spool)


@pytest.mark.parametrize("in_doubt", ["again", "aside"])
def test_the_wrapped_channel_still_delivers_as_it_promises(in_doubt: str, session: Session) -> None:
    report = prove(Idempotent(Spool(lease=0.4), in_doubt=in_doubt), session, about="tell.delivery")

    assert report.ok, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("in_doubt", ["again", "aside"])
@pytest.mark.parametrize("title", ["spool", "compare_and_swap", "skip_locked", "socket", "streams"])
def test_every_wrapped_channel_keeps_every_promise(title: str, in_doubt: str, session: Session) -> None:
    try:
        report = prove(Idempotent(find(title), in_doubt=in_doubt), session)
    except ServerUnavailable as reason:
        pytest.skip(str(reason))

    assert report.ok, str(report)


def test_a_receiver_without_install_says_what_to_do(short_folder: Path, stack: ExitStack) -> None:
    Spool().install(Site(short_folder, "t"), EXCHANGE)
    with pytest.raises(ServerUnavailable, match="Call install"):
        Idempotent(Spool()).receiver(Site(short_folder, "t"), EXCHANGE, "metering", "r")


def test_in_a_comparison_it_is_named_after_what_it_wraps() -> None:
    wrapped = Idempotent(Spool(flush=True), memory="process")

    assert name_of(wrapped) == "idempotent(channel=spool(flush=True), memory=process)"
