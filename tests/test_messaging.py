"""Streams on a real broker: what the conformance suite does not ask of every channel."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Delivery, Outcome, Receiver, Sender, Status
from sandbox.errors import (
    BadArgument,
    ConnectionLost,
    NoSuchVolume,
    OverQuota,
    RunFailed,
    ServerUnavailable,
    TooLarge,
    UnknownMessage,
)
from sandbox.exchange.schema import (
    EXCHANGE,
    CreateVolume,
    GetState,
    ImageDownloaded,
    Operation,
    Schema,
    SetState,
    Verb,
    VolumeCreated,
    VolumeState,
)
from sandbox.floor import Load
from sandbox.guarantees import Acceptor
from sandbox.messaging import streams_receiver
from sandbox.messaging.connection import PAUSE, Address, Line, pack
from sandbox.messaging.entries import Keys, Packer, add_event
from sandbox.messaging.floor import Floor
from sandbox.messaging.streams import Streams
from sandbox.servers import Server, popen_spawn, start
from sandbox.site import Site

_runs = count(1)
PATIENCE = 10.0  # s, for what must come; only a failing test waits so long


class Run:
    """One installed channel on a broker, with ends that are closed when the test is over."""

    def __init__(self, address: str, folder: Path, stack: ExitStack, groups: tuple[str, ...] = ("metering",)) -> None:
        self.site = Site(folder, f"t{os.getpid()}_{next(_runs)}", groups, {"redis": address})
        self.channel = Streams(lease=0.3)
        self.keys = Keys.of(self.site)
        self._stack = stack
        self.line = Line(Address.parse(address), PATIENCE)
        self._stack.callback(self.line.close)
        self.channel.install(self.site, EXCHANGE)

    def sender(self, name: str = "sender", **knobs: Any) -> Any:
        return self._end(replace(self.channel, **knobs).sender(self.site, EXCHANGE, name))

    def receiver(self, group: str = "metering", name: str = "receiver", **knobs: Any) -> Receiver:
        receiver: Receiver = self._end(replace(self.channel, **knobs).receiver(self.site, EXCHANGE, group, name))
        return receiver

    def backlog(self) -> Any:
        return self.channel.backlog(self.site)

    def tell(self, *identities: int) -> None:
        sender = self.channel.sender(self.site, EXCHANGE, f"teller{identities[0]}")
        for identity in identities:
            sender.begin(downloaded(identity))
        finals(sender, len(identities))
        sender.close()

    def _end(self, end: Any) -> Any:
        self._stack.callback(end.close)
        return end


@pytest.fixture
def run(redis_address: str, tmp_path: Path) -> Iterator[Run]:
    with ExitStack() as stack:
        run = Run(redis_address, tmp_path, stack)
        yield run
        run.channel.uninstall(run.site)


@pytest.fixture
def own_server(short_folder: Path) -> Iterator[Server]:
    """A broker of the test's own, because it will suffer."""
    try:
        server = start("redis", short_folder / "redis", popen_spawn)
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    if server.external:
        pytest.skip("the broker is yours, and is not killed")
    yield server
    server.stop()


@pytest.fixture
def own_run(own_server: Server, tmp_path: Path) -> Iterator[Run]:
    with ExitStack() as stack:
        yield Run(own_server.address, tmp_path, stack)


def downloaded(identity: int, text: str = "") -> Operation:
    return Operation(identity, "image_downloaded", ImageDownloaded(identity, 1, 100, text))


def volume(identity: int) -> Operation:
    return Operation(identity, "create_volume", CreateVolume(identity, 1, 10))


def write(identity: int, number: int, version: int, state: Any = "available") -> Operation:
    return Operation(identity, "set_state", SetState(number, state, version))


def read(identity: int, number: int) -> Operation:
    return Operation(identity, "get_state", GetState(number))


def finals(sender: Sender, number: int = 1, wanted: tuple[Status, ...] = tuple(Status)) -> list[Outcome]:
    """The next outcomes of the wanted kinds, at least so many."""
    found: list[Outcome] = []
    end = time.monotonic() + PATIENCE
    while len(found) < number and time.monotonic() < end:
        found += [outcome for outcome in sender.outcomes(0.1) if outcome.status in wanted]
    assert len(found) >= number, f"only {found} within {PATIENCE} s"
    return found


