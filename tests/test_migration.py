"""Tables that are migrated while rows lie in them, and what ends of the old version meet then."""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest
from msgspec import Struct

from sandbox.channel import ASK_GROUP, Channel, Delivery, Outcome, Receiver, Sender, Status
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.db_share.pipeline import Pipeline
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.errors import Definite, OverQuota
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
    Whole,
)
from sandbox.file_share.spool import Spool
from sandbox.idempotent import Idempotent
from sandbox.site import Site

FINAL = (Status.ANSWERED, Status.FAILED, Status.UNKNOWN)
names = (f"m{os.getpid()}_{number}" for number in itertools.count())


class Told(Struct, frozen=True, forbid_unknown_fields=True):
    """`ImageDownloaded` of another version: renamed, added with and without default, dropped, of another type."""

    image: Whole
    project: str
    size_bytes: Whole
    region: str = "it's here"
    weight: Whole = 7
    zone: Whole | None = None


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """... with a field that must be there."""

    image: Whole
    project: Whole
    bytes_sent: Whole
    region: str
    metadata: str = ""


class Numbered(Struct, frozen=True, forbid_unknown_fields=True):
    """... whose text is a number now."""

    image: Whole
    project: Whole
    bytes_sent: Whole
    metadata: Whole


class Keyed(Struct, frozen=True, forbid_unknown_fields=True):
    """`GetState` by a text."""

    volume: str


class StateOfVolume(Struct, frozen=True, forbid_unknown_fields=True):
    """`VolumeState` under another name, found by a text, with a field more."""

    volume: str
    phase: str
    version: Whole
    metadata: str = ""
    attached: Annotated[str, ""] = "nowhere"


class SetPhase(Struct, frozen=True, forbid_unknown_fields=True):
    """`SetState` of the same version."""

    volume: str
    phase: str
    version: Whole
    metadata: str = ""
    attached: Annotated[str, ""] = "nowhere"


class Created(Struct, frozen=True, forbid_unknown_fields=True):
    """`VolumeCreated` with another name for its host."""

    volume: Whole
    node: str
    rack: str = "r0"


class ByVersion(Struct, frozen=True, forbid_unknown_fields=True):
    """A state that is found by what many have in common."""

    version: Whole


class OfVersion(Struct, frozen=True, forbid_unknown_fields=True):
    """Which one?"""

    version: Whole


class Wider(Struct, frozen=True, forbid_unknown_fields=True):
    """`ImageDownloaded` with a field more."""

    image: Whole
    project: Whole
    bytes_sent: Whole
    metadata: str = ""
    region: str = "here"


def with_message(*changed: Message, without: tuple[str, ...] = ()) -> Schema:
    """The exchange with these messages in place of those of the same name (or of those without)."""
    gone = {*without, *(message.name for message in changed)}
    return Schema((*(m for m in EXCHANGE.messages.values() if m.name not in gone), *changed))


def telling(body: type[Struct], name: str = "image_downloaded") -> Schema:
    return with_message(Message(name, Verb.TELL, body), without=("image_downloaded",))


class Place:
    """A channel installed for the exchange, with its ends, and plain SQL beside it."""

    def __init__(self, channel: Channel, site: Site, ends: ExitStack) -> None:
        self.channel, self.site, self.ends = channel, site, ends

    def sender(self, schema: Schema = EXCHANGE, name: str = "nova") -> Sender:
        return self.ends.enter_context(closing(self.channel.sender(self.site, schema, name)))

    def receiver(self, schema: Schema = EXCHANGE, group: str = "metering", name: str = "r") -> Receiver:
        return self.ends.enter_context(closing(self.channel.receiver(self.site, schema, group, name)))

    def migrate(self, new: Schema, renamed: Mapping[str, str] | None = None, old: Schema = EXCHANGE) -> tuple[str, ...]:
        return self.channel.migrate(self.site, old, new, renamed or {})

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """What a stranger finds; `{s}` stands before table names."""
        if isinstance(self.channel, SkipLocked):
            with psycopg.connect(self.site.address("postgres"), autocommit=True) as stranger:
                return stranger.execute(statement.format(s=f"{self.site.name}.").encode()).fetchall()
        with closing(sqlite3.connect(self.site.folder / "compare_and_swap.db", timeout=10)) as stranger:
            return stranger.execute(statement.format(s="")).fetchall()


@pytest.fixture(params=[SkipLocked(timeout=1.0), CompareAndSwap(timeout=1.0)], ids=lambda channel: channel.title())
def place(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Place]:
    channel: Channel = request.param
    media = {medium: request.getfixturevalue(f"{medium}_address") for medium in channel.needs}
    site = Site(short_folder, next(names), addresses=media)
    channel.install(site, EXCHANGE)
    with ExitStack() as ends:
        yield Place(channel, site, ends)
    channel.uninstall(site)


