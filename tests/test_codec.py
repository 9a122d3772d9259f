"""Another codec: both ends with msgpack understand each other, ends with different ones refuse and never misread."""

from __future__ import annotations

import itertools
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Channel, Delivery, Outcome, Receiver, Sender, Status
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.errors import BadArgument, Malformed, OverQuota, Refusal
from sandbox.exchange.codec import JSON, MSGPACK, Codec
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
from sandbox.file_share.in_place import InPlace
from sandbox.file_share.log import Log
from sandbox.file_share.rename import Rename
from sandbox.file_share.spool import Spool
from sandbox.guarantees import Support
from sandbox.idempotent import Idempotent
from sandbox.messaging.patterns.shelves import shelf_of
from sandbox.messaging.pubsub import PubSub
from sandbox.messaging.streams import Streams
from sandbox.rpc.blind_retry import BlindRetry
from sandbox.rpc.socket import Socket
from sandbox.site import Site

BINARY = Schema(tuple(EXCHANGE.messages.values()), codec=MSGPACK)
names = (f"c{os.getpid()}_{number}" for number in itertools.count())
#: those that encode a body (a column has no codec)
ENCODING = (
    Spool(timeout=0.3),
    Streams(timeout=0.3),
    Socket(timeout=0.3),
    BlindRetry(timeout=0.1, attempts=2, pause=0.01),
    Idempotent(Spool(timeout=0.3)),
    Rename(),
    InPlace(),
    Log(),
    PubSub(),
)
TABLES = (SkipLocked(), CompareAndSwap())
TELL = Operation(1, "image_downloaded", ImageDownloaded(7, 2, 10**6, "ein Bild: é"))
ASK = Operation(2, "create_volume", CreateVolume(9, 2, 10))
WRITE = Operation(3, "set_state", SetState(9, "in-use", 1, "é"))
READ = Operation(4, "get_state", GetState(9))


def label(channel: Channel) -> str:
    return channel.title()


class Exchange:
    """One sender and one receiver of every kind that the channel has, each with its own schema."""

    def __init__(self, channel: Channel, site: Site, ends: ExitStack, sends: Schema, takes: Schema) -> None:
        promised = channel.guarantees
        groups = ["metering"]
        groups += [ASK_GROUP] * (promised.ask.support is not Support.ABSENT)
        groups += [OWNER_GROUP] * promised.share.needs_owner
        self.receivers: list[Receiver] = [
            ends.enter_context(closing(channel.receiver(site, takes, group, f"r-{group}"))) for group in groups
        ]
        self.sender: Sender = ends.enter_context(closing(channel.sender(site, sends, "nova")))
        self.delivered: list[Operation] = []

    @property
    def refused(self) -> list[str]:
        return [reason for receiver in self.receivers for reason in receiver.refused]

    def ends_as(self, operation: Operation, answer: Struct | Refusal, within: float = 10.0) -> Outcome | None:
        """The last outcome of one operation; None when there is none in time."""
        self.sender.begin(operation)
        last = EXCHANGE.messages[operation.message]
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for receiver in self.receivers:
                for delivery in receiver.take(0.002, 10):
                    self._work(delivery, answer)
            for outcome in self.sender.outcomes(0.002):
                if outcome.status is not Status.ACCEPTED or last.answer is None:
                    return outcome
        return None

    def take_until(self, enough: Callable[[], bool]) -> None:
        """Take and work what comes, for as long as that takes."""
        deadline = time.monotonic() + 10
        while not enough() and time.monotonic() < deadline:
            for receiver in self.receivers:
                for delivery in receiver.take(0.002, 10):
                    self._work(delivery, OverQuota())

    def _work(self, delivery: Delivery, answer: Struct | Refusal) -> None:
        self.delivered.append(delivery.operation)
        if EXCHANGE.messages[delivery.operation.message].answer is not None:
            delivery.reply(answer)
        delivery.settle()


@pytest.fixture
def opened(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Callable[..., Exchange]]:
    with ExitStack() as ends:

        def make(channel: Channel, sends: Schema, takes: Schema) -> Exchange:
            media = {medium: request.getfixturevalue(f"{medium}_address") for medium in channel.needs}
            site = Site(short_folder, next(names), addresses=media)
            channel.install(site, sends)
            ends.callback(channel.uninstall, site)
            return Exchange(channel, site, ends, sends, takes)

        yield make


@pytest.mark.parametrize("channel", [*ENCODING, *TABLES], ids=label)
def test_both_ends_with_msgpack_tell_ask_and_share_as_with_json(
    channel: Channel, opened: Callable[..., Exchange]
) -> None:
    exchange, promised = opened(channel, BINARY, BINARY), channel.guarantees

    assert exchange.ends_as(TELL, OverQuota()) == Outcome(1, Status.ACCEPTED)
    exchange.take_until(lambda: bool(exchange.delivered))  # where it is accepted before it is delivered
    assert exchange.delivered == [TELL]
    if promised.ask.support is not Support.ABSENT:
        assert exchange.ends_as(ASK, VolumeCreated(9, "h1")) == Outcome(2, Status.ANSWERED, VolumeCreated(9, "h1"))
        refused = exchange.ends_as(Operation(5, ASK.message, ASK.body), OverQuota("10 GB"))
        assert refused is not None
        assert isinstance(refused.answer, OverQuota)
    if promised.share.support is not Support.ABSENT:
        state = VolumeState(9, "in-use", 1, "é")
        assert exchange.ends_as(WRITE, state) == Outcome(3, Status.ACCEPTED)
        while (read := exchange.ends_as(READ, state)) and isinstance(read.answer, Refusal):  # a replica may be stale
            pass
        assert read == Outcome(4, Status.ANSWERED, state)
    assert exchange.refused == []