def answer(sender: Sender) -> Any:
    return finals(sender, wanted=(Status.ANSWERED,))[0].answer


def take(receiver: Receiver, number: int = 1) -> list[Delivery]:
    """The next deliveries, at least so many."""
    found: list[Delivery] = []
    end = time.monotonic() + PATIENCE
    while len(found) < number and time.monotonic() < end:
        found += receiver.take(0.1, number)
    assert len(found) >= number, f"only {len(found)} deliveries within {PATIENCE} s"
    return found


def eventually(true: Callable[[], bool], meanwhile: Callable[[], object] = lambda: time.sleep(0.01)) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"not true within {PATIENCE} s"
        meanwhile()


# --- the three verbs ----------------------------------------------------------------------------


def test_every_group_of_listeners_gets_its_own_copy_of_everything_told_even_before_it_listens(
    redis_address: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        run = Run(redis_address, tmp_path, stack, ("metering", "audit", "search"))
        run.tell(*range(1, 11))
        for group in run.site.groups:
            taken = take(run.receiver(group, f"r_{group}"), 10)
            assert [delivery.operation for delivery in taken] == [downloaded(identity) for identity in range(1, 11)]
        run.channel.uninstall(run.site)


def test_receivers_of_one_group_share_the_work(run: Run) -> None:
    run.tell(*range(1, 21))
    receivers = [run.receiver(name=f"r{number}") for number in range(4)]
    taken = [delivery.operation.id for receiver in receivers for delivery in take(receiver, 5)]
    assert sorted(taken) == list(range(1, 21))


def test_take_returns_no_more_than_its_limit(run: Run) -> None:
    run.tell(1, 2, 3)
    assert [len(run.receiver().take(1.0, limit)) for limit in (1, 1, 5)] == [1, 1, 1]


def test_take_without_a_timeout_finds_what_is_there(run: Run) -> None:
    run.tell(1)
    assert [delivery.operation.id for delivery in run.receiver().take(0)] == [1]


@pytest.mark.parametrize("result", [VolumeCreated(7, "host1"), OverQuota("project 1 may have 5 GB")], ids=["yes", "no"])
def test_an_answer_finds_its_ask_by_return_address_and_correlation_identifier(run: Run, result: Any) -> None:
    # Given two senders that ask, and each uses other identifiers
    first, second = run.sender("first"), run.sender("second")
    first.begin(volume(7))
    second.begin(volume(8))
    # When both are answered, in one order or the other
    receiver = run.receiver(ASK_GROUP)
    for delivery in take(receiver, 2):
        delivery.reply(result if delivery.operation.id == 7 else VolumeCreated(8, "host2"))
        delivery.settle()
    # Then each gets its own
    got = answer(first)
    assert (type(got), str(got)) == (type(result), str(result))
    assert answer(second) == VolumeCreated(8, "host2")


def test_an_ask_is_reported_accepted_once_and_answered_once(run: Run) -> None:
    sender, receiver = run.sender(), run.receiver(ASK_GROUP)
    statuses: list[Status] = []
    sender.begin(volume(1))
    (delivery,) = take(receiver)
    delivery.reply(VolumeCreated(1, "h"))
    delivery.reply(VolumeCreated(1, "h"))  # as a receiver does that has worked it twice
    eventually(lambda: sender.ignored == 1, lambda: statuses.extend(o.status for o in sender.outcomes(0.05)))
    assert sorted(statuses) in ([Status.ANSWERED], [Status.ACCEPTED, Status.ANSWERED])


def test_nothing_is_sent_in_reply_to_a_tell(run: Run) -> None:
    run.tell(1)
    receiver = run.channel.receiver(run.site, EXCHANGE, "metering", "r")
    take(receiver)[0].reply(VolumeCreated(1, "h"))
    receiver.close()
    assert run.line.call("XLEN", run.keys.answers_to("teller1")) == 0


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (downloaded(1, "x" * (1 << 20)), TooLarge),
        (Operation(1, "image_uploaded", ImageDownloaded(1, 1, 1)), UnknownMessage),
    ],
)
def test_what_cannot_be_sent_at_all_is_refused_at_once(run: Run, operation: Operation, error: type[Exception]) -> None:
    sender = run.sender()
    with pytest.raises(error):
        sender.begin(operation)
    assert sender.outcomes(0) == []


