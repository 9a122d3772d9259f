"""What is particular to RPC over a socket; what every channel promises is tested by the conformance suite."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from sandbox.channel import Delivery, Outcome, Status
from sandbox.errors import (
    BadArgument,
    Malformed,
    NoSuchVolume,
    OverQuota,
    Refusal,
    RemoteError,
    TooLarge,
    UnknownMessage,
)
from sandbox.exchange.schema import (
    EXCHANGE,
    CreateVolume,
    GetState,
    ImageDownloaded,
    Message,
    Operation,
    Schema,
    SetState,
    Verb,
    VolumeCreated,
    VolumeState,
)
from sandbox.floor import Load
from sandbox.guarantees import Acceptor
from sandbox.rpc.directory import folder_of
from sandbox.rpc.floor import Floor
from sandbox.rpc.framing import HEADER, Frames, framed, pack_request, unpack_reply
from sandbox.rpc.socket import Receiver, Sender, Socket
from sandbox.site import Site


class Place:
    """One site, and the ends that a test opens in it."""

    def __init__(self, site: Site, stack: ExitStack) -> None:
        self.site, self._stack = site, stack

    def sender(self, knobs: Socket | None = None, schema: Schema = EXCHANGE, name: str = "s") -> Sender:
        return self._stack.enter_context(closing((knobs or Socket()).sender(self.site, schema, name)))

    def receiver(self, group: str, name: str = "r", knobs: Socket | None = None, schema: Schema = EXCHANGE) -> Receiver:
        return self._stack.enter_context(closing((knobs or Socket()).receiver(self.site, schema, group, name)))

    def stranger(self, group: str, name: str = "r") -> socket.socket:
        """A connection of somebody who does not use our code."""
        sock = self._stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
        sock.settimeout(5)
        sock.connect(str(folder_of(self.site, group) / f"{name}.sock"))
        return sock

    def child(self, life: Callable[[], None]) -> int:
        """A process of its own, killed at the end; `life` calls nothing of the test's process."""
        pid = os.fork()
        if pid == 0:
            try:
                life()
            finally:
                os._exit(0)
        self._stack.callback(_end, pid)
        return pid


def _end(pid: int) -> None:
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.fixture
def place(short_folder: Path) -> Iterator[Place]:
    site = Site(short_folder, "t", groups=("metering",))
    Socket().install(site, EXCHANGE)
    with ExitStack() as stack:
        yield Place(site, stack)


def told(number: int, text: str = "") -> Operation:
    return Operation(number, "image_downloaded", ImageDownloaded(number, 2, 3, text))


def asked(number: int) -> Operation:
    return Operation(number, "create_volume", CreateVolume(number, 2, 3))


def take(receiver: Receiver, count: int = 1, limit: int = 1000) -> list[Delivery]:
    """`count` deliveries; a failing test says so after 5 s."""
    taken: list[Delivery] = []
    end = time.monotonic() + 5
    while len(taken) < count and time.monotonic() < end:
        taken += receiver.take(0.05, limit)
    assert len(taken) == count
    return taken


def outcomes(sender: Sender, count: int = 1) -> list[Outcome]:
    found: list[Outcome] = []
    end = time.monotonic() + 5
    while len(found) < count and time.monotonic() < end:
        found += sender.outcomes(0.05)
    assert len(found) == count
    return found


def create(delivery: Delivery) -> None:
    assert isinstance(delivery.operation.body, CreateVolume)
    delivery.reply(VolumeCreated(delivery.operation.body.volume, "h1"))
    delivery.settle()


@pytest.fixture(params=["unix", "tcp"])
def knobs(request: pytest.FixtureRequest) -> Socket:
    return Socket(transport=request.param)


# ---- calls


def test_an_ask_is_answered(place: Place, knobs: Socket) -> None:
    receiver = place.receiver("volumes", knobs=knobs)
    sender = place.sender(knobs)
    sender.begin(asked(7))
    create(*take(receiver))
    assert outcomes(sender) == [Outcome(7, Status.ANSWERED, VolumeCreated(7, "h1"))]


def test_a_tell_is_accepted_once_its_receiver_has_settled_it(place: Place, knobs: Socket) -> None:
    receiver = place.receiver("metering", knobs=knobs)
    sender = place.sender(knobs)
    sender.begin(told(1))
    (delivery,) = take(receiver)
    receiver.take(0)
    assert sender.outcomes(0.05) == []  # taken, not settled
    delivery.settle()
    receiver.take(0)
    assert outcomes(sender) == [Outcome(1, Status.ACCEPTED)]


