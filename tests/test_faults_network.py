"""Faults of the network on real servers: they fire, they are mended, and nothing that was accepted is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import Workload, run
from sandbox.catalogue import find
from sandbox.exchange.schema import Verb
from sandbox.faults.catalogue import applicable, find_fault
from sandbox.harness.session import Session

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
