"""Whole runs with real participants: whatever happens to them, the accounts are right and the verdict says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from build import Book
from thin import Fifo, Folder

from sandbox import channel
from sandbox.catalogue import sound_channels
from sandbox.channel import Envelope, Outcome
from sandbox.errors import BadArgument, RunFailed
from sandbox.exchange import oracles
from sandbox.exchange.schema import CreateVolume, ImageDownloaded, Operation, Schema, Verb
from sandbox.harness import cast as cast_module
from sandbox.harness import run as run_module
from sandbox.harness.cast import Cast
from sandbox.harness.checker import State, account, judge
from sandbox.harness.history import History, Role
from sandbox.harness.hook import Hook
from sandbox.harness.journal import Event, read
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.stage import Director, Stage
from sandbox.harness.tasks import ReceiveTask
from sandbox.harness.workload import Workload
from sandbox.null import Null
from sandbox.site import Site


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One session for all runs here, as a notebook has it."""
    with Session() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon on what will never come."""
    monkeypatch.setattr(run_module, "PATIENCE", 0.5)
    monkeypatch.setattr(run_module, "FAREWELL", 0.5)


def small(verb: Any = "tell", operations: int = 60, **knobs: Any) -> Workload:
    """A workload of a fifth of a second."""
    return Workload(verb, operations=operations, **{"rate": 300.0, "warmup": 0, "size": 200, **knobs})


def operations_with(history: History, kind: Event, process: str | None = None) -> Counter[int]:
    """How often each operation has an event of a kind (at one process)."""
    events = history.of(kind)
    if process is not None:
        events = events[events["process"] == [p.name for p in history.processes].index(process)]
    return Counter(events["operation"].tolist())


# --- runs in which all goes well ---------------------------------------------------------------


@pytest.mark.parametrize("channel", [Folder(), Fifo()], ids=["Folder", "Fifo"])
def test_what_is_told_is_worked_once_and_billed_rightly(session: Session, channel: channel.Channel) -> None:
    history = run_history(channel, small(operations=50, warmup=10), session)

    accounts = account(history, Verb.TELL)
    assert (accounts.intended, accounts.ok, accounts.delivered, accounts.lost, accounts.duplicated) == (
        60,
        60,
        60,
        0,
        0,
    )
    assert oracles.bill(history, "metering").right
    assert judge(history).state is not State.INVALID


def test_several_senders_receivers_and_groups(session: Session) -> None:
    workload = small(operations=90, senders=3, receivers=2, groups=("metering", "audit"))

    history = run_history(Folder(), workload, session)

    accounts = account(history, Verb.TELL)
    assert (accounts.ok, accounts.delivered, accounts.lost, accounts.duplicated) == (90, 180, 0, 0)
    assert oracles.bill(history, "metering").right and oracles.bill(history, "audit").right
    names = {process.name for process in history.processes}
    assert names == {"sender-0", "sender-1", "sender-2", "metering-0", "metering-1", "audit-0", "audit-1"}
    for number in range(3):
        mine = history.plan.rows["id"][history.plan.rows["sender"] == number].tolist()
        assert operations_with(history, Event.INTENT, f"sender-{number}") == Counter(mine)


def test_asks_are_answered_and_no_quota_is_exceeded(session: Session) -> None:
    history = run_history(Folder(), small("ask", receivers=2, projects=2, quota_gb=200), session)

    books = oracles.volumes(history)
    assert account(history, Verb.ASK).ok == 60
    assert books.created + books.refused == 60
    assert books.refused > 0  # 60 asks of 20 GB on average do not fit into 400
    assert books.right


def test_shared_state_through_its_owner(session: Session) -> None:
    history = run_history(Folder(), small("share", volumes=3, readers=2), session)

    states = oracles.states(history)
    assert account(history, Verb.SHARE).ok == 60
    assert states.reads > 0 and states.right
    assert {process.name for process in history.processes} == {"owner", "writer", "reader-0", "reader-1"}


def test_a_mix_of_all_verbs(session: Session) -> None:
    history = run_history(Folder(), small({"tell": 1, "ask": 1, "share": 1}), session)

    accounts = [account(history, verb) for verb in Verb]
    assert sum(each.intended for each in accounts) == 60
    assert all(each.conserved and each.ok == each.intended == each.delivered for each in accounts)


def test_it_settles_after_the_work_or_before_it(session: Session) -> None:
    first_of = {}
    for policy in ("after", "before"):
        history = run_history(Folder(), small(operations=20, settle=policy), session)
        kinds = history.of_operation(7)["event"].tolist()
        assert set(kinds) == {"intent", "accepted", "work", "effect", "settled"}
        first_of[policy] = min(("settled", "effect"), key=kinds.index)

    assert first_of == {"after": "effect", "before": "settled"}


def test_a_closed_loop_keeps_no_more_open_than_it_was_told(session: Session) -> None:
    history = run_history(Folder(), small("ask", loop="closed", in_flight=3, senders=2), session)

    for sender in history.indices(Role.SENDER):
        mine = history.events[history.events["process"] == sender]
        steps = np.where(mine["event"] == Event.INTENT, 1, np.where(mine["event"] == Event.ANSWERED, -1, 0))
        assert np.cumsum(steps).max() == 3
    assert account(history, Verb.ASK).ok == 60


def test_one_session_can_be_used_by_several_threads(session: Session) -> None:
    found: dict[int, bool] = {}

    def one(seed: int) -> None:
        history = run_history(Folder(), small(seed=seed), session)
        found[seed] = oracles.bill(history, "metering").right and account(history, Verb.TELL).delivered == 60

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == dict.fromkeys(range(6), True)


def test_a_run_leaves_no_journal_behind_in_its_session(session: Session) -> None:
    sites: list[Site] = []

    run_history(Folder(), small(operations=10), session, [(0.0, lambda cast: sites.append(cast.site))])

    assert not list(sites[0].folder.glob("*.journal"))


# --- death ----------------------------------------------------------------------------------------


def at_work(name: str, then: Callable[[Cast, str], None]) -> Callable[[Cast], None]:
    """Catch a receiver in the middle of its work, which it then never finishes, and do something to it."""

    def act(cast: Cast) -> None:
        while True:
            cast[name].pause()
            records = read(cast.journals[name])
            if len(records) and records["event"][-1] == Event.WORK:
                then(cast, name)
                return
            cast[name].resume()

    return act


@pytest.mark.parametrize("batch", [1, 5])
def test_what_a_killed_receiver_had_claimed_is_lost_and_counted_as_lost(
    session: Session, impatient: None, batch: int
) -> None:
    # Given two receivers on a channel that delivers at most once, both busy all the time
    workload = small(operations=100, receivers=2, service=0.008, batch=batch)

    # When one of them is killed on purpose, in the middle of its work
    history = run_history(Folder(), workload, session, [(0.1, at_work("metering-0", Cast.kill))])

    # Then what it had claimed and not done is lost, nothing else is, and the measuring was all right
    accounts, bill = account(history, Verb.TELL), oracles.bill(history, "metering")
    done = operations_with(history, Event.EFFECT)
    assert accounts.acknowledged == 100
    assert accounts.lost == 100 - len(done) >= 1
    assert accounts.lost <= batch
    assert accounts.duplicated == 0
    lost = [number for number in range(1, 101) if number not in done]
    assert bill.unbilled == history.plan.rows["value"][np.array(lost) - 1].sum()
    assert not [reason for reason in judge(history).reasons if "died" in reason]
    assert next(p for p in history.processes if p.name == "metering-0").died == -9


def test_the_effect_is_the_record_also_when_death_comes_right_behind_it(session: Session, impatient: None) -> None:
    def after_an_effect(cast: Cast) -> None:
        while not (read(cast.journals["metering-0"])["event"] == Event.EFFECT).any():
            pass
        cast.kill("metering-0")

    history = run_history(Folder(), small(service=0.002), session, [(0.0, after_an_effect)])

    done = operations_with(history, Event.EFFECT)
    assert done
    assert account(history, Verb.TELL).delivered == len(done)
    assert account(history, Verb.TELL).lost == 60 - len(done)


def test_a_killed_sender_leaves_the_rest_of_its_plan_unattempted(session: Session, impatient: None) -> None:
    history = run_history(Folder(), small(operations=300), session, [(0.1, lambda cast: cast.kill("sender-0"))])

    accounts, verdict = account(history, Verb.TELL), judge(history)
    assert accounts.conserved and accounts.unattempted > 0
    assert accounts.unexpected == accounts.duplicated == 0
    assert verdict.state is State.UNKNOWN
    assert f"{accounts.unattempted} operations of the plan were not offered" in verdict.reasons


def test_a_paused_sender_that_catches_up_leaves_the_run_unknown(session: Session) -> None:
    interventions = [(0.1, lambda cast: cast["sender-0"].pause()), (0.4, lambda cast: cast["sender-0"].resume())]

    history = run_history(Fifo(), small(operations=200), session, interventions)

    assert account(history, Verb.TELL).ok == 200
    assert any("the pacer itself was late" in reason for reason in judge(history).reasons)


def test_a_paused_receiver_is_a_finding_and_no_doubt(session: Session) -> None:
    interventions = [(0.1, lambda cast: cast["metering-0"].pause()), (0.4, lambda cast: cast["metering-0"].resume())]

    history = run_history(Fifo(), small(operations=200), session, interventions)

    assert account(history, Verb.TELL).delivered == 200
    assert not any("died" in reason or "drain" in reason for reason in judge(history).reasons)


def test_a_sender_that_never_comes_back_does_not_hold_the_run_for_ever(
    session: Session, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "STUCK", 0.5)

    history = run_history(Fifo(), small(timeout=0.1), session, [(0.05, lambda cast: cast["sender-0"].pause())])

    verdict = judge(history)
    assert verdict.state is State.UNKNOWN
    assert "sender-0 neither sent nor ended any more" in verdict.reasons


def test_a_participant_that_cannot_even_start_fails_the_run_with_its_reason(session: Session) -> None:
    with pytest.raises(RunFailed, match="no receiver today"):
        run_history(Unwilling(), small(), session)


def test_an_unknown_participant_is_told_who_there_is(session: Session) -> None:
    with pytest.raises(BadArgument, match="one of metering-0, sender-0, got 'reciever'"):
        run_history(Folder(), small(), session, [(0.0, lambda cast: cast.kill("reciever"))])


# --- messages that nobody can digest -------------------------------------------------------------


def smuggle(message: str, body: msgspec.Struct, box: str) -> Callable[[Cast], None]:
    """Put a message where it does not belong."""

    def act(cast: Cast) -> None:
        envelope = Envelope(10**6, message, msgspec.Raw(msgspec.json.encode(body)), "sender-0")
        Folder().put(cast.site, box, msgspec.json.encode(envelope))

    return act


@pytest.mark.parametrize("settle", ["after", "before"])
def test_a_receiver_sets_aside_what_its_business_cannot_digest_and_goes_on(session: Session, settle: str) -> None:
    foul = smuggle("create_volume", CreateVolume(1, 1, 1), "tell.metering")
    sites: list[Site] = []

    history = run_history(
        Folder(), small(settle=settle), session, [(0.05, foul), (0.05, lambda cast: sites.append(cast.site))]
    )

    assert operations_with(history, Event.SET_ASIDE) == {10**6: 1}
    assert account(history, Verb.TELL).delivered == 60
    assert account(history, Verb.TELL).unexpected == 0
    dead = sites[0].folder / "dead.tell.metering"
    assert dead.exists() is (settle == "after")  # settled before the work, it was no longer there to be moved


def test_an_ask_that_fails_is_answered_with_the_failure(session: Session) -> None:
    foul = smuggle("image_downloaded", ImageDownloaded(1, 1, 1), "volumes")

    history = run_history(Folder(), small("ask"), session, [(0.05, foul)])

    assert operations_with(history, Event.SET_ASIDE) == {10**6: 1}
    assert account(history, Verb.ASK).ok == 60


def test_what_is_no_message_at_all_is_refused_counted_and_told(session: Session) -> None:
    def litter(cast: Cast) -> None:
        for junk in (
            b"",
            b"\xff\xfe",
            b"{}",
            b'{"id": 1, "message": "image_downloaded", "body": {}}',
            b"\x80\x04K\x01.",
        ):
            Folder().put(cast.site, "tell.metering", junk)

    history = run_history(Folder(), small(), session, [(0.05, litter)])

    assert operations_with(history, Event.REFUSED) == {0: 5}
    assert len(history.facts["refused"]) == 5
    assert account(history, Verb.TELL).delivered == 60


# --- channels that behave badly ------------------------------------------------------------------


@dataclass(frozen=True)
class Unwilling(Folder):
    """Cannot make a receiver."""

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> channel.Receiver:
        raise OSError("no receiver today")


@dataclass(frozen=True)
class Chatty(Fifo):
    """Tells thirty times what it should tell once."""

    def sender(self, site: Site, schema: Schema, name: str) -> channel.Sender:
        sender = super().sender(site, schema, name)
        once = sender.outcomes
        sender.outcomes = lambda timeout: once(timeout) * 30  # type: ignore[method-assign]
        return sender


@dataclass(frozen=True)
class Tardy(Fifo):
    """Tells what became of its operations only when the last one was sent more than 0.6 s ago."""

    def sender(self, site: Site, schema: Schema, name: str) -> channel.Sender:
        sender = super().sender(site, schema, name)
        begin, once, kept, last = sender.begin, sender.outcomes, [], [0.0]  # type: ignore[var-annotated]

        def outcomes(timeout: float) -> list[Outcome]:
            kept.extend(once(timeout))
            return kept if time.monotonic() > last[0] + 0.6 else []

        def begin_and_note(operation: Operation) -> None:
            begin(operation)
            last[0] = time.monotonic()

        sender.begin, sender.outcomes = begin_and_note, outcomes  # type: ignore[method-assign]
        return sender


@dataclass(frozen=True)
class Forgetful(Folder):
    """Loses every tenth request on the way."""

    def put(self, place: Site, box: str, data: bytes) -> None:
        if box != "volumes" or msgspec.json.decode(data)["id"] % 10:
            super().put(place, box, data)


@dataclass(frozen=True)
class Tidy(Folder):
    """Says where it was uninstalled."""

    witness: str = ""

    def uninstall(self, site: Site) -> None:
        Path(self.witness).touch()


def test_a_receivers_journal_that_is_too_small_ends_the_run_unknown(
    session: Session, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cast_module, "ReceiveTask", lambda **task: ReceiveTask(**{**task, "capacity": 30}))

    verdict = judge(run_history(Fifo(), small(), session))

    assert verdict.state is State.UNKNOWN
    assert "metering-0's journal is full: what came after is not on record" in verdict.reasons


def test_a_senders_journal_that_is_too_small_ends_the_run_unknown(session: Session, impatient: None) -> None:
    verdict = judge(run_history(Chatty(), small(), session))

    assert verdict.state is State.UNKNOWN
    assert "sender-0's journal is full: what came after is not on record" in verdict.reasons


def test_an_outcome_that_comes_after_all_patience_is_late_and_changes_no_account(session: Session) -> None:
    # Given a patience of 0.1 s, and receivers that keep the run going for a second
    history = run_history(Tardy(), small(operations=20, timeout=0.1, service=0.05), session)

    accounts = account(history, Verb.TELL)
    assert (accounts.ok, accounts.info) == (0, 20)
    assert history.of(Event.LATE)["value"].tolist() == [20]


def test_a_closed_loop_goes_on_without_the_answers_that_do_not_come(session: Session, impatient: None) -> None:
    workload = small("ask", operations=30, loop="closed", timeout=0.1)

    history = run_history(Forgetful(), workload, session)

    accounts = account(history, Verb.ASK)
    assert (accounts.attempted, accounts.ok, accounts.info, accounts.unattempted) == (30, 27, 3, 0)


@pytest.mark.parametrize("how", ["to its end", "interrupted"])
def test_what_was_installed_on_a_server_is_uninstalled(session: Session, tmp_path: Path, how: str) -> None:
    witness = tmp_path / "uninstalled"

    def interrupt(cast: Cast) -> None:
        raise KeyboardInterrupt

    try:
        run_history(Tidy(witness=str(witness)), small(), session, [(0.05, interrupt)] if how == "interrupted" else [])
    except KeyboardInterrupt:
        assert how == "interrupted"

    assert witness.exists()


@pytest.mark.parametrize("verb", ["ask", "share", {"tell": 1, "share": 1}])
def test_a_verb_that_the_channel_does_not_offer_is_refused_before_anything_starts(verb: Any) -> None:
    with pytest.raises(BadArgument, match=r"expected one that null offers \(tell\), got '(ask|share)'"):
        run_history(Null(), Workload(verb), session=None)


# --- saved and loaded ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["h.npz", "history", "with.dots.in.it"])
def test_a_saved_history_is_the_same_when_it_is_loaded(session: Session, tmp_path: Path, name: str) -> None:
    history = run_history(Folder(), small({"tell": 2, "ask": 1}, groups=("metering", "audit")), session)

    history.save(tmp_path / name)
    again = History.load(tmp_path / name)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert again.plan.to_bytes() == history.plan.to_bytes()
    assert again.events.tobytes() == history.events.tobytes() and again.events.dtype == history.events.dtype
    for field in ("workload", "channel", "style", "guarantees", "processes", "label", "notes", "facts"):
        assert getattr(again, field) == getattr(history, field), field
    assert [account(again, verb) for verb in history.workload.weights] == [
        account(history, verb) for verb in history.workload.weights
    ]


def garbage(path: Path, kind: str) -> None:
    """A file that is no history."""
    book = Book("TT").well().history()
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("dear diary")
    elif kind == "a pickle":
        path.write_bytes(b"\x80\x04K\x01.")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "an array":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif kind == "a broken zip":
        path.write_bytes(b"PK\x03\x04" + bytes(50))
    elif kind == "another zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("hello", "world")
    elif kind == "cut short":
        book.save(path)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "flipped in the middle":
        book.save(path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    elif kind == "other columns":
        with path.open("wb") as file:
            np.savez(file, plan=np.arange(3), events=np.arange(3), meta=np.array('{"format": 1}'))
    elif kind in ("another format", "unknown knobs", "no meta"):
        meta = {"another format": {"format": 99}, "unknown knobs": {"format": 1, "workload": {"rat": 1}}, "no meta": {}}
        with path.open("wb") as file:
            np.savez(file, plan=book.plan.rows, events=book.events, meta=np.array(json.dumps(meta[kind])))


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "empty", "text", "a pickle", "a folder", "an array", "a broken zip", "another zip", "cut short"),
        *("flipped in the middle", "other columns", "another format", "unknown knobs", "no meta"),
    ],
)
def test_a_file_that_is_no_history_is_refused_with_the_reason(tmp_path: Path, kind: str) -> None:
    garbage(tmp_path / "file", kind)

    with pytest.raises(BadArgument, match="history file: expected") as caught:
        History.load(tmp_path / "file")

    assert str(tmp_path) in str(caught.value) or kind == "another format"


# --- many at once -----------------------------------------------------------------------------------

ONE_OF_MANY = """
import json, sys
from sandbox.catalogue import find
from sandbox.exchange import oracles
from sandbox.exchange.schema import Verb
from sandbox.harness.checker import account
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.workload import Workload
import thin
named, seed = sys.argv[1], int(sys.argv[2])
channel = thin.Folder() if named == "folder" else find(named)
with Session() as session:
    workload = Workload({"tell": 2, "ask": 1}, operations=40, rate=100, warmup=0, seed=seed)
    history = run_history(channel, workload, session)
