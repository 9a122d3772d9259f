"""Faults: planned, opened, healed, proved to have fired - and refused where they cannot be."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import sandbox.faults
import sandbox.faults.killing as killing
from sandbox import Workload, load, run
from sandbox.catalogue import sound_channels
from sandbox.channel import Channel
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.errors import BadArgument, RunFailed
from sandbox.exchange.schema import Schema, Verb
from sandbox.faults.catalogue import applicable, faults, find_fault
from sandbox.faults.catalogue.kill_receiver import KillReceiver
from sandbox.faults.catalogue.kill_sender import KillSender
from sandbox.faults.catalogue.kill_server import KillServer
from sandbox.faults.catalogue.lock_held import LockHeld
from sandbox.faults.catalogue.pause_receiver import PauseReceiver
from sandbox.faults.catalogue.pause_server import PauseServer
from sandbox.faults.catalogue.restart import Restart
from sandbox.faults.catalogue.slow_receiver import SlowReceiver
from sandbox.faults.drawing import schedule
from sandbox.faults.fault import Fault, Planned
from sandbox.file_share.spool import Receiver, Spool
from sandbox.harness.cast import Cast
from sandbox.harness.result import Result
from sandbox.harness.session import Session
from sandbox.messaging.streams import Streams
from sandbox.rpc.socket import Socket
from sandbox.servers.server import ExternalServer
from sandbox.site import Site

QUICK = Spool(lease=0.2)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


def small(operations: int = 60, **knobs: object) -> Workload:
    return Workload(operations=operations, **{"rate": 300.0, "warmup": 0, "size": 200, **knobs})  # type: ignore[arg-type]


def test_a_fault_is_opened_and_healed_within_the_run_and_on_record(session: Session) -> None:
    result = run(QUICK, small(), session=session, faults=[PauseReceiver().during(0.05, lasts=0.1)])

    (fault,) = result.history.facts["faults"]
    assert (fault["name"], fault["title"], fault["witnesses"]) == ("pause_receiver", "metering-0 paused", 1)
    assert fault["planned"] == [0.05, pytest.approx(0.15)]
    assert 0.05 <= fault["opened"] < fault["healed"]
    assert [entry[1:] for entry in result.history.facts["injected"]] == [["pause_receiver", "metering-0 stopped"]]
    assert result.accounts[Verb.TELL].delivered == 60


@pytest.mark.parametrize(("point", "again"), [("taken", 0), ("working", 0), ("worked", 1), ("settled", 0)])
def test_a_receiver_killed_at_a_point_is_replaced_and_what_it_held_comes_again(
    session: Session, point: str, again: int
) -> None:
    result = run(QUICK, small(), session=session, faults=[KillReceiver(point, restart=0.05).at(0.05)])

    accounts = result.accounts[Verb.TELL]
    assert (accounts.delivered, accounts.lost, accounts.duplicated) == (60, 0, again)
    assert [process.died for process in result.history.processes if process.group] == [-9, None]
    assert result.history.facts["faults"][0]["witnesses"] == 1


def test_a_killed_sender_is_replaced_and_the_rest_is_sent(session: Session) -> None:
    result = run(QUICK, small(), session=session, faults=[KillSender(restart=0.05).at(0.05)])

    accounts = result.accounts[Verb.TELL]
    assert (accounts.ok, accounts.info, accounts.unattempted, accounts.delivered) == (59, 1, 0, 60)


def test_a_with_block_reaches_every_run_within_it_and_none_after_it(session: Session) -> None:
    with SlowReceiver(by=0.001):
        inside = [run(QUICK, small(20), session=session) for _ in range(2)]
    after = run(QUICK, small(20), session=session)

    assert [result.history.facts["faults"][0]["witnesses"] for result in inside] == [20, 20]
    assert "faults" not in after.history.facts


def test_blocks_within_each_other_add_up(session: Session) -> None:
    with SlowReceiver(by=0.001), KillSender(restart=0.01):
        result = run(QUICK, small(20), session=session, faults=[KillReceiver(restart=0.01).at(0.02)])

    assert [fault["name"] for fault in result.history.facts["faults"]] == [
        "slow_receiver",
        "kill_sender",
        "kill_receiver",
    ]
    assert all(fault["witnesses"] for fault in result.history.facts["faults"])


def test_intensity_zero_injects_nothing_and_leaves_the_run_unknown(session: Session) -> None:
    result = run(QUICK, small(20), session=session, faults=[SlowReceiver(by=0)])

    assert result.history.facts["injected"] == []
    assert result.verdict.state == "unknown"
    assert any("'metering-0 slower by 0 ms' never fired" in reason for reason in result.verdict.reasons)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (PauseReceiver().during(0.1, lasts=5.0), "within the load.*operations=1532"),
        (PauseReceiver().at(-1), "0 or more seconds"),
        (PauseReceiver().during(0.1, lasts=0), "more than 0 seconds"),
        (PauseReceiver(who="metering-7").at(0.1), "one of metering-0, got 'metering-7'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do_instead(session: Session, fault: Planned, says: str) -> None:
    with pytest.raises(BadArgument, match=says):
        run(QUICK, small(), session=session, faults=[fault])


# --- bad use ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ([KillServer()], "one that spool can have, got 'kill_server'.*no server stands in between"),
        ([PauseReceiver().during(0.02, 0.1), KillReceiver().at(0.05)], "left alone.*got 'pause_receiver at the same"),
        ([PauseReceiver(), KillReceiver()], "left alone by other faults at that time"),
        (
            [KillReceiver(restart=None).at(0.02), KillReceiver().at(0.1)],
            "alive then, got 'metering-0, killed before'.*restart=0.2",
        ),
        ([KillReceiver(restart=None).at(0.02), PauseReceiver().at(0.1)], "alive then, got 'metering-0, killed before'"),
        ([Restart("metering-0").at(0.1)], "what was killed before, got 'metering-0'.*Kill it first"),
        ([KillReceiver().at(0.02), Restart("metering-0").at(0.1)], "what was killed before"),
        ([Restart("nobody").at(0.1)], "one of metering-0, sender-0, got 'nobody'"),
    ],
)
def test_faults_that_exclude_each_other_are_refused_before_the_run(
    session: Session, faults: list[Fault | Planned], says: str
) -> None:
    with pytest.raises(BadArgument, match=says):
        run(QUICK, small(), session=session, faults=faults)


def test_a_fault_of_receivers_wants_a_workload_that_has_some(session: Session) -> None:
    with pytest.raises(BadArgument, match=r"a workload with a receiver.*has one"):
        run(QUICK, small(verb="share"), session=session, faults=[KillReceiver().at(0.05)])


def test_a_point_that_does_not_exist_is_refused_when_the_fault_is_made() -> None:
    with pytest.raises(BadArgument, match="one of taken, working, worked, settled, got 'wroked'"):
        KillReceiver("wroked")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SlowReceiver(by=-1), "by: expected a number, 0 or more, got -1"),
        (lambda: KillReceiver(nth=0), "nth: expected a number, 1 or more, got 0"),
        (lambda: KillSender(restart=-0.1), "restart: expected a number, 0 or more"),
        (lambda: KillServer(restart=None), "restart: expected a number, 0 or more, got None"),  # type: ignore[arg-type]
        (lambda: find_fault("latency", seconds=0.01, jitter=0.5), r"at most the latency \(0.01 s\), got 0.5"),
        (lambda: find_fault("bandwidth", rate=0), r"more than 0, got 0. For no byte at all: Partition\(\)"),
        (lambda: find_fault("duplicate", times=-1), "times: expected a number, 0 or more"),
        (lambda: find_fault("answer_lost", times="two"), "times: expected a number, 0 or more, got 'two'"),
        (lambda: find_fault("reorder", behind=-1), "behind: expected a number, 0 or more"),
        (lambda: find_fault("rolling_restart", pause=float("nan")), "pause: expected a number, 0 or more, got nan"),
        (lambda: find_fault("torn_write", unflushed=-1), "unflushed: expected a number, 0 or more"),
    ],
)
def test_a_knob_that_cannot_be_is_refused_when_the_fault_is_made(make: Callable[[], Fault], says: str) -> None:
    with pytest.raises(BadArgument, match=says):
        make()


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (PauseReceiver().at(0.1), r"a list of faults, got Planned.*Write faults=\[PauseReceiver"),
        ("pause_receiver", "a list of faults, got 'pause_receiver'"),
        ([PauseReceiver], "faults, with a time or without, got <class"),
        (["pause_receiver"], "got 'pause_receiver'.*`find_fault` makes one of a name"),
        ([PauseReceiver().at("0.1")], "time of pause_receiver: expected a number of seconds, got '0.1'"),  # type: ignore[arg-type]
        ([PauseReceiver().during(0.1, "1")], "length of pause_receiver: expected a number"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_fault_with_a_time_is_refused_with_how_to_write_it(faults: Any, says: str) -> None:
    with pytest.raises(BadArgument, match=says):
        run(QUICK, small(), faults=faults)


def test_a_fault_of_a_server_of_your_own_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def yours(medium: str) -> ExternalServer:
        return ExternalServer(
            medium=medium, address="redis://:s3cret@nowhere:1/0", label="yours", version="1", variable="V"
        )

    monkeypatch.setattr(session, "server", yours)

    with pytest.raises(BadArgument, match="expected one started here, got 'yours'") as caught:
        run("streams", small(), session=session, faults=[KillServer().at(0.05)])
    assert "s3cret" not in str(caught.value)


def test_one_that_stays_away_can_be_restarted_later(session: Session) -> None:
    faults = [KillReceiver("taken", restart=None).at(0.02), Restart("metering-0").at(0.1)]

    result = run(QUICK, small(), session=session, faults=faults)

    assert result.accounts[Verb.TELL].delivered == 60
    assert [fault["witnesses"] for fault in result.history.facts["faults"]] == [1, 1]


def test_after_a_restart_the_next_fault_hits_whoever_has_come(session: Session) -> None:
    faults = [KillReceiver(restart=0.02).at(0.02), KillReceiver(restart=0.02).at(0.15)]

    result = run(QUICK, small(90), session=session, faults=faults)

    names = [process.name for process in result.history.processes if process.group]
    assert names == ["metering-0", "metering-0_2", "metering-0_3"]
    assert result.accounts[Verb.TELL].delivered == 90


@dataclass(frozen=True)
class OnceOnly(Spool):
    """Nobody can come in the place of a receiver."""

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        if "_" in name:
            raise RuntimeError("it was here once")
        return super().receiver(site, schema, group, name)


def test_one_that_cannot_start_is_given_up_after_a_while_and_is_a_finding(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killing, "PERSISTENCE", 0.2)
    workload, fault = small(receivers=2), KillReceiver(restart=0.02).at(0.02)

    history = run(OnceOnly(lease=0.2), workload, session=session, faults=[fault]).history

    names = [process.name for process in history.processes if process.group]
    assert names == ["metering-0", "metering-1", "metering-0_2"]
    assert "it was here once" in history.facts["failed"]["metering-0_2"]
    assert history.facts["faults"][0]["healed"] is None  # nobody is said to be back


def test_two_that_miss_the_same_one_bring_one(session: Session) -> None:
    class TwoRevivals(KillReceiver):
        def open(self, cast: Cast) -> None:
            super().open(cast)
            self._other = killing.Revival(self.restart)

        def watch(self, cast: Cast) -> None:
            self._other.watch(cast, self, self.switch.strikes)
            super().watch(cast)

    result = run(QUICK, small(), session=session, faults=[TwoRevivals(restart=0.02).at(0.02)])

    names = [process.name for process in result.history.processes if process.group]
    assert names == ["metering-0", "metering-0_2"]
    assert result.accounts[Verb.TELL].delivered == 60


def test_one_that_is_killed_on_its_way_is_left_to_who_has_killed_it(session: Session) -> None:
    class Impatient(KillReceiver):
        def watch(self, cast: Cast) -> None:
            super().watch(cast)
            if "metering-0_2" in cast.members and "metering-0_3" not in cast.members:
                cast.kill("metering-0_2")

    fault = Impatient(restart=0.02).at(0.02)
    result = run(QUICK, small(receivers=2), session=session, faults=[fault])

    assert [process.died for process in result.history.processes if process.group] == [-9, None, -9]
    assert "failed" not in result.history.facts


def test_a_fault_that_never_fires_leaves_the_run_unknown(session: Session) -> None:
    result = run(QUICK, small(), session=session, faults=[KillReceiver(nth=1000).at(0.02)])

    assert result.verdict.state == "unknown"
    assert any("killed during the work' never fired" in reason for reason in result.verdict.reasons)


# --- stopping in the middle ------------------------------------------------------------------------


def interrupt(cast: Cast) -> None:
    raise KeyboardInterrupt


def test_stopping_in_the_middle_resumes_who_was_paused(session: Session) -> None:
    pids: list[int] = []

    class Seen(PauseReceiver):
        def heal(self, cast: Cast) -> None:
            super().heal(cast)
            pids.extend(cast[name].pid for name in self.targets)
            states.extend(state_of(pid) for pid in pids)

    states: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(QUICK, small(), session=session, faults=[Seen().at(0.02)], interventions=[(0.1, interrupt)])

    assert states and not any(state.startswith("T") for state in states)


def test_stopping_in_the_middle_lets_go_of_the_lock(session: Session) -> None:
    kept: list[Site] = []

    class Kept(CompareAndSwap):
        def uninstall(self, site: Site) -> None:
            kept.append(site)

    stop = [(0.1, interrupt)]
    with pytest.raises(KeyboardInterrupt):
        run(Kept(), small(), session=session, faults=[LockHeld().at(0.02)], interventions=stop)

    with closing(sqlite3.connect(next(kept[0].folder.glob("*.db")), timeout=0)) as db:
        db.execute("BEGIN IMMEDIATE")  # raises while somebody has it
        db.execute("ROLLBACK")


def test_stopping_in_the_middle_gets_the_server_going_again() -> None:
    with Session() as own:
        stop = [(0.1, interrupt)]
        with pytest.raises(KeyboardInterrupt):
            run("streams", small(), session=own, faults=[PauseServer().at(0.02)], interventions=stop)

        assert not any(state_of(pid).startswith("T") for pid in own.server("redis").processes())


def state_of(pid: int) -> str:
    """As ps shows it: T is stopped."""
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()


def test_one_that_cannot_be_healed_keeps_no_other_from_it(session: Session) -> None:
    healed: list[str] = []

    class Stubborn(PauseReceiver):
        def heal(self, cast: Cast) -> None:
            healed.append("stubborn")
            raise RunFailed("it will not")

    class Noted(SlowReceiver):
        def heal(self, cast: Cast) -> None:
            super().heal(cast)
            healed.append("noted")

    with pytest.raises(RunFailed, match="it will not"):
        run(QUICK, small(), session=session, faults=[Noted(), Stubborn().at(0.1)])

    assert set(healed) == {"stubborn", "noted"}


# --- schedules from a seed -------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_schedule_byte_for_byte() -> None:
    def drawn(seed: int) -> bytes:
        return schedule(seed, QUICK, small(600), 6).to_bytes()

    assert drawn(7) == drawn(7)
    assert len({drawn(seed) for seed in range(5)}) == 5


@pytest.mark.parametrize("channel", [Spool(), Streams(), Socket()])
def test_a_drawn_schedule_is_one_that_can_be_carried_out(channel: Channel) -> None:
    for seed in range(20):
        plan = schedule(seed, channel, small(600), 5)
        assert plan.planned
        plan.check(channel, small(600))


def test_a_schedule_can_be_run_and_run_again(session: Session) -> None:
    plan = schedule(3, QUICK, small(120), 3, among=[SlowReceiver(by=0.005), KillReceiver(restart=0.02)])

    for _ in range(2):
        result = run(QUICK, small(120), session=session, faults=plan)
        assert [fault["witnesses"] > 0 for fault in result.history.facts["faults"]] == [True] * len(plan.planned)


def test_a_schedule_wants_a_load_that_ends_and_a_fault_that_applies() -> None:
    with pytest.raises(BadArgument, match="open loop"):
        schedule(1, QUICK, small(loop="closed"), 3)
    with pytest.raises(BadArgument, match="how many faults, 0 or more, got -1"):
        schedule(1, "spool", small(), -1)
    with pytest.raises(BadArgument, match="one that spool can have"):
        schedule(1, QUICK, small(), 3, among=[KillServer()])


# --- where faults come from ------------------------------------------------------------------------


def test_every_fault_says_of_every_channel_whether_it_applies() -> None:
    for channel in sound_channels():
        reasons = applicable(channel)
        assert set(reasons) == set(faults()) - {"restart"}
        assert all(len(reason) < 60 for reason in reasons.values())


def test_a_fault_is_found_by_its_name_and_a_wrong_one_suggests_the_nearest() -> None:
    assert find_fault("slow_receiver", by=0.5) == SlowReceiver(by=0.5)
    assert find_fault(SlowReceiver(), by=0.5).knobs()["by"] == 0.5
    with pytest.raises(BadArgument, match="Did you mean 'pause_receiver'"):
        find_fault("pause_reciever")
    with pytest.raises(BadArgument, match="one of by, who, got 'speed'"):
        find_fault("slow_receiver", speed=1)


def test_the_package_gives_every_fault_by_its_class_name() -> None:
    assert sandbox.faults.KillServer is KillServer
    with pytest.raises(AttributeError, match="Fualt"):
        _ = sandbox.faults.Fualt


def test_a_fault_of_some_25_lines_in_a_file_of_its_own_runs_by_its_path(session: Session, tmp_path: Path) -> None:
    """docs/adding-a-fault.md, followed to the letter."""
    page = (Path(__file__).parent.parent / "docs" / "adding-a-fault.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    assert len(code.splitlines()) <= 28
    file = tmp_path / "amnesia.py"
    file.write_text(code)

    result = run(QUICK, small(), session=session, faults=[find_fault(str(file), every=5)])

    (fault,) = result.history.facts["faults"]
    assert fault["title"] == "metering-0 forgets every operation that 5 divides"
    assert fault["witnesses"] == 12
    assert result.accounts[Verb.TELL].delivered == 60


def test_the_template_runs_and_admits_that_it_does_nothing(session: Session) -> None:
    template = Path(sandbox.faults.__file__).parent / "template.py"

    result = run(QUICK, small(20), session=session, faults=[find_fault(str(template))])

    assert result.history.facts["faults"][0]["witnesses"] == 0
    assert result.verdict.state == "unknown"


def test_a_history_keeps_its_faults_when_it_is_saved(session: Session, tmp_path: Path) -> None:
    result = run(QUICK, small(), session=session, faults=[KillReceiver(restart=0.02).at(0.02)])

    again = load(result.save(tmp_path / "run"))

    assert isinstance(again, Result)
    assert again.history.facts["faults"] == result.history.facts["faults"]
    assert again.history.facts["injected"] == result.history.facts["injected"]
