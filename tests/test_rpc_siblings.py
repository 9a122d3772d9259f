"""RPC from naive to sound: each sibling fails in its own way in a real run, and the next one does not."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.api import run
from sandbox.catalogue import catalogue
from sandbox.channel import Channel, Status
from sandbox.conformance import prove
from sandbox.errors import BadArgument
from sandbox.exchange.schema import EXCHANGE, CreateVolume, ImageDownloaded, Operation, Verb, VolumeCreated
from sandbox.harness import run as run_module
from sandbox.harness.cast import Intervention
from sandbox.harness.checker import State
from sandbox.harness.journal import Event
from sandbox.harness.result import Result
from sandbox.harness.session import Session
from sandbox.harness.workload import Workload
from sandbox.rpc.blind_retry import BlindRetry
from sandbox.rpc.idempotency_key import IdempotencyKey
from sandbox.rpc.no_timeout import NoTimeout
from sandbox.rpc.socket import Socket
from sandbox.site import Site

BEFORE_THE_START = -1.0
#: each attempt of these is over long before a paused receiver wakes up
BLIND = BlindRetry(timeout=0.1, pause=0.02, attempts=5)
KEYED = IdempotencyKey(timeout=0.1, pause=0.02, attempts=5)
#: so often that each of its calls finds the receiver that is not paused, or the other one awake
UNTIL_IT_WORKS = 100


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon on what will never come."""
    monkeypatch.setattr(run_module, "PATIENCE", 0.3)


def paused(name: str, until: float) -> list[Intervention]:
    """A receiver that is paused when the load begins, until so many seconds after it began."""
    return [
        (BEFORE_THE_START, lambda cast: cast[name].pause()),
        (until, lambda cast: cast[name].resume()),
    ]


def asks(**knobs: object) -> Workload:
    return Workload("ask", **{"operations": 20, "rate": 200, "warmup": 0, "size": 200, "timeout": 0.5, **knobs})


def tells(**knobs: object) -> Workload:
    return asks().but(verb="tell", **knobs)


def unknown(result: Result) -> int:
    """How many operations were reported UNKNOWN."""
    return len(result.history.of(Event.UNKNOWN))


# --- a call without a timeout, and with one --------------------------------------------------------


def test_without_a_timeout_a_paused_receiver_leaves_every_call_open(session: Session) -> None:
    # When the receiver is paused for longer than anybody's patience
    result = run(NoTimeout(), asks(), session=session, interventions=paused("volumes-0", 1.2))
    # Then nothing at all is said of any call, and nobody knows that each was worked in the end
    assert result.verdict.state is State.VALID, result.verdict
    assert (result.accounts[Verb.ASK].info, unknown(result)) == (20, 0)
    assert result.accounts[Verb.ASK].recovered == 20


def test_with_a_timeout_every_call_is_said_to_be_unknown(session: Session) -> None:
    result = run(Socket(timeout=0.1), asks(), session=session, interventions=paused("volumes-0", 1.2))

    assert (result.accounts[Verb.ASK].info, unknown(result)) == (20, 20)
    assert result.accounts[Verb.ASK].duplicated == 0


def test_a_killed_receiver_is_noticed_without_a_timeout_too(session: Session) -> None:
    # Its kernel closes the connection: why nobody misses the timeout on one machine
    dead: list[Intervention] = [
        (BEFORE_THE_START, lambda cast: cast["volumes-0"].pause()),
        (0.3, lambda cast: cast.kill("volumes-0")),
    ]
    result = run(NoTimeout(), asks(), session=session, interventions=dead)

    assert unknown(result) == 20


# --- blind retry, and a key ------------------------------------------------------------------------


def test_calls_made_again_blindly_create_volumes_twice(session: Session) -> None:
    # When one of two receivers is paused, its calls are made again at the other, and then it wakes up
    workload, stalled = asks(receivers=2, timeout=5.0), paused("volumes-0", 0.8)
    result = run(replace(BLIND, attempts=UNTIL_IT_WORKS), workload, session=session, interventions=stalled)
    # Then all were answered, and some are done twice
    assert result.verdict.state is State.VALID, result.verdict
    assert result.accounts[Verb.ASK].ok == 20
    assert result.volumes is not None
    assert result.volumes.created_twice > 0
    assert result.accounts[Verb.ASK].duplicated == result.volumes.created_twice
    assert any("created twice" in finding for finding in result.findings)


