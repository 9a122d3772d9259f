"""A group of listeners that comes later: what it hears, over every medium, and what it does not."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sandbox.channel import ASK_GROUP, Channel, Outcome, Receiver, Sender, Status
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.errors import BadArgument
from sandbox.exchange.schema import EXCHANGE, ImageDownloaded, Operation
from sandbox.file_share.rename import Rename
from sandbox.file_share.spool import Spool
from sandbox.idempotent import Idempotent
from sandbox.messaging.streams import Streams
from sandbox.rpc.idempotency_key import IdempotencyKey
from sandbox.rpc.socket import Socket
from sandbox.site import Site

names = (f"a{os.getpid()}_{number}" for number in itertools.count())
CHANNELS = (
    Spool(),
    Rename(),
    Streams(),
    SkipLocked(),
    CompareAndSwap(),
    Socket(),
    IdempotencyKey(),
    Idempotent(Spool()),
)
STORING = [channel for channel in CHANNELS if channel.guarantees.tell.receiver_may_be_away]


def label(channel: Channel) -> str:
    return channel.title()


@dataclass
class Place:
    """A channel, installed for one group of listeners; `wider`: the same site, for a second one as well."""

    channel: Channel
    site: Site
    ends: ExitStack

    @property
    def wider(self) -> Site:
        return replace(self.site, groups=(*self.site.groups, "audit"))

    def sender(self, site: Site, name: str = "glance") -> Sender:
        return self.ends.enter_context(closing(self.channel.sender(site, EXCHANGE, name)))

    def receiver(self, site: Site, group: str) -> Receiver:
        return self.ends.enter_context(closing(self.channel.receiver(site, EXCHANGE, group, f"r-{group}")))


@pytest.fixture
def place(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Place]:
    channel: Channel = request.param
    media = {medium: request.getfixturevalue(f"{medium}_address") for medium in channel.needs}
    site = Site(short_folder, next(names), addresses=media)
    channel.install(site, EXCHANGE)
    with ExitStack() as ends:
        yield Place(channel, site, ends)
    channel.uninstall(site)


def tell(sender: Sender, *numbers: int) -> list[Outcome]:
    """Tell; what is known of it at once (some senders hand over only when they are asked for outcomes)."""
    for number in numbers:
        sender.begin(Operation(number, "image_downloaded", ImageDownloaded(number, 1, 10**6)))
    return sender.outcomes(0)


def accepted(sender: Sender, known: list[Outcome], *numbers: int) -> None:
    """See all of them accepted."""
    still, deadline = set(numbers), time.monotonic() + 10
    while True:
        for outcome in known:
            assert outcome.status is Status.ACCEPTED, outcome
            still.remove(outcome.operation)
        if not still:
            return
        assert time.monotonic() < deadline, f"without an outcome: {still}"
        known = sender.outcomes(0.2)


def heard(receiver: Receiver, count: int) -> list[int]:
    """The next so many, settled."""
    taken: list[int] = []
    deadline = time.monotonic() + 10
    while len(taken) < count and time.monotonic() < deadline:
        for delivery in receiver.take(0.2, count - len(taken)):
            delivery.settle()
            taken.append(delivery.operation.id)
    receiver.take(0)  # carries out what was settled lazily
    return sorted(taken)


@pytest.mark.parametrize("place", CHANNELS, indirect=True, ids=label)
def test_a_group_that_is_let_in_hears_senders_that_know_it_and_the_first_group_still_hears_all(place: Place) -> None:
    metering = place.receiver(place.site, "metering")

    place.channel.admit(place.site, "audit")

    audit, sender = place.receiver(place.wider, "audit"), place.sender(place.wider)
    known = tell(sender, 1, 2)
    assert heard(metering, 2) == [1, 2]
    assert heard(audit, 2) == [1, 2]
    accepted(sender, known, 1, 2)


@pytest.mark.parametrize("place", STORING, indirect=True, ids=label)
def test_what_was_told_before_a_group_was_let_in_is_not_for_it(place: Place) -> None:
    sender = place.sender(place.site)
    accepted(sender, tell(sender, 1), 1)

    place.channel.admit(place.site, "audit")

    audit, knowing = place.receiver(place.wider, "audit"), place.sender(place.wider, "glance-2")
    accepted(knowing, tell(knowing, 2), 2)
    assert heard(audit, 1) == [2]
    assert audit.take(0.05) == []
    assert heard(place.receiver(place.site, "metering"), 2) == [1, 2]


@pytest.mark.parametrize("place", [Streams(), Spool()], indirect=True, ids=label)
def test_over_a_stream_also_senders_that_have_never_heard_of_a_group_tell_it(place: Place) -> None:
    ignorant = place.sender(place.site)
    place.channel.admit(place.site, "audit")
    audit = place.receiver(place.wider, "audit")

    accepted(ignorant, tell(ignorant, 1), 1)

    heard_by_audit = [delivery.operation.id for delivery in audit.take(0.3)]
    assert heard_by_audit == ([1] if isinstance(place.channel, Streams) else [])


@pytest.mark.parametrize("place", STORING, indirect=True, ids=label)
def test_letting_a_group_in_that_is_in_already_changes_nothing(place: Place) -> None:
    sender = place.sender(place.site)
    accepted(sender, tell(sender, 1), 1)

    place.channel.admit(place.site, "metering")

    assert heard(place.receiver(place.site, "metering"), 1) == [1]


@pytest.mark.parametrize("name", [ASK_GROUP, "../elsewhere"])
@pytest.mark.parametrize("place", [Spool()], indirect=True, ids=label)
def test_a_name_that_is_no_folder_for_listeners_is_not_let_in(place: Place, name: str) -> None:
    with pytest.raises(BadArgument, match="group"):
        place.channel.admit(place.site, name)
