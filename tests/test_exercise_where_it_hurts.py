"""The exercise of notebook 10 beyond its folder of answers: what its check says to stranger code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from sandbox.exercises.where_it_hurts import Counted, exercise
from sandbox.guarantees import Acceptor, Delivery


@dataclass(frozen=True)
class Unwritten(Counted):
    """Promises all that is asked for, and does nothing."""

    delivery: ClassVar[Delivery] = Delivery.AT_LEAST_ONCE

    def put(self, place: Any, box: str, data: bytes) -> None:
        raise NotImplementedError

    def take(self, place: Any, box: str) -> tuple[Any, bytes] | None:
        return None

    def settle(self, place: Any, box: str, token: Any) -> None:
        pass


class AcceptedByNobody(Unwritten):
    """Weakens its promise in the other way."""

    accepted_by: ClassVar[Acceptor] = Acceptor.NOBODY


def test_a_channel_whose_accepted_means_nothing_promises_less_than_is_asked_for() -> None:
    outcome = exercise.check(AcceptedByNobody)
    assert outcome.ids == ("promises less",)
    assert "nobody" in str(outcome)


@pytest.mark.slow
def test_a_channel_that_does_not_work_at_all_is_not_blamed_on_the_kills() -> None:
    outcome = exercise.check(Unwritten)
    assert outcome.ids == ("not by the kill",)
    assert "NotImplementedError" in str(outcome)


@pytest.mark.parametrize(
    ("bookmark", "ready"), [(None, 3), ("0", 3), ("2", 1), ("3", 0), ("", 3)], ids=["none", "0", "2", "3", "torn"]
)
def test_what_comes_after_the_bookmark_is_not_done_yet(tmp_path: Path, bookmark: str | None, ready: int) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"tell.metering-{number:06}").touch()
    if bookmark is not None:
        (tmp_path / "tell.metering.done").write_text(bookmark)
    site: Any = SimpleNamespace(folder=tmp_path)
    backlog = Unwritten().backlog(site)
    assert backlog is not None
    assert backlog.ready == ready