def test_calls_made_again_under_their_key_are_worked_once(session: Session) -> None:
    workload, stalled = asks(receivers=2, timeout=5.0), paused("volumes-0", 0.8)
    result = run(replace(KEYED, attempts=UNTIL_IT_WORKS), workload, session=session, interventions=stalled)

    assert result.accounts[Verb.ASK].ok == 20
    assert result.accounts[Verb.ASK].duplicated == 0
    assert result.volumes is not None
    assert (result.volumes.created, result.volumes.created_twice) == (20, 0)


SLOW = {"operations": 4, "loop": "closed", "service": 0.15, "timeout": 5.0}


def test_a_receiver_slower_than_the_timeout_works_all_attempts_and_answers_none(session: Session) -> None:
    result = run(BlindRetry(timeout=0.04, pause=0.01, attempts=2), asks(**SLOW), session=session)

    assert result.accounts[Verb.ASK].info == 4
    assert result.accounts[Verb.ASK].duplicated >= 3  # the last one may still lie there when all are stopped


def test_with_a_key_the_next_attempt_gets_the_answer_that_came_too_late_for_the_first(session: Session) -> None:
    result = run(IdempotencyKey(timeout=0.04, pause=0.01, attempts=50), asks(**SLOW), session=session)

    assert result.accounts[Verb.ASK].ok == 4
    assert result.accounts[Verb.ASK].duplicated == 0


# --- calling everyone, and cast --------------------------------------------------------------------


@pytest.mark.parametrize("channel", [BLIND, KEYED], ids=lambda channel: channel.title())
def test_when_everyone_is_called_one_silent_group_makes_all_others_work_again(
    channel: BlindRetry, session: Session
) -> None:
    # When audit is paused, no tell is ever acknowledged by both groups
    workload = tells(groups=("metering", "audit"), timeout=1.0)
    result = run(channel, workload, session=session, interventions=paused("audit-0", 1.5))
    # Then metering, with which nothing was wrong, is told again and again, and bills again unless it remembers
    assert result.accounts[Verb.TELL].info == 20
    assert (result.bills["metering"].doubled > 0) is (channel is BLIND)


def test_a_call_to_everyone_is_accepted_only_when_the_last_group_has_settled_it(session: Session) -> None:
    workload = tells(groups=("metering", "audit"))
    result = run(Socket(timeout=0.1), workload, session=session, interventions=paused("audit-0", 1.2))

    assert result.accounts[Verb.TELL].ok == 0
    assert result.bills["metering"].right
    assert result.accounts[Verb.TELL].delivered == 40


@pytest.mark.parametrize("cast", [True, False])
def test_a_cast_that_the_kernel_had_accepted_is_lost_with_its_receiver_and_a_call_is_not_called_accepted(
    cast: bool, session: Session
) -> None:
    dead: list[Intervention] = [
        (BEFORE_THE_START, lambda cast: cast["metering-0"].pause()),
        (0.4, lambda cast: cast.kill("metering-0")),
    ]
    result = run(Socket(cast=cast, timeout=0.2), tells(), session=session, interventions=dead)

    accounts = result.accounts[Verb.TELL]
    assert (accounts.ok, accounts.info) == ((20, 0) if cast else (0, 20))
    assert accounts.lost == (20 if cast else 0)


# --- by hand ---------------------------------------------------------------------------------------


class Place:
    """A site with the ends that a test opens."""

    def __init__(self, folder: Path, channel: Socket, stack: ExitStack) -> None:
        self.site, self.channel, self._stack = Site(folder, "t"), channel, stack
        channel.install(self.site, EXCHANGE)

    def sender(self):
        return self._stack.enter_context(closing(self.channel.sender(self.site, EXCHANGE, "s")))

    def receiver(self, name: str, group: str = "volumes"):
        return self._stack.enter_context(closing(self.channel.receiver(self.site, EXCHANGE, group, name)))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def asked(number: int) -> Operation:
    return Operation(number, "create_volume", CreateVolume(number, 2, 3))


def final(sender, patience: int = 100):
    for _ in range(patience):
        if found := sender.outcomes(0.05):
            return found[0]
    raise AssertionError("no outcome")