@pytest.mark.parametrize("channel", ENCODING, ids=label)
@pytest.mark.parametrize(("sends", "takes"), [(EXCHANGE, BINARY), (BINARY, EXCHANGE)], ids=["to msgpack", "to json"])
def test_what_comes_in_another_codec_is_refused_with_the_reason_and_delivered_to_nobody(
    channel: Channel, sends: Schema, takes: Schema, opened: Callable[..., Exchange]
) -> None:
    exchange = opened(channel, sends, takes)

    told = exchange.ends_as(TELL, OverQuota(), within=2)
    exchange.take_until(lambda: bool(exchange.refused))

    # Whoever stores has accepted it; who is called has not begun it, and the caller is never told that it was done.
    assert told is not None
    promised = channel.guarantees.tell
    assert (told.status is Status.ACCEPTED) is (promised.receiver_may_be_away or isinstance(channel, PubSub))
    assert exchange.delivered == []
    assert len(exchange.refused) >= 1


@pytest.mark.parametrize("channel", [each for each in ENCODING if not isinstance(each, PubSub)], ids=label)
@pytest.mark.parametrize(("sends", "takes"), [(EXCHANGE, BINARY), (BINARY, EXCHANGE)], ids=["to msgpack", "to json"])
def test_an_ask_in_another_codec_is_never_answered_and_whoever_asks_does_not_hang(
    channel: Channel, sends: Schema, takes: Schema, opened: Callable[..., Exchange]
) -> None:
    exchange = opened(channel, sends, takes)

    gives_up = hasattr(channel, "timeout") or isinstance(channel, Idempotent)

    asked = exchange.ends_as(ASK, VolumeCreated(9, "h1"), within=10 if gives_up else 0.2)

    if gives_up:
        assert asked is not None
        assert asked.status in (Status.UNKNOWN, Status.FAILED)
    else:  # the naive ones have no timeout: whoever uses them has to bring one
        assert asked is None
    assert exchange.delivered == []


def test_a_snapshot_in_another_codec_is_a_failure_and_not_an_absent_state(
    opened: Callable[..., Exchange], short_folder: Path
) -> None:
    # Given a state that a writer with JSON has left
    exchange = opened(Spool(), EXCHANGE, EXCHANGE)
    assert exchange.ends_as(WRITE, OverQuota()) == Outcome(3, Status.ACCEPTED)

    # When a reader with msgpack looks it up
    site = Site(short_folder, "later")
    with closing(Spool().sender(site, BINARY, "other")) as reader:
        reader.begin(READ)
        (read,) = reader.outcomes(1)

    assert read.status is Status.FAILED
    assert "not an answer to get_state" in read.reason


def test_a_dead_letter_in_the_other_codec_can_be_read_by_whoever_looks_for_the_reason(
    opened: Callable[..., Exchange], short_folder: Path
) -> None:
    exchange = opened(Spool(), BINARY, EXCHANGE)
    exchange.ends_as(TELL, OverQuota())
    exchange.take_until(lambda: bool(exchange.refused))

    (letter,) = shelf_of(Spool(), Site(short_folder, "any")).letters()

    assert (letter.id, letter.message) == (1, "image_downloaded")
    assert BINARY.decode(letter.message, letter.payload) == TELL.body


@pytest.mark.parametrize("name", EXCHANGE.messages)
def test_no_message_in_one_codec_is_one_in_the_other(name: str) -> None:
    bodies: dict[str, Any] = {each.message: each.body for each in (TELL, ASK, WRITE, READ)}
    for writes, reads in ((EXCHANGE, BINARY), (BINARY, EXCHANGE)):
        with pytest.raises(Malformed, match=f"not a {name}"):
            reads.decode(name, writes.encode(bodies[name]))


def test_a_schema_keeps_its_codec_on_its_way_to_another_process() -> None:
    arrived = pickle.loads(pickle.dumps(BINARY))

    assert arrived.codec == MSGPACK != JSON
    assert arrived.decode("get_state", BINARY.encode(GetState(3))) == GetState(3)


def test_a_number_that_msgpack_cannot_write_is_malformed(opened: Callable[..., Exchange]) -> None:
    exchange = opened(Socket(), BINARY, BINARY)

    with pytest.raises(Malformed, match="cannot be written as MSGPACK"):
        exchange.sender.begin(Operation(1, "get_state", GetState(2**70)))


def test_a_codec_that_there_is_not_is_a_bad_argument_that_names_those_there_are() -> None:
    with pytest.raises(BadArgument, match="'json' or 'msgpack'"):
        Codec("xml")