def told(number: int = 1, text: str = "") -> Operation:
    return Operation(number, "image_downloaded", ImageDownloaded(number, 2, 10**6, text))


def final(sender: Sender, operation: Operation, *wanted: Status) -> Outcome:
    """What became of it: accepted unless something else is wanted."""
    sender.begin(operation)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for outcome in sender.outcomes(0.1):
            if outcome.operation == operation.id and outcome.status in (*FINAL, *(wanted or (Status.ACCEPTED,))):
                return outcome
    raise AssertionError(f"no outcome of {operation}")


def ending(sender: Sender) -> Outcome:
    """How the one operation that is open ends."""
    for _ in range(100):
        for outcome in sender.outcomes(0.1):
            if outcome.status in FINAL:
                return outcome
    raise AssertionError("it never ends")


def tell(sender: Sender, operation: Operation) -> None:
    assert final(sender, operation).status is Status.ACCEPTED


def taken(receiver: Receiver, count: int = 1) -> list[Struct]:
    """The next so many bodies, settled."""
    found: list[Delivery] = []
    deadline = time.monotonic() + 10
    while len(found) < count and time.monotonic() < deadline:
        found += receiver.take(0.1, count - len(found))
    for delivery in found:
        delivery.settle()
    receiver.take(0)
    return [delivery.operation.body for delivery in found]