# --- settling, releasing, setting aside ------------------------------------------------------------


def test_what_a_killed_receiver_had_claimed_is_delivered_to_another_as_a_second_attempt(run: Run) -> None:
    # Given a process that has claimed one of two and settled neither
    run.tell(1)
    code = (
        "import sys, time, pickle\n"
        "channel, site, schema = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "receiver = channel.receiver(site, schema, 'metering', 'doomed')\n"
        "print(receiver.take(10)[0].attempt, flush=True)\n"
        "time.sleep(60)\n"
    )
    packed = pickle.dumps((run.channel, run.site, EXCHANGE)).hex()
    with subprocess.Popen([sys.executable, "-c", code, packed], stdout=subprocess.PIPE) as doomed:
        assert doomed.stdout is not None
        assert doomed.stdout.readline() == b"1\n"
        # When it is killed
        doomed.send_signal(signal.SIGKILL)
    # Then another one gets it, once the lease is over
    (delivery,) = take(run.receiver())
    assert (delivery.operation, delivery.attempt) == (downloaded(1), 2)


def test_attempts_count_up_with_every_lapsed_claim(run: Run) -> None:
    run.tell(1)
    receiver = run.receiver()
    assert [take(receiver)[0].attempt for _ in range(3)] == [1, 2, 3]


def test_what_was_settled_never_comes_again_although_its_receiver_only_took_on(run: Run) -> None:
    run.tell(1)
    receiver = run.receiver(lease=0.1)
    take(receiver)[0].settle()
    assert receiver.take(0.4) == []  # settled with this take, and looked for lapsed claims since
    assert run.backlog().claimed == 0


def test_closing_a_receiver_carries_out_what_was_settled(run: Run) -> None:
    run.tell(1, 2)
    receiver = run.channel.receiver(run.site, EXCHANGE, "metering", "r")
    for delivery in take(receiver, 2):
        delivery.settle()
    receiver.close()
    assert (run.backlog().ready, run.backlog().claimed) == (0, 0)


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.7], ids=["at once", "below the lease", "beyond the lease"])
def test_what_is_released_comes_again_after_the_delay_and_not_before(run: Run, delay: float) -> None:
    run.tell(1)
    receiver, other = run.receiver(), run.receiver(name="other")
    released = time.monotonic()
    take(receiver)[0].release(delay)
    while not (found := receiver.take(0.05) + other.take(0.05)):
        assert time.monotonic() < released + PATIENCE
    assert time.monotonic() >= released + delay - 0.002  # the broker counts in whole ms
    assert [(delivery.operation.id, delivery.attempt) for delivery in found] == [(1, 2)]


def test_a_delay_beyond_a_day_is_refused(run: Run) -> None:
    run.tell(1)
    with pytest.raises(BadArgument, match="delay: expected 0 to 86400 s"):
        take(run.receiver())[0].release(1e6)


def test_many_that_were_released_for_long_do_not_hide_a_lapsed_claim_behind_them(run: Run) -> None:
    # Given more released entries than one page of claims holds, and one lapsed claim behind them
    run.tell(*range(1, 302))
    receiver = run.receiver()
    taken = [delivery for _ in range(3) for delivery in take(receiver, 100)]
    for delivery in taken:
        delivery.release(60.0)
    (last,) = take(receiver)
    # When somebody looks for claims to take over, then the lapsed one is found
    (again,) = take(run.receiver(name="other"))
    assert (again.operation.id, again.attempt) == (last.operation.id, 2)


def test_what_is_set_aside_lies_in_the_dead_letter_channel_with_its_reason_and_origin(run: Run) -> None:
    run.tell(1)
    receiver = run.receiver(lease=0.1)
    take(receiver)[0].set_aside("no such project")
    assert receiver.take(0.4) == []
    ((_, flat),) = run.line.call("XRANGE", run.keys.dead, "-", "+")
    letter = dict(zip(flat[::2], flat[1::2], strict=True))
    assert (letter[b"reason"], letter[b"group"]) == (b"no such project", b"metering")
    assert EXCHANGE.decode("image_downloaded", letter[b"payload"]) == downloaded(1).body
    assert (run.backlog().claimed, run.backlog().set_aside) == (0, 1)


