"""Every fault that is planted in checker, oracles, measuring or records is noticed; see `planted.py`."""

from __future__ import annotations

from types import ModuleType

import planted_checker
import planted_measure
import planted_oracles
import planted_records
import pytest
from planted import CHECKS, FAULTS, Fault, checks_of, first_failure, noticed_by, planted

from sandbox.exchange import oracles
from sandbox.harness import checker
from sandbox.harness.checker import account

PLANTED = (planted_checker, planted_measure, planted_oracles, planted_records)  # importing them has planted


@pytest.mark.parametrize("module", CHECKS, ids=lambda module: module.__name__)
def test_all_checks_pass_on_the_honest_version(module: ModuleType) -> None:
    assert first_failure(checks_of(CHECKS[module])) is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.module.__name__.split('.')[-1]}: {fault.name}")
def test_no_fault_survives(fault: Fault) -> None:
    assert noticed_by(fault), f"no check of {CHECKS[fault.module].__name__} notices that {fault.name}"


def test_there_are_faults_in_every_part_and_no_two_are_the_same() -> None:
    assert len(FAULTS) == len({(fault.module, fault.name) for fault in FAULTS}) >= 30
    assert {fault.module for fault in FAULTS} == set(CHECKS)


# --- the test, tested -----------------------------------------------------------------------------


def fault_in(attribute: str, make) -> Fault:
    """A fault of the checker that is not registered."""
    return Fault("made here", checker, checker, attribute, make)


def test_a_change_that_does_no_harm_survives() -> None:
    harmless = fault_in("account", lambda honest: lambda history, verb: honest(history, verb))

    assert noticed_by(harmless) is None


def test_the_same_change_with_one_wrong_number_does_not() -> None:
    harmful = fault_in("account", planted_checker.a_duplicate_is_ignored)

    assert noticed_by(harmful) == "test_the_accounts_are_known"


def test_a_change_that_merely_crashes_is_no_merit_of_the_checks() -> None:
    def crash(*_):
        raise RuntimeError("planted clumsily")

    with pytest.raises(RuntimeError, match="clumsily"):
        noticed_by(fault_in("account", lambda honest: crash))


def test_a_fault_is_in_force_wherever_the_part_was_imported_and_gone_afterwards() -> None:
    honest, replacement = checker.acknowledged, lambda history: None

    with planted(fault_in("acknowledged", lambda honest: replacement)):
        assert checker.acknowledged is oracles.acknowledged is replacement

    assert checker.acknowledged is oracles.acknowledged is honest
    assert account is checker.account