tell, ask = account(history, Verb.TELL), account(history, Verb.ASK)
print(json.dumps({
    "told": tell.intended - tell.ok, "lost": tell.lost, "duplicated": tell.duplicated, "unexpected": tell.unexpected,
    "asked": ask.intended - ask.ok, "answers": ask.unexpected, "bill": oracles.bill(history, "metering").right,
    "volumes": oracles.volumes(history).right, "meant": oracles.bill(history, "metering").meant,
}))
"""

AS_MEANT = {
    "told": 0,
    "lost": 0,
    "duplicated": 0,
    "unexpected": 0,
    "asked": 0,
    "answers": 0,
    "bill": True,
    "volumes": True,
}


def start_at_once(count: int) -> dict[int, dict[str, Any]]:
    """Start so many programs at the same time, each with a run of its own; seed -> what it found."""
    names = ["folder", *(found.title() for found in sound_channels())]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_OF_MANY, names[seed % len(names)], str(seed)],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for seed in range(count)
    ]
    found = {}
    try:
        for seed, program in enumerate(programs):
            out, errors = program.communicate(timeout=100)
            assert program.returncode == 0, f"{names[seed % len(names)]}: {errors.decode()}"
            found[seed] = json.loads(out)
    finally:
        for program in programs:
            program.kill()
            program.communicate()
    return found


def check_undisturbed(found: dict[int, dict[str, Any]]) -> None:
    """Everyone has exactly its own deliveries, answers and bills."""
    meant = [result.pop("meant") for result in found.values()]
    assert found == dict.fromkeys(found, AS_MEANT)
    assert len(set(meant)) == len(meant)  # each its own business, not another's


def test_eight_runs_at_once_do_not_disturb_each_other() -> None:
    check_undisturbed(start_at_once(8))


@pytest.mark.slow
def test_thirty_runs_at_once_do_not_disturb_each_other() -> None:
    check_undisturbed(start_at_once(30))


# --- who comes on stage, and when --------------------------------------------------------------------


@dataclass
class DiesAt(Hook):
    """Kills its process at a point of one operation."""

    point: str
    operation: int

    def at(self, point: str, operation: int, attempt: int = 0) -> None:
        if (point, operation) == (self.point, self.operation):
            self.die(operation)


class Hooked(Director):
    """Gives a participant a hook, and brings another on stage in its place."""

    def __init__(self, name: str, hook: Hook) -> None:
        self.name, self.hook = name, hook

    def prepare(self, stage: Stage) -> None:
        stage.change(lambda process, part: part.hooked(self.hook) if process.name == self.name else part)

    def sent(self, cast: Cast) -> None:
        cast.restart(self.name)


@pytest.mark.parametrize("point", ["taken", "working", "worked", "settled"])
def test_a_hook_kills_its_receiver_at_the_named_point(session: Session, point: str) -> None:
    director = Hooked("metering-0", DiesAt(point, 3))

    history = run_history(Fifo(), small(operations=6, warmup=0), session, director=director)

    events = history.of_operation(3)
    of_the_first = events[events["process"] == "metering-0"]["event"].tolist()
    so_far = ["work", "effect", "settled"][: ["taken", "working", "worked", "settled"].index(point)]
    assert of_the_first == [*so_far, "struck"]
    assert not any("nobody had asked for it" in note for note in history.notes)


def test_a_restarted_sender_goes_on_with_what_was_not_begun(session: Session) -> None:
    director = Hooked("sender-0", DiesAt("begin", 3))

    history = run_history(Fifo(), small(operations=6, warmup=0), session, director=director)

    accounts = account(history, Verb.TELL)
    assert (accounts.ok, accounts.info, accounts.unattempted) == (5, 1, 0)  # the third was begun, and then nothing
    assert [process.name for process in history.processes if process.role is Role.SENDER] == ["sender-0", "sender-0_2"]
    assert judge(history).reasons == ()