def until(holds: Callable[[], object], receiver: Receiver) -> None:
    """Take, which must find nothing that can be delivered, until this holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        assert receiver.take(0.05) == []


# --- the rows that lie there ----------------------------------------------------------------------


def test_what_the_old_version_has_told_the_new_one_reads_from_its_renamed_retyped_and_added_columns(
    place: Place,
) -> None:
    tell(place.sender(), told(1, "a text that is dropped"))

    place.migrate(new := telling(Told), {"bytes_sent": "size_bytes"})

    assert taken(place.receiver(new)) == [Told(1, "2", 10**6, "it's here", 7, None)]
    assert place.channel.backlog(place.site).set_aside == 0  # type: ignore[union-attr]  # both can tell


def test_a_migration_says_which_statements_it_took(place: Place) -> None:
    statements = place.migrate(telling(Told), {"bytes_sent": "size_bytes"})

    assert sum("RENAME COLUMN" in each and "size_bytes" in each for each in statements) == 1
    assert sum('DROP COLUMN "metadata"' in each for each in statements) == 1
    assert [each.split(" ADD COLUMN ")[1] for each in statements if " ADD COLUMN " in each and '"~"' not in each] == [
        "\"region\" text NOT NULL DEFAULT 'it''s here'",
        '"weight" bigint NOT NULL DEFAULT 7',
        '"zone" bigint',
    ]


def test_a_migration_to_the_same_schema_changes_nothing(place: Place) -> None:
    assert place.migrate(EXCHANGE) == ()


def test_an_old_row_without_a_field_that_must_be_there_is_refused_with_its_name(place: Place) -> None:
    tell(place.sender(), told())

    place.migrate(new := telling(Strict))

    receiver = place.receiver(new)
    until(lambda: receiver.refused, receiver)
    assert "region" in receiver.refused[0]


def test_a_text_becomes_the_number_that_it_says_and_any_other_is_refused(place: Place) -> None:
    sender = place.sender()
    for number, text in ((1, "41"), (2, "-5"), (3, "forty"), (4, "")):
        tell(sender, told(number, text))

    place.migrate(new := telling(Numbered))

    receiver = place.receiver(new)
    assert taken(receiver) == [Numbered(1, 2, 10**6, 41)]
    until(lambda: len(receiver.refused) == 3, receiver)  # no negative number is allowed either


def test_a_renamed_message_takes_its_rows_and_its_answers_with_it(place: Place) -> None:
    # Given an ask that is answered, but not fetched, and one that is still to be taken
    sender, receiver = place.sender(), place.receiver(group=ASK_GROUP)
    for number in (1, 2):
        tell(sender, Operation(number, "create_volume", CreateVolume(number, 2, 10)))
    (first,) = receiver.take(5)
    first.reply(VolumeCreated(1, "h1"))
    first.settle()
    receiver.close()

    new = with_message(Message("make_volume", Verb.ASK, CreateVolume, Created), without=("create_volume",))
    place.migrate(new, {"create_volume": "make_volume", "host": "node"})

    assert place.sql("SELECT operation, node, rack FROM {s}make_volume_answer") == [(1, "h1", "r0")]
    assert taken(place.receiver(new, ASK_GROUP, "r2")) == [CreateVolume(2, 2, 10)]


def test_a_refusal_still_fits_into_a_table_of_answers_that_got_a_column_with_a_default(place: Place) -> None:
    new = with_message(Message("create_volume", Verb.ASK, CreateVolume, Created))
    place.migrate(new, {"host": "node"})

    sender, receiver = place.sender(new), place.receiver(new, ASK_GROUP)
    tell(sender, Operation(1, "create_volume", CreateVolume(1, 2, 10)))
    (delivery,) = receiver.take(5)
    delivery.reply(OverQuota("10 GB"))
    delivery.settle()
    receiver.take(0)
    assert isinstance(ending(sender).answer, OverQuota)


def test_shared_state_keeps_its_content_under_another_name_key_and_column(place: Place) -> None:
    tell(place.sender(), Operation(1, "set_state", SetState(9, "in-use", 3, "x")))
    new = with_message(
        Message("set_state", Verb.SHARE, SetPhase), Message("get_state", Verb.SHARE, Keyed, StateOfVolume)
    )

    place.migrate(new, {"state": "phase"})

    sender = place.sender(new, "cinder")
    read = final(sender, Operation(1, "get_state", Keyed("9")), Status.ANSWERED)
    assert read.answer == StateOfVolume("9", "in-use", 3, "x", "nowhere")
    tell(sender, Operation(2, "set_state", SetPhase("9", "error", 4)))
    again = final(sender, Operation(3, "get_state", Keyed("9")), Status.ANSWERED)
    assert again.answer == StateOfVolume("9", "error", 4)


def test_a_message_that_is_dropped_takes_its_table_with_it_and_a_new_one_gets_one(place: Place) -> None:
    place.migrate(new := telling(Told, "image_fetched"))

    tell(sender := place.sender(new), Operation(1, "image_fetched", Told(1, "2", 3)))
    assert taken(place.receiver(new)) == [Told(1, "2", 3)]
    assert final(sender, Operation(2, "get_state", GetState(1)), Status.ANSWERED)
    with pytest.raises((psycopg.Error, sqlite3.Error)):
        place.sql("SELECT * FROM {s}image_downloaded")


def test_a_key_that_was_given_never_comes_back_after_a_migration(place: Place) -> None:
    """Or the second settlement of an old row would settle a new one."""
    tell(place.sender(), told(1))
    (seq,) = place.sql("SELECT seq FROM {s}image_downloaded")
    taken(place.receiver())

    place.migrate(new := telling(Told), {"bytes_sent": "size_bytes"})

    tell(place.sender(new, "n2"), Operation(2, "image_downloaded", Told(1, "2", 3)))
    assert place.sql("SELECT seq FROM {s}image_downloaded") > [seq]


def test_a_migration_that_is_refused_has_changed_nothing(place: Place) -> None:
    # Given two states that would have the same key
    sender = place.sender()
    tell(sender, Operation(1, "set_state", SetState(8, "in-use", 1)))
    tell(sender, Operation(2, "set_state", SetState(9, "in-use", 1)))
    new = with_message(
        Message("set_state", Verb.SHARE, ByVersion), Message("get_state", Verb.SHARE, OfVersion, ByVersion)
    )

    with pytest.raises(Definite, match="nothing is changed"):
        place.migrate(new)

    read = final(sender, Operation(3, "get_state", GetState(8)), Status.ANSWERED)
    assert read.answer == VolumeState(8, "in-use", 1)


# --- ends of the old version that are open meanwhile ------------------------------------------------


def test_an_old_sender_goes_on_where_a_column_with_a_default_was_added(place: Place) -> None:
    tell(sender := place.sender(), told(1))

    place.migrate(new := telling(Wider))

    tell(sender, told(2))
    assert taken(place.receiver(new), 2) == [Wider(n, 2, 10**6, "", "here") for n in (1, 2)]


@pytest.mark.parametrize("gone", ["column", "table"])
def test_an_old_sender_fails_with_the_databases_words_and_all_else_that_it_begins_goes_on(
    place: Place, gone: str
) -> None:
    tell(sender := place.sender(), told(1))
    tell(sender, Operation(2, "set_state", SetState(1, "in-use", 1)))

    renamed = {"bytes_sent": "size_bytes"} if gone == "column" else {"image_downloaded": "image_fetched"}
    place.migrate(telling(Told, *renamed.values()) if gone == "table" else telling(Told), renamed)

    for number in (3, 4):
        failed = final(sender, told(number))
        assert failed.status is Status.FAILED
        assert ("bytes_sent" if gone == "column" else "image_downloaded") in failed.reason
    sender.begin(told(5))  # in one transaction with what is well
    tell(sender, Operation(6, "set_state", SetState(1, "in-use", 2)))


@pytest.mark.parametrize("gone", ["column", "table"])
def test_an_old_receiver_complains_once_and_goes_on_looking(place: Place, gone: str) -> None:
    tell(place.sender(), told(1))
    receiver = place.receiver()
    assert len(taken(receiver)) == 1
    tell(place.sender(name="n2"), told(2))

    renamed = {"bytes_sent": "size_bytes"} if gone == "column" else {"image_downloaded": "image_fetched"}
    place.migrate(telling(Told, *renamed.values()) if gone == "table" else telling(Told), renamed)

    until(lambda: any("bytes_sent" in each or "image_downloaded" in each for each in receiver.refused), receiver)
    complaints = len(receiver.refused)
    receiver.take(0.6)
    assert len(receiver.refused) == complaints


def test_what_an_old_receiver_has_in_hand_when_its_table_goes_does_not_keep_it_from_other_work(place: Place) -> None:
    """It settles into a table that is not there any more, and takes from the other one."""
    two = with_message(*EXCHANGE.messages.values(), Message("image_deleted", Verb.TELL, GetState))
    place.migrate(two)
    sender, receiver = place.sender(two), place.receiver(two)
    tell(sender, told(1))
    (delivery,) = receiver.take(5)

    place.migrate(with_message(Message("image_deleted", Verb.TELL, GetState), without=("image_downloaded",)), old=two)
    delivery.settle()
    tell(sender, Operation(2, "image_deleted", GetState(5)))

    assert taken(receiver) == [GetState(5)]
    assert any("image_downloaded" in each for each in receiver.refused)


def test_an_old_asker_whose_table_of_answers_is_gone_does_not_hang_and_does_not_ask_the_database_without_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, send = Counter[object](), Pipeline.send

    def counted(pipe: Pipeline, steps: Any, purpose: Any) -> None:
        sent[purpose if isinstance(purpose, str) else "other"] += 1
        send(pipe, steps, purpose)

    monkeypatch.setattr(Pipeline, "send", counted)
    sender = place.sender()
    operation = Operation(1, "create_volume", CreateVolume(1, 2, 10))
    tell(sender, operation)
    new = with_message(Message("make_volume", Verb.ASK, CreateVolume, Created), without=("create_volume",))
    place.migrate(new, {"create_volume": "make_volume", "host": "node"})
    receiver = place.receiver(new, ASK_GROUP)
    (delivery,) = receiver.take(5)
    delivery.reply(Created(1, "h1"))
    delivery.settle()
    receiver.take(0)

    ended = ending(sender)

    assert ended.status is Status.UNKNOWN
    assert "create_volume_answer" in ended.reason
    assert sent["fetch"] < 5  # woken once or twice, and not again because it failed


# --- everybody else ---------------------------------------------------------------------------------


def test_a_medium_that_knows_no_schema_has_nothing_to_migrate(short_folder: Path) -> None:
    site = Site(short_folder, next(names))

    assert Spool().migrate(site, EXCHANGE, telling(Told), {"bytes_sent": "size_bytes"}) == ()


def test_a_wrapper_migrates_what_it_wraps(short_folder: Path) -> None:
    channel, site = Idempotent(CompareAndSwap()), Site(short_folder, next(names))
    channel.install(site, EXCHANGE)

    assert channel.migrate(site, EXCHANGE, telling(Told), {"bytes_sent": "size_bytes"}) != ()

    with closing(channel.sender(site, new := telling(Told), "nova")) as sender:
        tell(sender, Operation(1, "image_downloaded", Told(1, "2", 3)))
    with closing(channel.receiver(site, new, "metering", "r")) as receiver:
        assert taken(receiver) == [Told(1, "2", 3)]


def test_an_answer_that_is_remembered_in_the_old_form_is_set_aside_and_not_worked_again(short_folder: Path) -> None:
    # Given a receiver of the old version that has answered and dies before it settles
    channel, site = Idempotent(Spool(lease=0.1)), Site(short_folder, next(names))
    channel.install(site, EXCHANGE)
    new = with_message(Message("create_volume", Verb.ASK, CreateVolume, Created))
    with closing(channel.sender(site, EXCHANGE, "nova")) as sender:
        tell(sender, Operation(1, "create_volume", CreateVolume(1, 2, 10)))
        with closing(channel.receiver(site, EXCHANGE, ASK_GROUP, "old")) as receiver:
            (delivery,) = receiver.take(5)
            delivery.reply(VolumeCreated(1, "h1"))

        # When the operation comes again, to one of the new version, which cannot say that answer
        with closing(channel.receiver(site, new, ASK_GROUP, "new")) as receiver:
            until(lambda: channel.backlog(site).set_aside, receiver)  # type: ignore[union-attr]  # a spool can tell
