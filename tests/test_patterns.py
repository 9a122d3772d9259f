"""The patterns over real pipes, each in a process of its own: spool and streams, in every combination that matters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from thin import Folder

from sandbox.channel import ASK_GROUP, Delivery, Status
from sandbox.errors import BadArgument, ServerUnavailable, TimedOut, UnknownMessage
from sandbox.exchange.schema import (
    EXCHANGE,
    CreateVolume,
    ImageDownloaded,
    Message,
    Operation,
    Schema,
    Verb,
    VolumeCreated,
    Whole,
)
from sandbox.harness.session import Session
from sandbox.messaging.patterns import ContentRouter, DeadLetters, MessageFilter, Pipe, Step, Translator, WireTap
from sandbox.messaging.patterns.notifications import DOWNLOADS, NOTIFICATIONS, Notification, metered
from sandbox.null import Null

PATIENCE = 10.0  # s, for what must come; only a failing test waits so long
QUIET = 0.2  # s, for what must not come
MIB = 1_048_576


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


class Lay:
    """Lays pipes and starts steps that are removed with the test."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        self._session, self._stack = session, stack

    def __call__(
        self, channel: Any, groups: tuple[str, ...] = ("metering",), schema: Schema = EXCHANGE, **knobs: Any
    ) -> Pipe:
        try:
            pipe = Pipe.lay(channel, groups, schema, self._session, **knobs)
        except ServerUnavailable as reason:
            pytest.skip(str(reason))
        self._stack.callback(pipe.remove)
        return pipe

    def start(self, step: Step) -> Any:
        return self._stack.enter_context(step.start(self._session))


@pytest.fixture
def lay(session: Session) -> Iterator[Lay]:
    with ExitStack() as stack:
        yield Lay(session, stack)


def downloaded(identity: int, size: int = 100) -> Operation:
    return Operation(identity, "image_downloaded", ImageDownloaded(identity, identity % 3, size))


def ids(operations: list[Operation]) -> list[int]:
    return [operation.id for operation in operations]


def is_large(operation: Operation) -> bool:
    return isinstance(operation.body, ImageDownloaded) and operation.body.bytes_sent >= MIB


PAIRS = [("spool", "spool"), ("streams", "streams"), ("spool", "streams")]


# --- content-based router -------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "outlet"), PAIRS)
def test_a_router_sends_each_message_where_its_content_belongs_in_order(lay: Lay, source: str, outlet: str) -> None:
    # Given a router with one route for what is large
    told, large, small = lay(source, ("router",)), lay(outlet), lay("spool")
    router = lay.start(ContentRouter(told, "router", [(is_large, large)], otherwise=small))
    # When both kinds are told
    told.send(*(downloaded(identity, MIB if identity % 2 else 100) for identity in range(1, 21)))
    # Then each is on its route, as it was
    assert large.receive("metering", 10) == [downloaded(identity, MIB) for identity in range(1, 21, 2)]
    assert ids(small.receive("metering", 10)) == list(range(2, 21, 2))
    assert router.stop()["forwarded"] == 20


def test_a_router_sets_aside_what_no_route_takes(lay: Lay) -> None:
    told, large = lay("spool", ("router",)), lay("spool")
    router = lay.start(ContentRouter(told, "router", [(is_large, large)]))
    told.send(downloaded(1), downloaded(2, MIB))
    assert ids(large.receive("metering", 1)) == [2]
    assert router.stop()["set_aside"] == 1
    (letter,) = DeadLetters(told).look()
    assert letter.reason == "Malformed: no route for image_downloaded 1"


# --- what every step promises -----------------------------------------------------------------------


@dataclass(frozen=True)
class DiesBeforeItSettles(ContentRouter):
    """Stands still where a step that dies makes a duplicate."""

    def finish(self, delivery: Delivery) -> None:
        time.sleep(60)


@pytest.mark.parametrize("medium", ["spool", "streams"])
def test_a_step_killed_between_acceptance_and_settling_passes_the_same_on_again(lay: Lay, medium: str) -> None:
    # Given a router that has passed a message on and not settled it
    told, out = lay(medium, ("router",), lease=0.3), lay(medium)
    doomed = lay.start(DiesBeforeItSettles(told, "router", [], otherwise=out))
    told.send(downloaded(1))
    assert ids(out.receive("metering", 1)) == [1]
    # When it is killed, and another takes its place
    doomed.kill()
    lay.start(ContentRouter(told, "router", [], otherwise=out))
    # Then the same comes again, under the same id
    assert out.receive("metering", 1) == [downloaded(1)]
    assert out.receive("metering", 1, QUIET) == []