# --- backlog ---------------------------------------------------------------------------------------


def test_the_backlog_counts_what_is_unread_claimed_released_and_set_aside(run: Run) -> None:
    run.tell(*range(1, 11))
    asking = run.sender()
    asking.begin(volume(11))
    finals(asking)
    receiver = run.receiver(lease=50.0)
    claimed = take(receiver, 4)
    claimed[0].set_aside("because")
    claimed[1].release(60.0)
    eventually(lambda: run.backlog().set_aside == 1)
    # 6 unread tells, 1 released, 1 unread ask; 2 claimed, whose lease as the receiver has it is 50 s
    backlog = replace(run.channel, lease=50.0).backlog(run.site)
    assert backlog is not None
    assert (backlog.ready, backlog.claimed, backlog.set_aside) == (8, 2, 1)
    assert 0 < backlog.lease <= 50.0


def test_the_backlog_is_right_although_the_broker_has_lost_count(run: Run) -> None:
    # Given an entry deleted by hand from the middle of what is unread
    run.tell(*range(1, 11))
    take(run.receiver(), 3)
    entries = run.line.call("XRANGE", run.keys.tells, "-", "+")
    run.line.call("XDEL", run.keys.tells, entries[6][0])
    # Then the rest is counted
    assert run.backlog().ready == 6


def test_without_a_broker_the_backlog_cannot_be_told(run: Run) -> None:
    assert run.channel.backlog(run.site.with_address("redis", f"unix://{run.site.folder}/none")) is None


# --- hostile input -----------------------------------------------------------------------------------

GOOD = {
    "event": b"image_downloaded",
    "id": b"1",
    "sender": b"stranger",
    "version": b"1.0",
    "payload": b'{"image":1,"project":1,"bytes_sent":1}',
}
HOSTILE = {
    "no payload": {"payload": None},
    "no id": {"id": None},
    "no event": {"event": None},
    "no return address": {"sender": None},
    "an id that is no number": {"id": b"one"},
    "a negative id": {"id": b"-1"},
    "an id beyond 64 bits": {"id": b"9223372036854775808"},
    "an endless id": {"id": b"9" * 100_000},
    "an unknown event": {"event": b"image_exploded"},
    "an event that is not text": {"event": b"\xff\xfe"},
    "an event of another verb": {"event": b"create_volume", "payload": b'{"volume":1,"project":1,"size_gb":1}'},
    "a return address that is no name": {"sender": b"x\r\nDEL *"},
    "bad JSON": {"payload": b'{"image":1,'},
    "another shape": {"payload": b"[1,2,3]"},
    "a renamed field": {"payload": b'{"image":1,"project":1,"volume_bytes":1}'},
    "a number out of range": {"payload": b'{"image":1,"project":1,"bytes_sent":-1}'},
    "text that is not UTF-8": {"payload": b'{"image":1,"project":1,"bytes_sent":1,"metadata":"\xff"}'},
    "a giant payload": {"payload": b'"' + b"x" * (5 << 20) + b'"'},
    "deep nesting": {"payload": b"[" * 100_000},
}


