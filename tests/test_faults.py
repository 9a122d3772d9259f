"""Faults: planned, opened, healed, proved to have fired - and refused where they cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import Workload, run
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.faults.catalogue.kill_receiver import KillReceiver
from sandbox.faults.catalogue.kill_sender import KillSender
from sandbox.faults.catalogue.pause_receiver import PauseReceiver
from sandbox.faults.catalogue.slow_receiver import SlowReceiver
from sandbox.file_share.spool import Spool
from sandbox.harness.session import Session

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
def test_what_cannot_be_is_refused_with_what_to_do_instead(session: Session, fault: object, says: str) -> None:
    with pytest.raises(BadArgument, match=says):
        run(QUICK, small(), session=session, faults=[fault])  # type: ignore[list-item]