def test_what_an_outlet_does_not_accept_is_released_and_passed_on_when_it_does(lay: Lay, tmp_path: Path) -> None:
    # Given an outlet to which nobody listens yet, so that sending fails
    told, deaf, tries = lay("spool", ("router",)), lay("pub_sub"), tmp_path / "tries"

    def noted(operation: Operation) -> bool:
        with tries.open("a") as file:
            return file.write("x") == 1

    router = lay.start(ContentRouter(told, "router", [(noted, deaf)]))
    told.send(downloaded(1))
    while not tries.exists() or tries.stat().st_size < 2:  # tried, given back, tried again
        time.sleep(0.01)
    # When somebody listens at last, then it comes
    assert ids(deaf.receive("metering", 1, PATIENCE)) == [1]
    counts = router.stop()
    assert counts["forwarded"] == 1
    assert counts["released"] >= 1


def test_from_a_source_that_delivers_at_most_once_what_cannot_be_passed_on_is_set_aside(lay: Lay) -> None:
    told, deaf = lay(Folder, ("router",)), lay("pub_sub")
    router = lay.start(ContentRouter(told, "router", [], otherwise=deaf))
    told.send(downloaded(1))
    dead = told.site.folder / "dead.tell.router"
    deadline = time.monotonic() + PATIENCE
    while not (dead.exists() and list(dead.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert router.stop()["set_aside"] == 1


def test_an_ask_that_is_passed_on_is_answered_to_whoever_asked(lay: Lay) -> None:
    # Given two volume services, one for each size, behind a router
    asked, service = lay("spool"), lay("streams")
    lay.start(ContentRouter(asked, ASK_GROUP, [], otherwise=service))
    # When one is asked, and its service answers
    with closing(asked.sender("asker")) as asker, closing(service.receiver(ASK_GROUP, "service")) as serving:
        asker.begin(Operation(1, "create_volume", CreateVolume(1, 1, 10)))
        (delivery,) = serving.take(PATIENCE)
        delivery.reply(VolumeCreated(1, "host"))
        delivery.settle()
        serving.take(0)
        found = []
        deadline = time.monotonic() + PATIENCE
        while not found and time.monotonic() < deadline:
            found = [outcome.answer for outcome in asker.outcomes(0.1) if outcome.status is Status.ANSWERED]
    # Then the answer comes back through it
    assert found == [VolumeCreated(1, "host")]


# --- message filter -----------------------------------------------------------------------------------


def sent(identity: int, event: str = "image.send", priority: str = "info", amount: int = 100) -> Operation:
    return Operation(identity, "notification", Notification(event, priority, identity, 1, 100, amount))


@pytest.mark.parametrize("medium", ["spool", "streams"])
def test_a_filter_lets_pass_complete_downloads_and_drops_the_rest_without_a_trace(lay: Lay, medium: str) -> None:
    # Given metering that wants to hear of complete downloads
    told, wanted = lay(medium, ("filter",), NOTIFICATIONS), lay(medium, schema=NOTIFICATIONS)
    chosen = lay.start(MessageFilter(told, "filter", wanted, DOWNLOADS))
    # When the image service tells all that it does
    told.send(sent(1), sent(2, "image.update"), sent(3, priority="error", amount=40), sent(4, "image.sender"), sent(5))
    # Then two pass, and nobody can tell what became of the others
    assert ids(wanted.receive("metering", 2)) == [1, 5]
    assert wanted.receive("metering", 1, QUIET) == []
    assert chosen.stop()["dropped"] == 3
    assert DeadLetters(told).look() == []


@pytest.mark.parametrize(
    ("matching", "passes"),
    [
        ({}, True),
        ({"event_type": "image"}, True),
        ({"event_type": "send"}, False),  # from the beginning
        ({"message": "notification", "priority": "info|sample"}, True),
        ({"priority": "error"}, False),
        ({"publisher": ".*"}, False),  # it has no such field
        ({"bytes_sent": "100"}, True),
    ],
)
def test_a_filter_passes_what_matches_every_expression(lay: Lay, matching: dict[str, str], passes: bool) -> None:
    pipe = lay("spool", schema=NOTIFICATIONS)
    assert MessageFilter(pipe, "metering", pipe, matching).lets_pass(sent(1)) is passes


# --- translator -----------------------------------------------------------------------------------------


class OldDownload(Struct, frozen=True, forbid_unknown_fields=True):
    """What an image service of the last release says: another name, other fields, another unit."""

    image: Whole
    tenant: Whole
    mib_sent: Whole


OLD = Schema((Message("image_sent", Verb.TELL, OldDownload),), version="0.9")


def renewed(body: Struct) -> ImageDownloaded:
    assert isinstance(body, OldDownload)
    return ImageDownloaded(body.image, body.tenant, body.mib_sent * MIB)


@pytest.mark.parametrize(("source", "outlet"), PAIRS)
def test_a_translator_puts_an_old_message_into_the_words_and_units_of_the_new_schema(
    lay: Lay, source: str, outlet: str
) -> None:
    told, metering = lay(source, ("translator",), OLD), lay(outlet)
    lay.start(Translator(told, "translator", metering, {"image_sent": ("image_downloaded", renewed)}))
    told.send(Operation(7, "image_sent", OldDownload(1, 2, 3)))
    (came,) = metering.receive("metering", 1)
    assert came == Operation(7, "image_downloaded", ImageDownloaded(1, 2, 3 * MIB))


@pytest.mark.parametrize(
    ("into", "reason"),
    [
        ({}, "LookupError: no translation of image_sent"),
        ({"image_sent": ("image_gone", renewed)}, "UnknownMessage: no message 'image_gone'"),
        ({"image_sent": ("image_downloaded", lambda old: old)}, "BadArgument: image_downloaded: expected a body"),
        ({"image_sent": ("image_downloaded", lambda _: ImageDownloaded(-1, 1, 1))}, "BadArgument: image_downloaded"),
    ],
)
def test_what_has_no_translation_or_one_that_does_not_fit_is_set_aside(lay: Lay, into: Any, reason: str) -> None:
    told, metering = lay("streams", ("translator",), OLD), lay("spool")
    translator = lay.start(Translator(told, "translator", metering, into))
    told.send(Operation(7, "image_sent", OldDownload(1, 2, 3)))
    letters = dead_letters(told, 1)
    assert translator.stop()["set_aside"] == 1
    assert letters[0].reason.startswith(reason)


def test_filter_and_translator_one_behind_the_other_bill_what_glance_tells(lay: Lay) -> None:
    told, chosen, metering = (
        lay("streams", ("filter",), NOTIFICATIONS),
        lay("spool", schema=NOTIFICATIONS),
        lay("spool"),
    )
    lay.start(MessageFilter(told, "filter", chosen, DOWNLOADS))
    lay.start(Translator(chosen, "metering", metering, {"notification": ("image_downloaded", metered)}))
    told.send(sent(1, amount=100), sent(2, priority="error", amount=40), sent(3, amount=100))
    billed = [operation.body for operation in metering.receive("metering", 2)]
    assert billed == [ImageDownloaded(1, 1, 100), ImageDownloaded(3, 1, 100)]


# --- wire tap -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("medium", ["spool", "streams"])
def test_a_tap_in_a_group_of_its_own_takes_nothing_from_anybody(lay: Lay, medium: str) -> None:
    told, record = lay(medium, ("metering", "tap")), lay("spool", ("audit",))
    lay.start(WireTap(told, "tap", record))
    told.send(*map(downloaded, range(1, 11)))
    assert ids(told.receive("metering", 10)) == list(range(1, 11))
    assert ids(record.receive("audit", 10)) == list(range(1, 11))


def test_a_tap_in_the_group_of_another_steals_from_it(lay: Lay) -> None:
    told, record = lay("streams"), lay("spool", ("audit",))
    lay.start(WireTap(told, "metering", record))
    told.send(*map(downloaded, range(1, 11)))
    assert ids(record.receive("audit", 10)) == list(range(1, 11))
    assert told.receive("metering", 1, QUIET) == []


def test_a_tap_that_was_away_misses_nothing(lay: Lay) -> None:
    told, record = lay("streams", ("metering", "tap")), lay("spool", ("audit",))
    told.send(*map(downloaded, range(1, 6)))
    lay.start(WireTap(told, "tap", record))
    assert ids(record.receive("audit", 5)) == list(range(1, 6))


def test_an_inline_tap_copies_what_it_passes_on(lay: Lay) -> None:
    told, record, onward = lay("spool", ("tap",)), lay("spool", ("audit",)), lay("streams")
    lay.start(WireTap(told, "tap", record, onward))
    told.send(downloaded(1), downloaded(2))
    assert ids(onward.receive("metering", 2)) == ids(record.receive("audit", 2)) == [1, 2]


# --- dead letter channel --------------------------------------------------------------------------------------


def dead_letters(pipe: Pipe, number: int) -> list[Any]:
    deadline = time.monotonic() + PATIENCE
    while len(found := DeadLetters(pipe).look()) < number and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


NEWER = Schema((*EXCHANGE.messages.values(), *NOTIFICATIONS.messages.values()), version="1.1")


@pytest.mark.parametrize("medium", ["spool", "streams"])
def test_a_message_that_a_receiver_does_not_know_is_set_aside_and_comes_again_when_it_has_learned_it(
    lay: Lay, medium: str
) -> None:
    # Given a sender whose schema has a message more
    told = lay(medium, schema=NEWER)
    told.send(downloaded(1), sent(2))
    # When a receiver of the old schema takes, then it sees what it knows, and the other is set aside
    old = told.read_as(EXCHANGE)
    assert ids(old.receive("metering", 2, QUIET)) == [1]
    (letter,) = dead_letters(told, 1)
    assert (letter.group, letter.id, letter.message) == ("metering", 2, "notification")
    assert "no message 'notification' in schema 1.0" in letter.reason
    # When the receiver was brought up to date and the letter is given back
    outcome = DeadLetters(told).replay(letter)
    # Then it is delivered, and no dead letter any more
    assert outcome.status is Status.ACCEPTED
    assert told.receive("metering", 1) == [sent(2)]
    assert DeadLetters(told).look() == []


@pytest.mark.parametrize("medium", ["spool", "streams", "compare_and_swap", "skip_locked"])
def test_a_poison_message_is_repaired_and_goes_to_its_group_alone(lay: Lay, medium: str) -> None:
    # Given one that the business of one group of two could not digest
    told, again = lay(medium, ("metering", "audit")), lay(medium)
    told.send(downloaded(1, 0))
    with closing(told.receiver("metering", "poisoned")) as receiver:
        receiver.take(PATIENCE)[0].set_aside("nothing was sent")
    (letter,) = dead_letters(told, 1)
    assert (letter.group, letter.reason) == ("metering", "nothing was sent")
    # When it is repaired and goes to a pipe that only this group reads
    DeadLetters(told).replay(letter, ImageDownloaded(1, 1, 42), to=again)
    # Then the other group does not hear it twice
    assert again.receive("metering", 1) == [Operation(1, "image_downloaded", ImageDownloaded(1, 1, 42))]
    assert ids(told.receive("audit", 2, QUIET)) == [1]
    assert told.receive("metering", 1, QUIET) == []


def test_replayed_on_the_same_pipe_every_group_hears_it_again(lay: Lay) -> None:
    told = lay("streams", ("metering", "audit"))
    told.send(downloaded(1))
    with closing(told.receiver("metering", "poisoned")) as receiver:
        receiver.take(PATIENCE)[0].set_aside("for the test")
    DeadLetters(told).replay(dead_letters(told, 1)[0])
    assert ids(told.receive("metering", 1)) == [1]
    assert ids(told.receive("audit", 2)) == [1, 1]


def test_a_letter_that_needs_repair_stays_when_it_is_replayed_as_it_is(lay: Lay) -> None:
    told = lay("spool")
    (told.site.folder / "litter").write_bytes(b"no message")
    ready = next(told.site.folder.rglob("tell.metering/ready"))
    (told.site.folder / "litter").rename(ready / f"{time.monotonic_ns():020}.stranger.1")
    assert told.receive("metering", 1, QUIET) == []
    (letter,) = DeadLetters(told).look()
    assert (letter.id, letter.message, letter.payload) == (0, "", b"no message")
    with pytest.raises(UnknownMessage, match="no message ''"):
        DeadLetters(told).replay(letter)
    assert DeadLetters(told).look() == [letter]


def test_a_channel_whose_dead_letters_cannot_be_read_says_so(lay: Lay) -> None:
    with pytest.raises(BadArgument, match=r"can be read \(streams, spool, compare_and_swap, skip_locked\), got 'null'"):
        DeadLetters(lay(Null)).look()


# --- a pipe ---------------------------------------------------------------------------------------------------


def test_an_ask_that_nobody_answers_times_out(lay: Lay) -> None:
    with pytest.raises(TimedOut, match="1 operations without an outcome"):
        lay("streams").send(Operation(1, "create_volume", CreateVolume(1, 1, 1)), patience=QUIET)


def test_received_is_settled(lay: Lay) -> None:
    pipe = lay("streams")
    pipe.send(downloaded(1))
    assert ids(pipe.receive("metering", 1)) == [1]
    backlog = pipe.channel.backlog(pipe.site)
    assert backlog is not None
    assert (backlog.ready, backlog.claimed) == (0, 0)