@pytest.mark.parametrize(("memory", "worked_again"), [("file", 0), ("process", 1)])
def test_after_a_restart_only_a_memory_in_a_file_knows_what_was_done(
    memory: str, worked_again: int, short_folder: Path, stack: ExitStack
) -> None:
    # Given an operation that was answered, by a receiver that is no more
    place = Place(short_folder, IdempotencyKey(memory=memory), stack)
    sender, first = place.sender(), place.receiver("a")
    sender.begin(asked(1))
    (delivery,) = first.take(5)
    delivery.reply(VolumeCreated(1, "first"))
    delivery.settle()
    assert final(sender).answer == VolumeCreated(1, "first")
    first.close()
    # When it is asked again
    again = place.receiver("a")
    sender.begin(asked(1))
    taken = again.take(0.3)
    # Then the answer is the one that was given before, or the work is there once more
    assert len(taken) == worked_again
    for delivery in taken:
        delivery.reply(VolumeCreated(1, "second"))
    assert final(sender).answer == VolumeCreated(1, "second" if worked_again else "first")


def test_a_failure_of_the_last_attempt_is_unknown_if_an_earlier_one_may_have_been_carried_out(
    short_folder: Path, stack: ExitStack
) -> None:
    place = Place(short_folder, BlindRetry(timeout=5, pause=0, attempts=2), stack)
    sender, receiver = place.sender(), place.receiver("a")
    sender.begin(asked(1))
    assert receiver.take(5)
    receiver.close()  # with the work perhaps done; and nobody listens any more
    outcome = final(sender)

    assert outcome.status is Status.UNKNOWN
    assert "nobody listens" in outcome.reason


def test_what_certainly_never_happened_is_still_a_failure_after_all_attempts(
    short_folder: Path, stack: ExitStack
) -> None:
    sender = Place(short_folder, BlindRetry(pause=0, attempts=3), stack).sender()
    sender.begin(asked(1))

    assert final(sender).status is Status.FAILED


def test_a_refusal_is_an_answer_and_not_asked_again(short_folder: Path, stack: ExitStack) -> None:
    place = Place(short_folder, BLIND, stack)
    sender, receiver = place.sender(), place.receiver("a")
    sender.begin(asked(1))
    receiver.take(5)[0].set_aside("poison")

    assert final(sender).status is Status.ANSWERED
    assert receiver.take(0.3) == []


def test_a_tell_that_was_set_aside_is_not_told_again(short_folder: Path, stack: ExitStack) -> None:
    place = Place(short_folder, BLIND, stack)
    sender, receiver = place.sender(), place.receiver("a", "metering")
    sender.begin(Operation(1, "image_downloaded", ImageDownloaded(1, 2, 3)))
    receiver.take(5)[0].set_aside("poison")

    assert final(sender).status is Status.UNKNOWN
    assert receiver.take(0.3) == []


def test_what_is_released_is_called_again_by_its_sender(short_folder: Path, stack: ExitStack) -> None:
    place = Place(short_folder, BLIND, stack)
    sender, receiver = place.sender(), place.receiver("a")
    sender.begin(asked(1))
    receiver.take(5)[0].release()
    sender.outcomes(0.1)
    receiver.take(5)[0].reply(VolumeCreated(1, "host"))

    assert final(sender).answer == VolumeCreated(1, "host")


# --- what they say of themselves -------------------------------------------------------------------


@pytest.mark.parametrize("knobs", [{"attempts": 0}, {"pause": -1}, {"pause": math.inf}, {"timeout": math.inf}])
def test_knobs_of_a_retry_that_make_no_sense_are_refused(knobs: dict[str, float]) -> None:
    with pytest.raises(BadArgument):
        BlindRetry(**knobs)


@pytest.mark.parametrize("knobs", [{"memory": "head"}, {"keep": 0}, {"most": 0}, {"work": -1}, {"attempts": 0}])
def test_knobs_of_a_memory_that_make_no_sense_are_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(BadArgument):
        IdempotencyKey(**knobs)


@pytest.mark.parametrize("title", ["no_timeout", "blind_retry", "idempotency_key"])
def test_the_siblings_are_in_the_catalogue_and_travel(title: str) -> None:
    channel = catalogue()[title]()

    assert pickle.loads(pickle.dumps(channel)) == channel
    assert not channel.sound


#: what is known to be broken, and said in the docstrings
BREAKS = {"blind_retry": {"ask.delivery"}, "idempotency_key": {"ask.support"}}


@pytest.mark.slow
@pytest.mark.parametrize("channel", [NoTimeout(), BlindRetry(), IdempotencyKey()], ids=lambda channel: channel.title())
def test_a_sibling_breaks_no_promise_but_those_it_is_known_to_break(channel: Channel, session: Session) -> None:
    report = prove(channel, session)

    assert {finding.guarantee for finding in report.refuted} == BREAKS.get(channel.title(), set()), str(report)