def inject(run: Run, stream: str, changes: dict[str, bytes | None]) -> None:
    flat = [word for pair in ({**GOOD, **changes}).items() if pair[1] is not None for word in pair]
    run.line.call("XADD", stream, "*", *flat)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_entry_is_refused_and_set_aside_and_the_receiver_goes_on(
    run: Run, changes: dict[str, bytes | None]
) -> None:
    inject(run, run.keys.tells, changes)
    run.tell(1)
    receiver = run.receiver()
    (good,) = take(receiver)
    assert good.operation == downloaded(1)
    assert len(receiver.refused) == 1
    good.settle()
    receiver.close()
    backlog = run.backlog()
    assert (backlog.ready, backlog.claimed, backlog.set_aside) == (0, 0, 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from(["event", "id", "sender", "payload", "other"]),
            st.one_of(st.binary(max_size=40), st.sampled_from(list(GOOD.values()))),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_a_stranger_adds_to_the_stream_the_next_real_event_is_delivered(
    run: Run, fields: list[tuple[str, bytes]]
) -> None:
    run.line.call("XADD", run.keys.tells, "*", *(word for pair in fields for word in pair))
    run.tell(999)
    receiver = run.channel.receiver(run.site, EXCHANGE, "metering", "r")
    try:
        taken: list[Delivery] = []
        while not taken or taken[-1].operation.id != 999:
            taken += take(receiver)
            taken[-1].settle()
        assert len(taken) + len(receiver.refused) == 2
    finally:
        receiver.close()


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_entry_among_the_answers_is_ignored_and_counted(run: Run, changes: dict[str, bytes | None]) -> None:
    sender, receiver = run.sender(), run.receiver(ASK_GROUP)
    inject(run, run.keys.answers_to("sender"), changes)
    sender.begin(volume(7))
    take(receiver)[0].reply(VolumeCreated(7, "h"))
    assert answer(sender) == VolumeCreated(7, "h")
    assert sender.ignored == 1


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_entry_among_the_states_is_ignored(run: Run, changes: dict[str, bytes | None]) -> None:
    inject(run, run.keys.states, changes)
    sender = run.sender()
    sender.begin(write(1, 5, 1))
    finals(sender)
    sender.begin(read(2, 5))
    assert answer(sender) == VolumeState(5, "available", 1)


def test_an_answer_that_cannot_be_understood_leaves_its_ask_unknown(run: Run) -> None:
    sender = run.sender()
    sender.begin(volume(7))
    inject(run, run.keys.answers_to("sender"), {"event": b"create_volume", "id": b"7", "payload": b'{"host":3}'})
    (outcome,) = finals(sender, wanted=(Status.UNKNOWN,))
    assert "an answer came that is none" in outcome.reason


def test_a_return_address_never_leads_outside_the_run(run: Run) -> None:
    # Given an ask by a stranger who would like the answer elsewhere
    body = b'{"volume":1,"project":1,"size_gb":1}'
    inject(run, run.keys.asks, {"event": b"create_volume", "sender": b"../other:key", "payload": body})
    receiver = run.receiver(ASK_GROUP)
    take(receiver)[0].reply(VolumeCreated(1, "h"))
    # Then it lands below the run's own name, and goes with it
    eventually(lambda: run.line.call("EXISTS", run.keys.answers_to("../other:key")) == 1)
    run.channel.uninstall(run.site)
    assert run.line.call("KEYS", f"*{run.site.name}*") == []
    run.channel.install(run.site, EXCHANGE)


# --- late answers -----------------------------------------------------------------------------------


def test_an_answer_after_the_timeout_is_dropped_and_counted_and_never_given_to_another_ask(run: Run) -> None:
    sender, receiver = run.sender(timeout=0.1), run.receiver(ASK_GROUP)
    sender.begin(volume(1))
    (outcome,) = finals(sender, wanted=(Status.UNKNOWN,))
    assert outcome.operation == 1
    # When the late answer comes together with one in time
    late = take(receiver)[0]
    late.reply(VolumeCreated(1, "too late"))
    late.settle()
    eventually(lambda: sender.late == 1, lambda: sender.outcomes(0.05))
    patient = run.sender("patient")
    patient.begin(volume(2))
    take(receiver)[0].reply(VolumeCreated(2, "in time"))
    assert answer(patient) == VolumeCreated(2, "in time")
    assert (sender.late, sender.ignored) == (1, 0)


# --- shared state --------------------------------------------------------------------------------------


def test_a_volume_that_nobody_has_written_has_no_state(run: Run) -> None:
    sender = run.sender()
    sender.begin(read(1, 5))
    assert isinstance(answer(sender), NoSuchVolume)


def test_a_reader_that_comes_late_first_folds_all_that_was_written_before(run: Run) -> None:
    # Given more writes than one read of the stream returns
    writer = run.sender("writer")
    for version in range(1, 601):
        writer.begin(write(version, version % 3, version))
    finals(writer, 600)
    # When a new reader asks, then it answers with the latest of each
    reader = run.sender("reader")
    for number in range(3):
        reader.begin(read(number, number))
    versions = sorted(outcome.answer.version for outcome in finals(reader, 3))  # type: ignore[union-attr]
    assert versions == [598, 599, 600]


def test_a_replica_never_goes_back_to_an_older_version(run: Run) -> None:
    sender, reader = run.sender("writer"), run.sender("reader")
    for identity, version in enumerate([1, 5, 3, 2], 1):
        sender.begin(write(identity, 9, version))
    sender.begin(write(5, 8, 1))
    finals(sender, 5)
    # the last write is seen only after all before it have been folded in
    seen: list[int] = []

    def look() -> None:
        reader.begin(read(10 + len(seen), 9))
        seen.append(getattr(answer(reader), "version", 0))

    def has_all() -> bool:
        reader.begin(read(100, 8))
        return isinstance(answer(reader), VolumeState)

    eventually(has_all, look)
    look()
    assert seen == sorted(seen)
    assert seen[-1] == 5


def test_a_reader_that_only_waits_for_outcomes_keeps_its_replica_fresh(run: Run) -> None:
    reader, writer = run.sender("reader"), run.sender("writer")
    reader.begin(read(1, 5))
    assert isinstance(answer(reader), NoSuchVolume)
    for version in range(1, 1001):
        writer.begin(write(version, 5, version))
    finals(writer, 1000)

    def newest() -> bool:
        reader.begin(read(2, 5))
        return getattr(answer(reader), "version", 0) == 1000

    eventually(newest, lambda: reader.outcomes(0.02))


# --- a broker that suffers --------------------------------------------------------------------------------


def test_a_frozen_broker_never_makes_begin_wait_and_gets_everything_when_it_thaws(
    own_run: Run, own_server: Server
) -> None:
    # Given a broker that reads nothing, and far more than the system's buffers hold
    sender = own_run.sender(timeout=60.0)
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        for identity in range(1, 3001):
            sender.begin(downloaded(identity, "x" * 2000))
        assert sender.outcomes(0) == []
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    # Then all arrive, whole and in order
    assert [(o.operation, o.status) for o in finals(sender, 3000)] == [(i, Status.ACCEPTED) for i in range(1, 3001)]
    receiver = own_run.receiver(lease=60.0)
    assert [delivery.operation.id for delivery in take(receiver, 3000)] == list(range(1, 3001))


def test_a_frozen_broker_leaves_operations_unknown_after_the_timeout_and_its_late_word_is_counted(
    own_run: Run, own_server: Server
) -> None:
    sender = own_run.sender(timeout=0.1)
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        sender.begin(downloaded(1))
        assert [outcome.status for outcome in finals(sender)] == [Status.UNKNOWN]
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    eventually(lambda: sender.late == 1, lambda: sender.outcomes(0.05))


def test_a_killed_broker_leaves_what_was_on_its_way_unknown_and_fails_what_comes_after_until_it_is_back(
    own_run: Run, own_server: Server
) -> None:
    # Given operations that the broker has not confirmed
    sender = own_run.sender()
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGSTOP)
    for identity in (1, 2):
        sender.begin(downloaded(identity))
    sender.begin(volume(3))
    # When it is killed
    own_server.kill()
    # Then nobody can say whether they happened
    outcomes = finals(sender, 3)
    assert [(o.operation, o.status) for o in outcomes] == [(i, Status.UNKNOWN) for i in (1, 2, 3)]
    assert all("connection" in o.reason for o in outcomes)
    # and what comes after certainly does not happen
    sender.begin(downloaded(4))
    assert [(o.operation, o.status) for o in finals(sender)] == [(4, Status.FAILED)]
    # until it is back
    own_server.restart()

    def accepted() -> bool:
        sender.begin(downloaded(5))
        return finals(sender)[0].status is Status.ACCEPTED

    eventually(accepted, lambda: sender.outcomes(0.05))
    assert [delivery.operation.id for delivery in take(own_run.receiver())] == [5]


