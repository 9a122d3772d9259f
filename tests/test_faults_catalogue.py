"""Every fault on a real channel: it fires, it is mended, and the accounts show what it did."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from sandbox import Workload, run
from sandbox.catalogue import find
from sandbox.channel import Channel
from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.exchange.schema import Verb
from sandbox.faults.catalogue import every_fault, find_fault
from sandbox.faults.catalogue.disk_full import DiskFull
from sandbox.faults.catalogue.duplicate import Duplicate
from sandbox.faults.catalogue.fail_first import FailFirst
from sandbox.faults.catalogue.kill_receiver import KillReceiver
from sandbox.faults.catalogue.kill_server import KillServer
from sandbox.faults.catalogue.lock_held import LockHeld
from sandbox.faults.catalogue.pause_server import PauseServer
from sandbox.faults.catalogue.poison_message import PoisonMessage
from sandbox.faults.catalogue.poison_pill import PoisonPill
from sandbox.faults.catalogue.reorder import Reorder
from sandbox.faults.catalogue.rolling_restart import RollingRestart
from sandbox.faults.catalogue.torn_write import TornWrite
from sandbox.faults.fault import Fault, Planned
from sandbox.file_share.log import Log
from sandbox.file_share.spool import Spool
from sandbox.harness.checker import Accounts
from sandbox.harness.result import Result
from sandbox.harness.session import Session
from sandbox.idempotent import Idempotent
from sandbox.messaging.streams import Streams
from sandbox.rpc.socket import Socket

SOUND = {
    "spool": Spool(lease=0.2),
    "compare_and_swap": CompareAndSwap(lease=0.2),
    "skip_locked": SkipLocked(lease=0.2),
    "streams": Streams(lease=0.2),
    "socket": Socket(),
}
STORING = [name for name in SOUND if name != "socket"]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One for all runs here, whose servers each of them leaves as it has found them."""
    with Session() as made:
        yield made


def broken(channel: Channel, fault: Fault | Planned, session: Session, operations: int = 60) -> Result:
    """A run of a fifth of a second with a fault that must have fired."""
    workload = Workload(operations=operations, rate=300.0, warmup=0, size=200, timeout=2.0)
    result = run(channel, workload, session=session, faults=[fault])
    for each in result.history.facts["faults"]:
        assert each["witnesses"] > 0, each
        assert each["opened"] is not None
    return result


def told(result: Result) -> Accounts:
    return result.accounts[Verb.TELL]


# --- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOUND)
def test_what_is_handed_over_twice_is_worked_twice_and_no_channel_is_blamed(session: Session, name: str) -> None:
    result = broken(SOUND[name], Duplicate(times=3).at(0.05), session)

    assert (told(result).delivered, told(result).duplicated, told(result).lost) == (60, 3, 0)
    assert not any("did not keep it" in finding for finding in result.findings)


def test_an_idempotent_receiver_takes_a_duplicate_back_to_one(session: Session) -> None:
    result = broken(Idempotent(SOUND["spool"]), Duplicate(times=3).at(0.05), session)

    assert (told(result).delivered, told(result).duplicated) == (60, 0)


@pytest.mark.parametrize("name", SOUND)
def test_one_that_is_overtaken_comes_behind_the_later_ones(session: Session, name: str) -> None:
    result = broken(SOUND[name], Reorder(behind=3).at(0.05), session)

    assert (told(result).delivered, told(result).reordered) == (60, 1)


@pytest.mark.parametrize("name", STORING)
def test_a_poison_message_is_set_aside_and_the_others_are_worked(session: Session, name: str) -> None:
    result = broken(SOUND[name], PoisonMessage().at(0.05), session)

    assert told(result).delivered == 59
    assert any("1 of 60 were set aside" in finding for finding in result.findings)
    assert not any("did not keep it" in finding for finding in result.findings)


def test_a_poison_pill_kills_whoever_works_on_it_again_and_again(session: Session) -> None:
    result = broken(Spool(lease=0.1), PoisonPill(restart=0.02).at(0.02), session, operations=180)

    dead = [process for process in result.history.processes if process.died == -9]
    assert len(dead) == result.history.facts["faults"][0]["witnesses"] >= 2
    assert told(result).delivered == 180  # when the load has ended, it can be worked: the bug is mended


@pytest.mark.parametrize("name", STORING)
def test_work_that_fails_for_now_is_tried_again_until_it_succeeds(session: Session, name: str) -> None:
    result = broken(SOUND[name], FailFirst(k=2).at(0.05), session)

    assert result.history.facts["faults"][0]["witnesses"] == 2
    assert (told(result).delivered, told(result).duplicated, told(result).lost) == (60, 0, 0)


def test_where_nothing_can_be_given_back_one_failure_is_the_end_of_it(session: Session) -> None:
    result = broken(SOUND["socket"], FailFirst(k=2).at(0.05), session)

    assert (told(result).delivered, told(result).info, told(result).lost) == (59, 1, 0)