def test_hundreds_in_flight_and_answered_out_of_order_find_their_calls(place: Place) -> None:
    receiver = place.receiver("volumes")
    sender = place.sender()
    for number in range(400):
        sender.begin(asked(number))
    taken: list[Delivery] = []
    while len(taken) < 400:  # more than the kernel holds at once: the sender sends on while it looks for outcomes
        taken += receiver.take(0.01, 1000)
        assert sender.outcomes(0) == []
    for delivery in reversed(taken):
        create(delivery)
    found: list[Outcome] = []
    while len(found) < 400:
        found += sender.outcomes(0.01)
        assert receiver.take(0) == []
    assert [outcome.operation for outcome in found] == list(reversed(range(400)))
    assert all(outcome.answer == VolumeCreated(outcome.operation, "h1") for outcome in found)


def test_share_asks_the_owner(place: Place) -> None:
    owner = place.receiver("states")
    sender = place.sender()
    sender.begin(Operation(1, "set_state", SetState(9, "in-use", 1)))
    take(owner)[0].settle()
    owner.take(0)
    assert outcomes(sender) == [Outcome(1, Status.ACCEPTED)]
    sender.begin(Operation(2, "get_state", GetState(9)))
    take(owner)[0].reply(VolumeState(9, "in-use", 1))
    assert outcomes(sender) == [Outcome(2, Status.ANSWERED, VolumeState(9, "in-use", 1))]


def test_a_tell_goes_to_every_group(place: Place) -> None:
    place.site = replace(place.site, groups=("metering", "audit"))
    both = [place.receiver("metering"), place.receiver("audit")]
    sender = place.sender()
    sender.begin(told(1))
    for receiver in both:
        assert sender.outcomes(0.02) == []  # not accepted before the last group has settled it
        take(receiver)[0].settle()
        receiver.take(0)
    assert outcomes(sender) == [Outcome(1, Status.ACCEPTED)]


def test_a_tell_that_one_group_could_not_get_is_sent_to_none(place: Place) -> None:
    place.site = replace(place.site, groups=("metering", "audit"))
    metering = place.receiver("metering")
    sender = place.sender()
    sender.begin(told(1))
    (outcome,) = outcomes(sender)
    assert outcome.status is Status.FAILED
    assert "audit" in outcome.reason
    assert metering.take(0.05) == []


def test_a_tell_that_only_one_group_has_settled_is_unknown(place: Place) -> None:
    place.site = replace(place.site, groups=("metering", "audit"))
    metering, audit = place.receiver("metering"), place.receiver("audit")
    sender = place.sender()
    sender.begin(told(1))
    take(metering)[0].settle()
    metering.take(0)
    take(audit)
    audit.close()
    assert outcomes(sender)[0].status is Status.UNKNOWN


def test_calls_are_spread_over_the_receivers_in_turn(place: Place) -> None:
    both = [place.receiver("volumes", name) for name in ("a", "b")]
    sender = place.sender()
    for number in range(10):
        sender.begin(asked(number))
    seen = [[delivery.operation.id for delivery in take(receiver, 5)] for receiver in both]
    assert sorted(seen) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


# ---- refusals and errors


class Broken(Refusal):
    """A kind that may not travel."""


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (OverQuota("10 GB"), OverQuota("10 GB")),
        (NoSuchVolume("none"), NoSuchVolume("none")),
        (RemoteError("KeyError: 3"), RemoteError("KeyError: 3")),
        (Broken("oh"), RemoteError("Broken: oh")),
        (OverQuota("\ud800" + "x" * 5000), OverQuota("?" + "x" * 999)),
    ],
)
def test_only_allowed_error_kinds_arrive_as_themselves(place: Place, said: Refusal, heard: Refusal) -> None:
    receiver = place.receiver("volumes")
    sender = place.sender()
    sender.begin(asked(1))
    take(receiver)[0].reply(said)
    (outcome,) = outcomes(sender)
    assert outcome.status is Status.ANSWERED
    assert (type(outcome.answer), str(outcome.answer)) == (type(heard), str(heard))


