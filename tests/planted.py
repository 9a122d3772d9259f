"""Planting faults in what checks: a checker that nobody has seen fail proves nothing.

A fault is a function that is given the honest part and returns a faulty one; its own name says what is wrong:

    @plant(checker, "account")
    def a_duplicate_is_ignored(honest): ...

It is noticed when a known-answer check of the part's test module fails on an assertion. Any other exception
means that the fault was planted clumsily, and is no merit of the check.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import test_checker
import test_history
import test_journal
import test_measure
import test_oracles

from sandbox.exchange import oracles
from sandbox.harness import checker, history, journal, measure
from sandbox.harness.history import History

#: which module's tests know the answers of which part
CHECKS = {
    checker: test_checker,
    history: test_history,
    journal: test_journal,
    measure: test_measure,
    oracles: test_oracles,
}
#: forks writers and waits for what they record: under a faulty `recorded` it would wait for ever
NOT_RUN = {"test_a_writer_killed_in_the_middle_leaves_only_whole_records"}

Check = tuple[str, Callable[[], None]]


@dataclass(frozen=True)
class Fault:
    """`attribute` of `owner` (a module, or a class of it) is replaced by what `make` makes of it."""

    name: str
    module: ModuleType
    owner: Any
    attribute: str
    make: Callable[[Any], Any]


FAULTS: list[Fault] = []


def plant(module: ModuleType, attribute: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register a fault in `attribute` ("function", "CONSTANT" or "Class.method") of a module."""
    *classes, name = attribute.split(".")
    owner = getattr(module, classes[0]) if classes else module

    def register(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        FAULTS.append(Fault(make.__name__.replace("_", " "), module, owner, name, make))
        return make

    return register


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """The fault is in force wherever the honest part has been imported to."""
    honest = vars(fault.owner)[fault.attribute]
    faulty = fault.make(honest)
    places = [(fault.owner, fault.attribute)]
    if callable(honest):
        for module in [m for n, m in sys.modules.items() if n.startswith(("sandbox.", "test_"))]:
            places += [(module, name) for name, value in vars(module).items() if value is honest]
    for owner, name in places:
        setattr(owner, name, faulty)
    try:
        yield
    finally:
        for owner, name in places:
            setattr(owner, name, honest)


def checks_of(module: ModuleType) -> Iterator[Check]:
    """The known-answer checks of a test module: every case of every test, except generated ones (they are slow)."""
    for name, test in list(vars(module).items()):
        if name.startswith("test_") and callable(test) and not hasattr(test, "hypothesis") and name not in NOT_RUN:
            for values in _cases(test):
                yield name, lambda test=test, values=values: _call(test, values)


def noticed_by(fault: Fault) -> str | None:
    """The first check that fails while the fault is in force; None if it survives."""
    with planted(fault):
        return first_failure(checks_of(CHECKS[fault.module]))


def first_failure(checks: Iterator[Check]) -> str | None:
    """The name of the first check whose assertion fails."""
    for name, check in checks:
        try:
            check()
        except (AssertionError, pytest.fail.Exception):
            return name
    return None


def altered(of: History, *, rows: dict[str, Any] | None = None, **fields: Any) -> History:
    """A copy of a history with other columns in its plan, or other fields."""
    plan = dataclasses.replace(of.plan, rows=of.plan.rows.copy())
    for column, values in (rows or {}).items():
        plan.rows[column] = values
    return dataclasses.replace(of, plan=plan, **fields)


def _cases(test: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """The arguments that `pytest.mark.parametrize` would give."""
    choices = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            names, values = mark.args
            names = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
            choices.append([dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in values])
    for chosen in itertools.product(*choices):
        yield {name: value for case in chosen for name, value in case.items()}


def _call(test: Callable[..., None], values: dict[str, Any]) -> None:
    wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        fixtures = {"tmp_path": Path(folder), "monkeypatch": patch}
        test(**values, **{name: fixtures[name] for name in wanted if name in fixtures})