# --- processes and servers -------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOUND)
def test_a_rolling_restart_loses_nothing_that_was_accepted(session: Session, name: str) -> None:
    workload = Workload(operations=90, rate=300.0, warmup=0, size=200, receivers=2)

    result = run(SOUND[name], workload, session=session, faults=[RollingRestart(pause=0.02).at(0.05)])

    assert result.history.facts["faults"][0]["witnesses"] == 2
    assert [process.name for process in result.history.processes if process.group][2:] == [
        "metering-0_2",
        "metering-1_2",
    ]
    assert (told(result).lost, told(result).delivered) == (0, told(result).ok)


@pytest.mark.parametrize("name", ["skip_locked", "streams"])
def test_what_was_accepted_survives_the_kill_of_the_server(session: Session, name: str) -> None:
    result = broken(SOUND[name], KillServer(restart=0.05).at(0.05), session)

    (fault,) = result.history.facts["faults"]
    assert fault["healed"] > fault["opened"]
    assert told(result).lost == 0
    assert told(result).ok < 60


def test_a_run_that_breaks_a_server_gets_one_of_its_own() -> None:
    workload = Workload(operations=60, rate=300.0, warmup=0, size=200)

    result = run("streams", workload, faults=[KillServer(restart=0.05).at(0.05)])

    assert told(result).lost == 0
    assert told(run("streams", workload)).ok == 60


@pytest.mark.parametrize("name", ["skip_locked", "streams"])
def test_nothing_is_lost_while_the_server_stands_still(session: Session, name: str) -> None:
    result = broken(SOUND[name], PauseServer().during(0.05, lasts=0.1), session)

    assert (told(result).ok, told(result).delivered, told(result).lost) == (60, 60, 0)


# --- disks and locks -------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [SOUND["compare_and_swap"], SOUND["skip_locked"], Log(patience=0.05)])
def test_a_lock_that_somebody_holds_is_met_and_let_go(session: Session, channel: Channel) -> None:
    result = broken(channel, LockHeld().during(0.05, lasts=0.1), session)

    assert told(result).lost == 0
    assert told(result).ok > 15  # what came before it was held


@pytest.mark.parametrize("channel", [SOUND["spool"], Log(), find("in_place")])
def test_a_torn_file_is_a_message_lost(session: Session, channel: Channel) -> None:
    result = broken(channel, TornWrite().at(0.05), session)

    assert (told(result).ok, told(result).lost > 0) == (60, True)


def test_what_a_broker_had_not_flushed_is_lost_in_a_power_cut(session: Session) -> None:
    result = broken(SOUND["streams"], TornWrite().at(0.05), session)

    assert told(result).lost > 0
    assert not any("did not keep it" in finding for finding in result.findings)  # it is accepted by the server only


@pytest.mark.parametrize("name", STORING)
def test_what_a_full_disk_does_not_take_is_not_acknowledged(session: Session, name: str) -> None:
    result = broken(SOUND[name], DiskFull().during(0.05, lasts=0.1), session)

    assert told(result).ok < 60
    assert told(result).lost == 0


def test_where_a_fault_does_not_apply_the_reason_is_said() -> None:
    reasons = {
        ("kill_server", "spool"): "no server stands in between",
        ("lock_held", "spool"): "it takes no lock: every step is one rename",
        ("lock_held", "streams"): "the broker lets nobody hold a lock",
        ("lock_held", "socket"): "nothing is shared, so nothing is locked",
        ("torn_write", "skip_locked"): "its log has checksums: what is torn is undone",
        ("torn_write", "socket"): "nothing is written",
        ("disk_full", "socket"): "nothing is written",
    }
    for (fault, channel), reason in reasons.items():
        assert find_fault(fault).why_not(SOUND[channel]) == reason
    assert TornWrite().why_not(Spool(flush=True)) == "flushed before it is accepted"


@pytest.mark.parametrize("opened", [False, True], ids=["before it opens", "while it is open"])
@pytest.mark.parametrize("fault", every_fault(), ids=lambda fault: fault.name())
def test_a_run_that_is_stopped_leaves_nothing_broken(session: Session, fault: Fault, opened: bool) -> None:
    channel = next(channel for channel in SOUND.values() if not fault.why_not(channel))
    workload = Workload(operations=45, rate=300.0, warmup=0, size=200)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        at = 0.02 if opened else 0.1
        run(channel, workload, session=session, faults=[fault.at(at)], interventions=[(0.06, stop)])

    if opened:
        after = run(channel, workload.but(operations=10), session=session)
        assert (told(after).ok, told(after).delivered) == (10, 10)


@pytest.mark.parametrize("point", ["taken", "working", "worked", "settled"])
def test_settled_before_the_work_a_receiver_that_dies_at_it_loses_it(session: Session, point: str) -> None:
    workload = Workload(operations=60, rate=300.0, warmup=0, size=200, settle="before")

    result = run(SOUND["spool"], workload, session=session, faults=[KillReceiver(point, restart=0.02).at(0.05)])

    assert (told(result).lost, told(result).duplicated) == (0 if point == "worked" else 1, 0)
    assert "before settlement" not in result.history.facts["faults"][0]["title"]


def test_a_fault_says_what_it_is_about_once_it_is_known() -> None:
    assert KillReceiver("taken").title == "receiver killed before the work"
    assert dataclasses.replace(KillReceiver(), point="settled").title == "receiver killed after settlement"
