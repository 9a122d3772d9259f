"""Faults of the network on real servers: they fire, they are mended, and nothing that was accepted is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest

from sandbox import Workload, run
from sandbox.catalogue import find
from sandbox.exchange.schema import Verb
from sandbox.faults.catalogue import applicable, find_fault
from sandbox.faults.catalogue.kill_receiver import KillReceiver
from sandbox.faults.catalogue.kill_server import KillServer
from sandbox.faults.catalogue.partition import Partition
from sandbox.faults.catalogue.rolling_restart import RollingRestart
from sandbox.faults.fault import Fault, Planned
from sandbox.faults.network import KEPT
from sandbox.harness.checker import account
from sandbox.harness.history import History
from sandbox.harness.journal import Event
from sandbox.harness.session import Session
from sandbox.minimal import Minimal
from sandbox.site import Site

FAULTS = ["partition", "one_way_partition", "latency", "bandwidth", "reset", "answer_lost"]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as made:
        yield made


@pytest.mark.parametrize("name", ["skip_locked", "socket", "streams"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_fault_fires_and_nothing_that_was_accepted_is_lost(session: Session, fault: str, name: str) -> None:
    workload = Workload(operations=60, rate=300.0, warmup=0, size=200, timeout=2.0)

    result = run(find(name), workload, session=session, faults=[find_fault(fault).during(0.05, lasts=0.1)])

    (report,) = result.history.facts["faults"]
    assert report["witnesses"] > 0
    assert report["healed"] is not None or report["instant"]
    assert result.accounts[Verb.TELL].lost == 0


def test_what_is_shared_without_a_server_has_no_network() -> None:
    assert {applicable("spool")[fault] for fault in FAULTS} == {"no network: a folder"}


@dataclass(frozen=True)
class Pockets(Minimal):
    """A channel of one's own; where it leaves its messages is not asked here."""

    def put(self, place: Site, box: str, data: bytes) -> None:
        """Leave it."""

    def take(self, place: Site, box: str) -> tuple[None, bytes] | None:
        """Never anything."""
        return None

    def settle(self, place: Site, box: str, token: None) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Hatch(Pockets):
    """The same on a broker."""

    needs: ClassVar[tuple[str, ...]] = ("redis",)


def test_a_channel_of_ones_own_has_a_network_if_it_needs_a_server() -> None:
    assert {applicable(Pockets())[fault] for fault in FAULTS} == {"no server: nowhere to put a proxy"}
    assert {applicable(Hatch())[fault] for fault in FAULTS} == {""}


def test_a_latency_of_zero_touches_nothing(session: Session) -> None:
    workload = Workload(operations=20, rate=300.0, warmup=0, size=200)

    result = run("streams", workload, session=session, faults=[find_fault("latency", seconds=0.0)])

    assert result.history.facts["faults"][0]["witnesses"] == 0


def test_a_lost_answer_leaves_its_sender_in_doubt_about_work_that_was_done(session: Session) -> None:
    workload = Workload("ask", operations=60, rate=300.0, warmup=0, size=200, timeout=0.4)

    result = run("socket", workload, session=session, faults=[find_fault("answer_lost").at(0.05)])

    accounts = result.accounts[Verb.ASK]
    assert accounts.recovered
    assert accounts.info >= accounts.recovered
    assert accounts.lost == 0


def test_nothing_is_said_to_have_failed_that_a_lost_answer_was_about(session: Session) -> None:
    """Those that are told to have failed had no connection to go out by, or were never committed."""
    workload = Workload("ask", operations=60, rate=300.0, warmup=0, size=200, timeout=0.4)

    result = run("skip_locked", workload, session=session, faults=[find_fault("answer_lost").at(0.08)])

    accounts = result.accounts[Verb.ASK]
    assert accounts.contradicted == 0
    assert accounts.lost == 0


def worked_meanwhile(history: History) -> int:
    """Operations that were begun after the first touch of the fault and done before it was to be healed."""
    ((_, healing),) = (report["planned"] for report in history.facts["faults"])
    first = history.facts["injected"][0][0]
    begun = {int(event["operation"]) for event in history.of(Event.INTENT) if event["time"] > first}
    done = history.of(Event.EFFECT)
    return sum(int(event["operation"]) in begun and event["time"] < healing * 1e9 for event in done)