def test_an_ask_accepted_before_the_broker_was_killed_is_answered_when_it_is_back(
    own_run: Run, own_server: Server
) -> None:
    sender, receiver = own_run.sender(timeout=60.0), own_run.receiver(ASK_GROUP, lease=60.0)
    sender.begin(volume(1))
    assert [outcome.status for outcome in finals(sender)] == [Status.ACCEPTED]
    (delivery,) = take(receiver)
    # When the broker dies under the receiver's work, which answers and settles all the same
    own_server.kill()
    delivery.reply(VolumeCreated(1, "h"))
    delivery.settle()
    assert receiver.take(0.05) == []
    own_server.restart()
    # Then both are made good
    eventually(lambda: own_run.backlog().claimed == 0, lambda: receiver.take(0.05))
    assert answer(sender) == VolumeCreated(1, "h")


def test_a_receiver_without_a_broker_takes_nothing_and_goes_on_when_it_is_back(
    own_run: Run, own_server: Server
) -> None:
    own_run.tell(1)
    receiver = own_run.receiver()
    own_server.kill()
    assert [receiver.take(timeout) for timeout in (0, 0.05, 0.2)] == [[], [], []]
    own_server.restart()
    assert take(receiver)[0].operation.id == 1


def test_a_receiver_does_not_spin_while_the_broker_is_away(
    own_run: Run, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = own_run.receiver()
    own_server.kill()
    attempts: list[float] = []

    def refuse(address: Address, timeout: float) -> Line:
        attempts.append(timeout)
        raise ConnectionLost("nobody there")

    monkeypatch.setattr(streams_receiver, "Line", refuse)
    receiver.take(10 * PAUSE)
    assert 1 <= len(attempts) <= 11


def test_a_replica_answers_although_the_broker_is_away_but_a_new_one_cannot(own_run: Run, own_server: Server) -> None:
    sender, late = own_run.sender(), own_run.sender("late", timeout=0.1)
    sender.begin(write(1, 5, 1))
    finals(sender)
    sender.begin(read(2, 5))
    assert answer(sender) == VolumeState(5, "available", 1)
    own_server.kill()
    sender.begin(read(3, 5))
    late.begin(read(4, 5))
    assert answer(sender) == VolumeState(5, "available", 1)
    assert [(o.operation, o.status) for o in finals(late)] == [(4, Status.FAILED)]


def test_what_the_broker_refuses_has_certainly_failed(own_run: Run) -> None:
    sender = own_run.sender()
    own_run.line.call("CONFIG", "SET", "maxmemory", "1")
    sender.begin(downloaded(1))
    (outcome,) = finals(sender)
    assert (outcome.status, "the broker refused it: OOM" in outcome.reason) == (Status.FAILED, True)


def test_over_tcp_with_a_password_it_works_just_the_same(short_folder: Path) -> None:
    # Given a folder whose name is too long for a socket file
    server = start("redis", short_folder / ("x" * 100) / "redis", popen_spawn)
    try:
        if server.external or not server.address.startswith("redis://"):
            pytest.skip("no broker over TCP with a password here")
        with ExitStack() as stack:
            run = Run(server.address, short_folder, stack)
            run.tell(1)
            assert take(run.receiver())[0].operation == downloaded(1)
            wrong = server.address.replace("redis://:", "redis://:wrong")
            with pytest.raises(ServerUnavailable, match="WRONGPASS") as caught:
                run.channel.sender(run.site.with_address("redis", wrong), EXCHANGE, "s")
            assert wrong.split(":")[2].split("@")[0] not in str(caught.value)
    finally:
        server.stop()


# --- installing, addresses, knobs ----------------------------------------------------------------------


def test_uninstalling_leaves_nothing_of_the_run_and_all_of_its_neighbours(
    run: Run, redis_address: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        other = Run(redis_address, tmp_path, stack)
        for each in (run, other):
            each.tell(1)
        other.channel.uninstall(other.site)
        assert run.line.call("KEYS", f"{other.site.name}:*") == []
        assert run.backlog().ready == 1


def test_a_name_that_is_in_use_is_not_installed_again(run: Run) -> None:
    with pytest.raises(RunFailed, match="BUSYGROUP"):
        run.channel.install(run.site, EXCHANGE)


def test_a_receiver_whose_stream_was_removed_says_so(run: Run) -> None:
    receiver = run.receiver()
    run.channel.uninstall(run.site)
    with pytest.raises(RunFailed, match="NOGROUP"):
        receiver.take(0.1)


@pytest.mark.parametrize("group", ["nobody", OWNER_GROUP])
def test_a_group_that_was_not_installed_cannot_be_joined(run: Run, group: str) -> None:
    with pytest.raises(BadArgument, match="group: expected one of metering, volumes"):
        run.receiver(group)


def test_ends_without_a_broker_say_what_to_do(run: Run) -> None:
    site = run.site.with_address("redis", f"unix://{run.site.folder}/none")
    with pytest.raises(ServerUnavailable, match="What to do"):
        run.channel.sender(site, EXCHANGE, "s")
    with pytest.raises(ServerUnavailable, match="What to do"):
        run.channel.receiver(site, EXCHANGE, "metering", "r")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///tmp/v.sock", Address("/tmp/v.sock", "", "", 0)),
        ("unix://:se%40cret@/tmp/v.sock?db=2", Address("/tmp/v.sock", "", "se@cret", 2)),
        ("redis://localhost", Address(("localhost", 6379), "", "", 0)),
        ("redis://me:se%2Fcret@127.0.0.1:7000/3", Address(("127.0.0.1", 7000), "me", "se/cret", 3)),
    ],
)
def test_an_address_is_read_from_its_url(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize(
    "url", ["http://:secret@host", "redis://:secret@", "redis://:secret@h:x/0", "unix://", "redis://h/secret"]
)
def test_an_address_that_cannot_be_read_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadArgument, match=r"unix:///path\.sock or redis://host:port/0") as caught:
        Address.parse(url)
    assert "secret" not in str(caught.value)