def test_a_refusal_cannot_pass_for_an_error_of_the_machinery(place: Place) -> None:
    # Given a refusal that bears the name of a definite error
    masked = type("UnknownMessage", (Refusal,), {})
    receiver = place.receiver("volumes")
    sender = place.sender()
    sender.begin(asked(1))
    # When it is the answer of code that has done its work
    take(receiver)[0].reply(masked("no"))
    # Then the sender is not told that the call certainly did not happen
    (outcome,) = outcomes(sender)
    assert outcome.status is Status.ANSWERED
    assert isinstance(outcome.answer, RemoteError)


@pytest.mark.parametrize(
    ("caller", "receiver", "works"),
    [("1.0", "1.4", True), ("1.4", "1.4", True), ("1.5", "1.4", False), ("2.0", "1.4", False), ("1.0", "2.0", False)],
)
def test_a_version_is_spoken_by_the_same_major_and_no_older_minor(
    place: Place, caller: str, receiver: str, works: bool
) -> None:
    messages = tuple(EXCHANGE.messages.values())
    server = place.receiver("volumes", schema=Schema(messages, receiver))
    sender = place.sender(schema=Schema(messages, caller))
    sender.begin(asked(1))
    if works:
        create(*take(server))
        assert outcomes(sender)[0].status is Status.ANSWERED
    else:
        assert server.take(0.1) == []
        (outcome,) = outcomes(sender)
        assert outcome.status is Status.FAILED
        assert outcome.reason.startswith("VersionMismatch")
        assert len(server.refused) == 1


class Strange(Struct, frozen=True):
    volume: str = "x"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message("drop_tables", Verb.ASK, Strange, VolumeCreated), "UnknownMessage"),
        (Message("__class__", Verb.ASK, Strange, VolumeCreated), "UnknownMessage: '__class__' is private"),
        (Message("create_volume", Verb.ASK, Strange, VolumeCreated), "Malformed: not a create_volume"),
    ],
)
def test_a_call_that_cannot_be_understood_certainly_fails(place: Place, message: Message, reason: str) -> None:
    receiver = place.receiver("volumes")
    sender = place.sender(schema=Schema([message]))
    sender.begin(Operation(1, message.name, Strange()))
    assert receiver.take(0.1) == []
    (outcome,) = outcomes(sender)
    assert (outcome.status, outcome.reason[: len(reason)]) == (Status.FAILED, reason)
    assert len(receiver.refused) == 1


def test_a_private_name_is_refused_even_where_the_schema_has_it(place: Place) -> None:
    schema = Schema([Message("_hidden", Verb.ASK, Strange, VolumeCreated)])
    receiver = place.receiver("volumes", schema=schema)
    sender = place.sender(schema=schema)
    sender.begin(Operation(1, "_hidden", Strange()))
    assert receiver.take(0.1) == []
    assert outcomes(sender)[0].status is Status.FAILED


def test_what_cannot_be_sent_at_all_is_refused_by_begin(place: Place) -> None:
    place.receiver("metering")
    sender = place.sender(Socket(max_bytes=200))
    with pytest.raises(TooLarge, match="at most 200"):
        sender.begin(told(1, "x" * 200))
    with pytest.raises(UnknownMessage, match="nothing"):
        sender.begin(Operation(1, "nothing", Strange()))
    with pytest.raises(Malformed, match="JSON"):
        sender.begin(told(1, "\ud800"))
    assert sender.outcomes(0) == []


def test_a_body_of_exactly_max_bytes_is_taken(place: Place) -> None:
    operation = told(1, "x" * 300)
    exactly = Socket(max_bytes=len(EXCHANGE.encode(operation.body)))
    receiver = place.receiver("metering", knobs=exactly)
    place.sender(exactly).begin(operation)
    assert take(receiver)[0].operation == operation


def test_an_answer_beyond_max_bytes_is_refused_to_whoever_gives_it(place: Place) -> None:
    receiver = place.receiver("volumes", knobs=Socket(max_bytes=100))
    sender = place.sender()
    sender.begin(asked(1))
    (delivery,) = take(receiver)
    with pytest.raises(TooLarge):
        delivery.reply(VolumeCreated(1, "h" * 100))
    delivery.reply(RemoteError("too long to say"))
    assert isinstance(outcomes(sender)[0].answer, RemoteError)


def test_setting_an_ask_aside_tells_the_asker(place: Place) -> None:
    receiver = place.receiver("volumes")
    sender = place.sender()
    sender.begin(asked(1))
    take(receiver)[0].set_aside("poison")
    (outcome,) = outcomes(sender)
    assert (outcome.status, str(outcome.answer)) == (Status.ANSWERED, "poison")
    assert receiver.set_aside == ["poison"]


