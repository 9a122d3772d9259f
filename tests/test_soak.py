"""The soak: schedules from a seed, kills that are proved to have hit, promises held - and a liar that is caught."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox import Workload, cli, guarantees
from sandbox.channel import Channel, Delivery
from sandbox.exchange.schema import Schema
from sandbox.faults.catalogue.duplicate import Duplicate
from sandbox.faults.catalogue.kill_receiver import KillReceiver
from sandbox.faults.catalogue.kill_sender import KillSender
from sandbox.faults.catalogue.kill_server import KillServer
from sandbox.faults.catalogue.pause_receiver import PauseReceiver
from sandbox.faults.fault import Fault, Planned
from sandbox.faults.plan import FaultPlan
from sandbox.faults.soak.judging import breaches
from sandbox.faults.soak.kill_now import KillNow
from sandbox.faults.soak.proof import killed
from sandbox.faults.soak.result import Soak, Tally
from sandbox.faults.soak.shrinking import Shrinking
from sandbox.faults.soak.soaking import carry_out, once_more, soak
from sandbox.faults.soak.trial import Trial, draw, rows
from sandbox.file_share.spool import Receiver, Spool
from sandbox.harness.history import History
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.idempotent import Idempotent
from sandbox.messaging.streams import Streams
from sandbox.servers.process import children_of, group_is_alive, wait_for_group
from sandbox.site import Site

ROWS = rows()
QUICK = Spool(lease=0.2)


@dataclass(frozen=True)
class Hasty(Spool):
    """Settles what it takes before anybody has worked on it, and promises at least once all the same."""

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        receiver = super().receiver(site, schema, group, name)
        take = receiver.take

        def hastily(timeout: float, limit: int = 1) -> list[Delivery]:
            taken = take(timeout, limit)
            for delivery in taken:
                delivery.settle()  # the second time, after the work, it does nothing
            return taken

        setattr(receiver, "take", hastily)  # noqa: B010  # a method is assigned: the liar's whole trick
        return receiver


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


def broken(session: Session, *faults: Fault | Planned, on: Channel = QUICK, **knobs: object) -> History:
    """A run of a fifth of a second with some faults."""
    few: dict[str, object] = {"operations": 60, "rate": 300.0, "warmup": 0, "size": 200, "timeout": 2.0, **knobs}
    return run_history(on, Workload(**few), session, director=FaultPlan(faults))  # type: ignore[arg-type]


# --- schedules from a seed -------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS)
def test_the_same_seed_gives_the_same_runs_byte_for_byte(row: str) -> None:
    first, again = ([draw(row, ROWS[row], 5, number).to_bytes() for number in (1, 2, 3)] for _ in range(2))

    assert first == again
    assert len({*first, draw(row, ROWS[row], 6, 1).to_bytes()}) == 4


@pytest.mark.parametrize("row", ROWS)
def test_what_is_drawn_can_be_carried_out(row: str) -> None:
    for number in range(1, 5):
        trial = draw(row, ROWS[row], 11, number)
        trial.plan().check(trial.channel, trial.workload)  # does not raise


def test_kills_are_drawn_at_every_point_and_at_none_and_servers_break_where_there_are_some() -> None:
    drawn = [each.fault for number in range(1, 40) for each in draw("streams", ROWS["streams"], 1, number).planned]

    points = {getattr(fault, "point", fault.name()) for fault in drawn}
    assert points >= {"taken", "working", "worked", "settled", "begin", "begun", "kill_now"}
    assert points >= {"pause_receiver", "kill_server", "pause_server"}


def test_servers_of_your_own_are_spared() -> None:
    trials = [draw("streams", ROWS["streams"], 1, number) for number in range(1, 40)]

    spared = [trial.sparing_servers() for trial in trials]

    assert any(each.fault.kind == "server" for trial in trials for each in trial.planned)
    assert not any(each.fault.kind == "server" for trial in spared for each in trial.planned)


# --- a kill counts when it has hit something -------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "in_hand"),
    [
        (KillReceiver("taken", restart=0.01), 1),
        (KillReceiver("working", restart=0.01), 1),
        (KillReceiver("worked", restart=0.01), 1),
        (KillReceiver("settled", restart=0.01), 0),
        (KillSender("begin", restart=0.01), 1),
        (KillSender("begun", restart=0.01), 1),
    ],
)
def test_what_a_process_died_with_is_proved_by_its_own_journal(session: Session, fault: Fault, in_hand: int) -> None:
    (dead,) = killed(broken(session, fault.at(0.05)))

    assert len(dead.in_hand) == in_hand


def test_one_that_dies_idle_is_killed_and_does_not_count(session: Session) -> None:
    history = broken(session, KillNow("metering-0").at(0.5), operations=2, rate=1.0)

    (dead,) = killed(history)

    assert (dead.sort, dead.in_hand) == ("receiver", frozenset())


def test_one_that_dies_at_work_counts_wherever_it_was(session: Session) -> None:
    history = broken(session, KillNow("metering-0").at(0.3), operations=4, rate=10.0, service=0.2)

    assert [len(dead.in_hand) for dead in killed(history)] == [1]


def test_a_kill_that_never_fired_does_not_count(session: Session) -> None:
    assert killed(broken(session, KillReceiver("working", nth=1000).at(0.05))) == []


def test_the_kill_of_a_server_counts_with_what_was_under_way(session: Session) -> None:
    history = broken(session, KillServer(restart=0.02).at(0.1), on=Streams(lease=0.2), service=0.02)

    (dead,) = killed(history)

    assert dead.sort == "server"
    assert dead.in_hand


# --- what is a breach ------------------------------------------------------------------------------


def test_worked_again_is_a_breach_where_at_most_once_is_promised_and_only_there(session: Session) -> None:
    history = broken(session, KillReceiver("worked", restart=0.01).at(0.05))
    assert breaches(history, QUICK) == []

    tell = dataclasses.replace(history.guarantees.tell, delivery=guarantees.Delivery.AT_MOST_ONCE)
    once = dataclasses.replace(history, guarantees=dataclasses.replace(history.guarantees, tell=tell))
    assert breaches(once, QUICK) == ["tell: worked again 1 time (at most once is promised)"]


def test_an_idempotent_receiver_may_repeat_what_one_died_at_and_nothing_else(session: Session) -> None:
    died = broken(session, KillReceiver("worked", restart=0.01).at(0.05))
    repeated = broken(session, Duplicate(times=1).at(0.05))

    assert breaches(died, Idempotent(QUICK)) == []
    (breach,) = breaches(repeated, Idempotent(QUICK))
    assert "1 operation worked again" in breach


# --- shortened to what is needed -------------------------------------------------------------------


def needing(*needed: int, seen: list[Trial]) -> Shrinking:
    """A search among runs that fail with these faults, and never without one of them."""

    def fails(trial: Trial) -> bool:
        seen.append(trial)
        return set(needed) <= set(trial.kept)

    return Shrinking(fails, tries=1)


@pytest.mark.parametrize("needed", [(), (1,), (3,), (2, 5), (1, 4, 6)])
def test_a_schedule_is_shortened_to_the_faults_that_are_needed(needed: Sequence[int]) -> None:
    trial = draw("spool", ROWS["spool"], 1, 1)

    assert needing(*needed, seen=[]).shortest(trial).kept == tuple(needed)


def test_operations_are_left_out_as_long_as_the_faults_still_have_a_place() -> None:
    trial = draw("spool", ROWS["spool"], 1, 1)
    last = max(range(len(trial.planned)), key=lambda index: trial.planned[index].at or 0)

    early = needing(1, seen=[]).shortest(trial)
    late = needing(trial.kept[last], seen=[]).shortest(trial)

    assert early.workload.operations < late.workload.operations == trial.workload.operations


def test_what_fails_now_and_then_only_has_several_tries() -> None:
    trial = draw("spool", ROWS["spool"], 1, 1)
    calls: list[int] = []

    def every_third_time(_: Trial) -> bool:
        calls.append(1)
        return len(calls) % 3 == 0

    assert Shrinking(every_third_time, tries=3).shortest(trial).kept == ()


# --- the soak --------------------------------------------------------------------------------------


def test_every_sound_channel_holds_what_it_promises_through_some_kills() -> None:
    found = soak(seed=3, kills=60, progress=False)

    assert found.sound, str(found)
    assert set(found.tallies) == set(ROWS)
    assert found.kills >= 60
    assert all(tally.kills for tally in found.tallies.values())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_sound_channel_holds_what_it_promises_through_a_thousand_kills() -> None:
    found = soak(seed=4, progress=False)

    assert found.sound, str(found)
    assert found.kills >= 1000


@pytest.fixture
def hasty() -> Channel:
    return Hasty(lease=0.3, timeout=1.5)


def test_a_channel_that_settles_before_the_work_breaks_its_promise_and_one_kill_is_what_it_takes(
    session: Session, hasty: Channel
) -> None:
    few = Workload(operations=60, rate=300.0, warmup=0, size=200, timeout=1.0)
    faults = (
        KillSender(restart=0.01).at(0.01),
        PauseReceiver().during(0.03, lasts=0.02),
        KillReceiver("settled", restart=0.01).at(0.06),
        KillReceiver("working", restart=0.01).at(0.1),
    )
    trial = Trial("hasty", hasty, 1, 1, few, faults, (1, 2, 3, 4))

    shortest = Shrinking(lambda shorter: bool(carry_out(shorter, session)[1]), tries=2).shortest(trial)

    dead, broken = carry_out(trial, session)
    assert broken == ["tell: 1 operation acknowledged and lost (at least once is promised)"]
    assert sorted(len(each.in_hand) for each in dead if each.sort == "receiver") == [0, 1]
    assert shortest.kept == (4,)
    assert shortest.command.endswith(f"--run 1 --keep 4 --operations {shortest.workload.operations}")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_soak_finds_a_channel_that_settles_before_the_work(session: Session, hasty: Channel) -> None:
    found = soak({"hasty": hasty}, seed=1, progress=False)

    (failure,) = found.failures
    assert not found.sound
    assert any("acknowledged and lost (at least once is promised)" in breach for breach in failure.breaches)
    assert len(failure.shortest.planned) <= 2
    assert failure.again[0] > 0
    assert f"--seed 1 --run {failure.trial.number} --keep" in str(failure)
    # And what is left fails again when it is drawn anew, as the command does it
    again = draw("hasty", hasty, 1, failure.trial.number).keeping(failure.shortest.kept)
    again = again.offering(failure.shortest.workload.operations)
    assert again.to_bytes() == failure.shortest.to_bytes()
    assert any(carry_out(again, session)[1] for _ in range(5))


def test_a_row_that_was_never_tried_has_not_held_anything() -> None:
    found = Soak(1, {"spool": Tally(runs=1), "streams": Tally()})
    assert not found.sound
    assert [line.split()[-1] for line in str(found).splitlines() if line.startswith("spool")] == ["held"]
    assert [line.split()[-2:] for line in str(found).splitlines() if line.startswith("streams")] == [["not", "tried"]]


def test_one_run_is_done_once_more_with_some_of_its_faults(capsys: pytest.CaptureFixture[str]) -> None:
    trial = once_more("spool", 1, 2, [1, 3], None)

    status = cli.main(["soak", "--channels", "spool", "--seed", "1", "--run", "2", "--keep", "1", "3", "--times", "1"])

    shown = capsys.readouterr().out
    assert status == 0
    assert len(trial.planned) == 2
    assert all(line in shown for line in trial.schedule())
    assert "broken in 0 of 1 runs" in shown


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--minutes", "0"], "--minutes: expected more than 0"),
        (["--keep", "1"], "--keep: expected it together with --run"),
        (["--run", "1"], "--run: expected --seed and one of --channels"),
        (["--run", "0", "--seed", "1", "--channels", "spool"], "--run: expected 1 or more"),
        (
            ["--run", "1", "--seed", "1", "--channels", "spool", "--keep", "99"],
            "--keep: expected some of the faults 1, 2",
        ),
        (["--channels", "spol"], "Did you mean 'spool'"),
    ],
)
def test_bad_use_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert cli.main(["soak", *options]) == 2
    assert says in capsys.readouterr().err


def test_stopping_it_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox", "soak", "--seed", "1", "--channels", "spool", "streams"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(r"\[\d+\]", line):  # a run is over, the others are in the middle of theirs
                break
        guards = children_of(process.pid)
        servers = [each for guard in guards for each in children_of(guard)]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    assert process.returncode == 130, rest
    assert "everything that had been started is ended" in rest
    assert guards
    for pid in (*guards, *servers):
        assert wait_for_group(pid) or not group_is_alive(pid)