def test_a_peer_that_does_not_speak_the_protocol_is_no_broker(short_folder: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as liar:
        liar.bind(str(short_folder / "s"))
        liar.listen()

        def greet() -> None:
            peer, _ = liar.accept()
            with peer:
                peer.recv(100)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(ConnectionLost, match="no connection to the broker"):
            Line(Address.parse(f"unix://{short_folder}/s"), 5.0)
        thread.join()


@given(st.integers(0, 2**63 - 1), st.binary(max_size=300))
def test_an_event_packed_the_quick_way_is_the_same_to_the_byte(number: int, payload: bytes) -> None:
    for words in (("run:tells", "image_downloaded", "sender", "1.0"), ("id", "id", "0", "0")):
        stream, event, sender, version = words
        slow = pack(add_event(stream, event, number, sender, version, payload))
        assert Packer(*words).pack(number, payload) == slow


def test_flushing_is_promised_only_by_a_server_that_flushes() -> None:
    for channel in (
        Streams(flush=True),
        pickle.loads(pickle.dumps(Streams(flush=True))),
        replace(Streams(), flush=True),
    ):
        assert channel.needs == ("redis_always",)
        assert channel.guarantees.tell.accepted_by is Acceptor.DISK
    assert Streams().needs == ("redis",)
    assert Streams().guarantees.tell.accepted_by is Acceptor.SERVER


@pytest.mark.parametrize("knobs", [{"lease": 0.0}, {"lease": 1e9}, {"timeout": -1.0}])
def test_knobs_that_make_no_sense_are_refused(knobs: dict[str, float]) -> None:
    with pytest.raises(BadArgument, match=next(iter(knobs))):
        Streams(**knobs)  # type: ignore[arg-type]


def test_a_schema_without_asks_and_states_is_enough(run: Run) -> None:
    schema = Schema(EXCHANGE.of_verb(Verb.TELL))
    sender = run.channel.sender(run.site, schema, "teller")
    sender.begin(downloaded(1))
    assert finals(sender)[0].status is Status.ACCEPTED
    sender.close()


# --- the floor ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [None, 2000.0], ids=["full speed", "paced"])
def test_the_floor_carries_its_load(redis_address: str, tmp_path: Path, rate: float | None) -> None:
    site = Site(tmp_path, f"t{os.getpid()}_{next(_runs)}", addresses={"redis": redis_address})
    floor = Floor()
    floor.install(site)
    load = Load(CreateVolume(1, 1, 1), ImageDownloaded(1, 1, 1, "x" * 1000), asks=20, tells=500, rate=rate, window=16)
    taken: list[int] = []
    ready = threading.Event()
    server = threading.Thread(target=lambda: taken.extend(floor.serve(site, load, ready.set)))
    server.start()
    ready.wait()
    driven = floor.drive(site, load)
    server.join()
    assert (len(driven.asks), len(driven.told), len(taken)) == (20, 500, 500)
    assert min(driven.asks) > 0
    assert driven.told == sorted(driven.told)
    assert driven.acknowledged >= driven.told[-1]
    assert len(floor.bare(site, 1024, 10)) == 10
    floor.uninstall(site)