def test_a_tell_set_aside_is_unknown_because_it_may_have_been_done_in_part(place: Place) -> None:
    receiver = place.receiver("metering")
    sender = place.sender()
    sender.begin(told(1))
    (delivery,) = take(receiver)
    delivery.set_aside("half billed")
    delivery.settle()  # only the first answer leaves
    receiver.take(0)
    (outcome,) = outcomes(sender)
    assert outcome.status is Status.UNKNOWN
    assert "half billed" in outcome.reason


def test_release_says_what_to_do_instead(place: Place) -> None:
    receiver = place.receiver("metering")
    place.sender().begin(told(1))
    with pytest.raises(BadArgument, match="set_aside"):
        take(receiver)[0].release()


# ---- time and loss


def test_a_late_reply_is_counted_and_never_given_to_a_later_call(place: Place) -> None:
    # Given a call that has timed out
    receiver = place.receiver("volumes")
    sender = place.sender(Socket(timeout=0.1))
    sender.begin(asked(1))
    (slow,) = take(receiver)
    (outcome,) = outcomes(sender)
    assert outcome.status is Status.UNKNOWN
    # When the same operation is called once more, and the first call is answered now
    sender.begin(asked(1))
    (quick,) = take(receiver)
    slow.reply(VolumeCreated(1, "late"))
    quick.reply(VolumeCreated(1, "in-time"))
    # Then the second call gets the answer that was meant for it
    assert outcomes(sender) == [Outcome(1, Status.ANSWERED, VolumeCreated(1, "in-time"))]
    assert sender.late == 1


def test_outcomes_waits_its_whole_time_when_earlier_calls_are_long_answered(place: Place) -> None:
    receiver = place.receiver("volumes")
    sender = place.sender(Socket(timeout=0.3))
    sender.begin(asked(1))
    create(*take(receiver))
    outcomes(sender)
    sender.begin(asked(2))
    begun = time.monotonic()
    assert outcomes(sender)[0].status is Status.UNKNOWN
    assert time.monotonic() - begun >= 0.25
    assert sender.outcomes(0.1) == []


def test_calls_under_way_are_unknown_when_the_receiver_is_killed(place: Place) -> None:
    place.child(lambda: _take_and_die(Socket(), place.site, "volumes"))
    _wait_for(folder_of(place.site, "volumes") / "r.sock")
    sender = place.sender()
    sender.begin(asked(1))
    (outcome,) = outcomes(sender)
    assert outcome.status is Status.UNKNOWN


def test_what_a_killed_receiver_had_is_not_delivered_again(place: Place, knobs: Socket) -> None:
    # Given a receiver that dies with a tell taken and not settled
    pid = place.child(lambda: _take_and_die(knobs, place.site, "metering"))
    _wait_for(folder_of(place.site, "metering") / ("r.sock" if knobs.transport == "unix" else "r.tcp"))
    sender = place.sender(knobs)
    sender.begin(told(1))
    assert outcomes(sender)[0].status is Status.UNKNOWN
    os.waitpid(pid, 0)  # the kernel may close its connections before its listening socket
    # When another takes its place, with the file of the dead one still there
    receiver = place.receiver("metering", knobs=knobs)
    # Then the sender finds it, and the old tell does not come again
    sender.begin(told(2))
    assert [delivery.operation.id for delivery in take(receiver)] == [2]


def test_nobody_listening_is_a_certain_failure_and_a_dead_receivers_file_is_nobody(place: Place) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder_of(place.site, "metering") / "dead.sock"))
    left.close()
    sender = place.sender()
    sender.begin(told(1))
    (outcome,) = outcomes(sender)
    assert outcome.status is Status.FAILED
    assert "nobody listens in metering" in outcome.reason


def test_a_receiver_that_comes_later_is_found(place: Place) -> None:
    sender = place.sender()
    first = place.receiver("volumes", "a")
    sender.begin(asked(0))
    take(first)
    second = place.receiver("volumes", "b")
    number, end = 0, time.monotonic() + 5
    while not second.take(0) and time.monotonic() < end:
        number += 1
        sender.begin(asked(number))
        first.take(0.01, limit=1000)
    assert time.monotonic() < end