@pytest.mark.parametrize("name", ["socket", "streams"])
def test_a_half_open_connection_carries_what_a_partition_does_not(session: Session, name: str) -> None:
    """Their senders are told the same, for they cannot know."""
    workload = Workload("ask", operations=90, rate=200.0, warmup=0, size=200, timeout=2.0)
    impatient = find(name, timeout=0.1)

    half, whole = (
        run(impatient, workload, session=session, faults=[find_fault(fault, among="senders").during(0.05, lasts=0.35)])
        for fault in ("one_way_partition", "partition")
    )

    assert half.accounts[Verb.ASK].info > 0
    assert whole.accounts[Verb.ASK].info > 0
    assert worked_meanwhile(half.history) > 0
    assert worked_meanwhile(whole.history) == 0


def test_two_faults_at_once_are_passed_one_after_the_other(session: Session) -> None:
    workload = Workload(operations=60, rate=300.0, warmup=0, size=200, timeout=2.0)
    faults: list[Fault | Planned] = [
        find_fault("latency", seconds=0.005),
        find_fault("partition").during(0.05, lasts=0.05),
    ]

    result = run("streams", workload, session=session, faults=faults)

    facts = result.history.facts
    assert all(report["witnesses"] > 0 for report in facts["faults"])
    assert {name for _, name, _ in facts["injected"]} == {"latency", "partition"}
    assert result.accounts[Verb.TELL].lost == 0


def test_what_was_really_done_is_on_record_up_to_a_limit(session: Session) -> None:
    workload = Workload(operations=150, rate=600.0, warmup=0, size=200)

    result = run("streams", workload, session=session, faults=[find_fault("latency", seconds=0.001)])

    facts = result.history.facts
    (report,) = facts["faults"]
    assert report["witnesses"] > KEPT
    assert len(facts["injected"]) == KEPT + 1
    assert ": delayed, " in facts["injected"][0][2]
    assert facts["injected"][-1][2] == f"and {report['witnesses'] - KEPT} more"


# --- who comes back while the medium is out of reach ---------------------------------------------------


def names_of_receivers(history: History) -> list[str]:
    return [process.name for process in history.processes if process.group]


@pytest.mark.parametrize("name", ["skip_locked", "streams"])
def test_whoever_comes_back_into_a_partition_keeps_nobody_from_healing_it(session: Session, name: str) -> None:
    workload = Workload(operations=150, rate=300.0, warmup=0, size=200, timeout=2.0)
    faults = [KillReceiver(restart=0.02).at(0.05), Partition().during(0.06, lasts=0.2)]

    history = run(find(name, lease=0.2), workload, session=session, faults=faults).history

    killed, partition = history.facts["faults"]
    assert partition["healed"] <= killed["healed"], "it cannot have come before"
    assert "failed" not in history.facts
    assert names_of_receivers(history) == ["metering-0", "metering-0_2"]
    assert account(history, Verb.TELL).delivered == 150


@pytest.mark.parametrize("name", ["skip_locked", "streams"])
def test_whoever_cannot_start_without_its_server_starts_when_it_is_back(name: str) -> None:
    workload = Workload(operations=150, rate=300.0, warmup=0, size=200, timeout=2.0)
    faults = [KillReceiver(restart=0.02).at(0.05), KillServer(restart=0.3).at(0.06)]

    history = run(find(name, lease=0.2), workload, faults=faults).history

    assert "failed" not in history.facts
    assert names_of_receivers(history) == ["metering-0", "metering-0_2"]
    assert account(history, Verb.TELL).lost == 0


def test_a_receiver_that_cannot_end_keeps_nobody_from_healing_what_holds_it(session: Session) -> None:
    workload = Workload(operations=150, rate=300.0, warmup=0, size=200, timeout=2.0)
    faults = [Partition().during(0.05, lasts=0.2), RollingRestart().during(0.1, lasts=0.1)]

    history = run(find("streams", lease=0.2), workload, session=session, faults=faults).history

    partition, restart = history.facts["faults"]
    assert restart["witnesses"] == 1
    assert partition["healed"] <= restart["healed"]
    assert "failed" not in history.facts
    assert account(history, Verb.TELL).delivered == 150
