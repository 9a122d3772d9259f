"""The exercise of notebook 07 beyond its folder of answers: what its check says to stranger code."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.coupling.change import Body, carry, exchange
from sandbox.exchange.release import FIRST, Listener, Release, Speaker
from sandbox.exchange.schema import Metadata, Whole
from sandbox.exercises.releases import MIB, exercise


class InMiB(Body, frozen=True):
    image: Whole
    project: Whole
    mib_sent: Whole
    metadata: Metadata = ""


class SaysMiB(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, InMiB, mib_sent=meant.bytes_sent // MIB)


class Stumbles(Listener):
    def understand(self, body: Any) -> Any:
        return body.megabytes


STUMBLING = Release(FIRST.schema, Speaker, Stumbles)
LAST = Release(exchange(image_downloaded=InMiB), SaysMiB, Stumbles)


@pytest.mark.parametrize("found", [None, 4, [], [FIRST] * 3, [FIRST] * 5, [FIRST, FIRST, FIRST, "the last"], FIRST])
def test_anything_but_four_releases_is_refused_in_one_sentence(found: Any) -> None:
    outcome = exercise.check(lambda: found)
    assert outcome.ids == ("four releases",)


def test_release_1_cannot_be_changed_any_more() -> None:
    outcome = exercise.check(lambda: [LAST] * 4)
    assert outcome.ids == ("four releases",)
    assert "begin with FIRST" in str(outcome)


def test_code_that_fails_in_a_participant_is_shown_with_its_cell_and_its_error() -> None:
    outcome = exercise.check(lambda: [FIRST, STUMBLING, STUMBLING, LAST])
    assert outcome.ids == ("raised",)
    assert "from1_to2/spool/receiver_first: 16 set aside by the receiver. understand raised AttributeError" in str(
        outcome
    )
    assert "megabytes" in str(outcome)