def test_calls_that_a_closing_receiver_never_took_certainly_fail(place: Place) -> None:
    receiver = place.receiver("metering")
    sender = place.sender()
    for number in range(3):
        sender.begin(told(number))
    take(receiver, limit=1)[0].settle()
    receiver.close()
    found = sorted(outcomes(sender, 3), key=lambda outcome: outcome.operation)
    assert [outcome.status for outcome in found] == [Status.ACCEPTED, Status.FAILED, Status.FAILED]


def test_a_dead_receivers_place_is_taken_but_a_living_ones_is_not(place: Place) -> None:
    place.receiver("metering")
    with pytest.raises(BadArgument, match="no running receiver"):
        place.receiver("metering")


def test_begin_never_waits_for_a_receiver_that_does_not_read(place: Place) -> None:
    # Given a receiver that takes nothing, and a sender that may queue no more than 2 MB
    receiver = place.receiver("metering")
    sender = place.sender(Socket(max_queued=2_000_000))
    # When far more is told than the kernel holds
    for number in range(100):
        sender.begin(told(number, "x" * 100_000))
    # Then what could not be queued has certainly failed
    failed = [outcome for outcome in sender.outcomes(0) if outcome.status is Status.FAILED]
    assert failed
    assert "does not read" in failed[0].reason
    # and all else arrives, in order, once it reads
    arrived: list[int] = []
    while len(arrived) < 100 - len(failed):
        arrived += [delivery.operation.id for delivery in receiver.take(0.001, 100)]
        sender.outcomes(0)
    assert arrived == list(range(100 - len(failed)))


def test_queued_calls_that_never_began_to_leave_fail_with_the_connection(place: Place) -> None:
    receiver = place.receiver("metering")
    sender = place.sender()
    for number in range(50):
        sender.begin(told(number, "x" * 100_000))
    receiver.peers.close()  # as a kill would: without a word
    found = {outcome.operation: outcome.status for outcome in outcomes(sender, 50)}
    assert found[0] is Status.UNKNOWN
    assert found[49] is Status.FAILED


def test_a_sender_that_does_not_read_cannot_hang_the_receiver(place: Place) -> None:
    receiver = place.receiver("states", knobs=Socket(max_bytes=100_000))
    deaf = place.stranger("states")
    other = place.sender()
    for number in range(40):
        deaf.sendall(pack_request(number, number, "get_state", "1.0", GetState(1)))
    for delivery in take(receiver, 40):
        delivery.reply(VolumeState(1, "error", 1, "x" * 90_000))
    assert "does not read its answers" in receiver.refused[0]
    other.begin(Operation(1, "get_state", GetState(1)))
    take(receiver)[0].reply(VolumeState(1, "error", 1))
    assert outcomes(other)[0].status is Status.ANSWERED


# ---- cast


def test_a_cast_is_accepted_when_the_kernel_has_it_and_nobody_replies(place: Place, knobs: Socket) -> None:
    cast = replace(knobs, cast=True)
    assert cast.guarantees.tell.accepted_by is Acceptor.KERNEL
    receiver = place.receiver("metering", knobs=cast)
    sender = place.sender(cast)
    sender.begin(told(1))
    assert sender.outcomes(0) == [Outcome(1, Status.ACCEPTED)]
    take(receiver)[0].settle()
    receiver.take(0)
    assert sender.outcomes(0.05) == []
    assert sender.late == 0


def test_a_cast_survives_its_sender(place: Place, knobs: Socket) -> None:
    cast = replace(knobs, cast=True)
    receiver = place.receiver("metering", knobs=cast)
    for number in range(3):
        sender = cast.sender(place.site, EXCHANGE, f"s{number}")
        sender.begin(told(number))
        sender.close()
    assert sorted(delivery.operation.id for delivery in take(receiver, 3)) == [0, 1, 2]


def test_a_cast_that_is_still_queued_is_not_yet_accepted(place: Place) -> None:
    receiver = place.receiver("metering")
    sender = place.sender(Socket(cast=True))
    for number in range(50):
        sender.begin(told(number, "x" * 100_000))
    accepted = sender.outcomes(0)
    assert 0 < len(accepted) < 50
    arrived = 0
    while arrived < 50:
        arrived += len(receiver.take(0.001, 100))
        accepted += sender.outcomes(0)
    assert [outcome.operation for outcome in accepted] == list(range(50))


# ---- hostile input


def _still_works(place: Place, receiver: Receiver) -> None:
    honest = place.sender(name="honest")
    honest.begin(asked(77))
    create(*take(receiver))
    assert outcomes(honest)[0].status is Status.ANSWERED
    honest.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(min_size=1, max_size=200),
        st.lists(st.binary(max_size=60).map(framed), min_size=1, max_size=4).map(b"".join),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(
            lambda value: framed(msgspec.json.encode(value))
        ),
        st.just(framed(b'{"id":1,"args":' + b"[" * 100_000)),
        st.just(framed(b'{"id":1,"operation":1,"method":"create_volume","version":"1.0","args":' + b"[" * 9000)),
        st.just(framed(b"")),
    )
)
def test_hostile_bytes_are_refused_with_a_reason_and_the_receiver_goes_on(place: Place, data: bytes) -> None:
    with closing(Socket().receiver(place.site, EXCHANGE, "volumes", "r")) as receiver:
        stranger = place.stranger("volumes")
        stranger.sendall(data)
        stranger.shutdown(socket.SHUT_WR)
        end = time.monotonic() + 5
        while not receiver.refused and time.monotonic() < end:
            assert receiver.take(0.01) == []
        assert receiver.refused
        assert all(0 < len(reason) < 400 for reason in receiver.refused)
        _still_works(place, receiver)
        stranger.close()


def test_a_huge_length_is_refused_before_anything_is_kept(place: Place) -> None:
    receiver = place.receiver("volumes")
    stranger = place.stranger("volumes")
    stranger.sendall(b"\xff\xff\xff\xff")
    assert receiver.take(0.05) == []
    assert receiver.refused == [f"a frame of {2**32 - 1} bytes; at most {(1 << 20) + HEADER} are taken"]
    assert stranger.recv(10) == b""
    _still_works(place, receiver)


def test_half_a_frame_holds_nobody_up(place: Place) -> None:
    receiver = place.receiver("volumes")
    stranger = place.stranger("volumes")
    whole = pack_request(1, 5, "create_volume", "1.0", CreateVolume(5, 2, 3))
    stranger.sendall(whole[:20])
    assert receiver.take(0.05) == []
    _still_works(place, receiver)
    for byte in whole[20:]:
        assert receiver.take(0) == []
        stranger.sendall(bytes([byte]))
    assert take(receiver)[0].operation.id == 5
    assert receiver.refused == []


def test_a_frame_that_breaks_off_is_refused(place: Place) -> None:
    receiver = place.receiver("volumes")
    stranger = place.stranger("volumes")
    stranger.sendall(b"\x00\x00\x00\x09{")
    stranger.close()
    receiver.take(0.05)
    receiver.take(0.05)
    assert receiver.refused == ["the other side closed the connection after 5 bytes of a frame"]


def test_a_request_with_a_number_is_answered_even_when_it_is_malformed(place: Place) -> None:
    receiver = place.receiver("volumes")
    stranger = place.stranger("volumes")
    stranger.sendall(framed(b'{"id":9,"method":"create_volume"}'))
    assert receiver.take(0.05) == []
    reply = unpack_reply(stranger.recv(1000)[4:])
    assert (reply.id, reply.error) == (9, "Malformed")


def test_the_order_of_a_requests_fields_means_nothing_but_there_is_only_one_method(place: Place) -> None:
    receiver = place.receiver("volumes")
    stranger = place.stranger("volumes")
    rest = b'"id":9,"operation":5,"version":"1.0","args":{"volume":5,"project":2,"size_gb":3}'
    stranger.sendall(framed(b"{" + rest + b',"method":"create_volume"}'))
    assert take(receiver)[0].operation == asked(5)
    stranger.sendall(framed(b'{"method":"get_state","method":"create_volume",' + rest + b"}"))
    assert receiver.take(0.05) == []
    assert len(receiver.refused) == 1


def test_a_receiver_that_talks_nonsense_makes_calls_unknown_not_the_sender_fail(place: Place) -> None:
    folder = folder_of(place.site, "volumes")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(folder / "liar.sock"))
        listener.listen()
        sender = place.sender()
        peer, _ = listener.accept()
        sender.begin(asked(1))
        peer.sendall(framed(b"[]"))
        assert outcomes(sender)[0].status is Status.UNKNOWN
        peer.close()


def test_an_unreadable_answer_is_unknown_because_the_work_was_done(place: Place) -> None:
    other = Schema([Message("create_volume", Verb.ASK, CreateVolume, VolumeState)])
    receiver = place.receiver("volumes", schema=other)
    sender = place.sender()
    sender.begin(asked(1))
    take(receiver)[0].reply(VolumeState(1, "error", 1))
    (outcome,) = outcomes(sender)
    assert outcome.status is Status.UNKNOWN
    assert "unreadably" in outcome.reason


def test_over_tcp_whoever_does_not_know_the_secret_is_refused(place: Place) -> None:
    tcp = Socket(transport="tcp")
    receiver = place.receiver("volumes", knobs=tcp)
    announced = folder_of(place.site, "volumes") / "r.tcp"
    assert announced.stat().st_mode & 0o777 == 0o600
    port = msgspec.json.decode(announced.read_bytes())["port"]
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as stranger:
        stranger.sendall(framed(b"0" * 64) + pack_request(1, 1, "create_volume", "1.0", CreateVolume(1, 2, 3)))
        for _ in range(3):
            assert receiver.take(0.05) == []
        assert "stranger" in receiver.refused[0]
        with suppress(ConnectionResetError):  # which it is depends on how much of ours it had not read
            assert stranger.recv(10) == b""
    sender = place.sender(tcp)
    sender.begin(asked(1))
    create(*take(receiver))
    assert outcomes(sender)[0].status is Status.ANSWERED


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_frames_are_the_same_however_the_stream_is_cut(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(framed(body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    frames, found = Frames(300), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[begin:end])
    assert found == bodies
    assert frames.unfinished == 0
    assert not frames.broken


# ---- arguments


@pytest.mark.parametrize(
    "knobs", [{"timeout": 0}, {"timeout": float("inf")}, {"transport": "udp"}, {"max_bytes": 0}, {"max_queued": -1}]
)
def test_bad_knobs_are_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(BadArgument):
        Socket(**knobs)


def test_a_path_too_long_for_a_socket_is_refused_with_the_way_out(place: Place) -> None:
    with pytest.raises(BadArgument, match="transport='tcp'"):
        place.receiver("metering", "r" * 100)
    place.receiver("metering", "r" * 100, knobs=Socket(transport="tcp"))


@pytest.mark.parametrize("name", ["../r", "", ".hidden", "a/b"])
def test_a_name_never_leads_out_of_its_folder(place: Place, name: str) -> None:
    with pytest.raises(BadArgument):
        place.receiver("metering", name)


def test_a_proxy_can_be_slipped_in_by_address(place: Place) -> None:
    elsewhere = place.site.with_address("rpc", str(place.site.folder / "proxy"))
    with closing(Socket().receiver(elsewhere, EXCHANGE, "metering", "r")) as receiver:
        with closing(Socket().sender(elsewhere, EXCHANGE, "s")) as sender:
            sender.begin(told(1))
            assert take(receiver)[0].operation == told(1)
        assert not (folder_of(place.site, "metering") / "r.sock").exists()


# ---- floor


def test_the_floor_carries_its_load(place: Place) -> None:
    load = Load(CreateVolume(1, 2, 3), ImageDownloaded(1, 2, 3, "x" * 1000), asks=20, tells=500)
    floor = Floor()
    floor.install(place.site)
    for rate in (None, 5000.0):
        paced = replace(load, rate=rate)
        up, told_up = os.pipe()
        back, say = os.pipe()

        def life(paced: Load = paced, told_up: int = told_up, say: int = say) -> None:
            taken = floor.serve(place.site, paced, lambda: os.write(told_up, b"r") and None)
            os.write(say, b"%d" % len(taken))

        place.child(life)
        os.read(up, 1)
        driven = floor.drive(place.site, paced)
        assert (len(driven.asks), len(driven.told)) == (20, 500)
        assert driven.acknowledged >= driven.told[-1]
        assert os.read(back, 10) == b"500"
        for descriptor in (up, told_up, back, say):
            os.close(descriptor)
        (place.site.folder / "rpc" / "floor.sock").unlink()


def test_the_bare_medium_makes_round_trips() -> None:
    times = Floor().bare(Site(Path(), "t"), size=200_000, count=20)
    assert len(times) == 20
    assert all(time > 0 for time in times)


def _take_and_die(knobs: Socket, site: Site, group: str) -> None:
    receiver = knobs.receiver(site, EXCHANGE, group, "r")
    while not receiver.take(5):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _wait_for(file: Path) -> None:
    end = time.monotonic() + 5
    while not file.exists():
        assert time.monotonic() < end, f"{file.name} did not appear"
        time.sleep(0.005)
