"""Estimates that are written down before a run, and what the run says to them."""

from __future__ import annotations

import math

import pytest

from sandbox.errors import BadArgument
from sandbox.harness.measure import Quantile
from sandbox.prediction import Estimate


def found(ms: float | None) -> Quantile:
    value = None if ms is None else ms * 1e6
    return Quantile(0.99, value, math.nan, math.nan, 1000)


def test_an_estimate_stands_beside_what_was_measured_with_the_factor_either_way() -> None:
    lines = Estimate({"closed": 10, "open": 20}).score({"closed": found(2), "open": found(400)}).splitlines()
    assert lines[1].split() == ["closed", "10", "ms", "2", "ms", "5", "times"]
    assert lines[2].split() == ["open", "20", "ms", "400", "ms", "20", "times"]


def test_what_may_not_be_quoted_has_no_factor() -> None:
    text = Estimate({"few": 10, "lost": 20}).score({"few": found(None), "lost": found(math.inf)})
    assert "too few samples" in text
    assert "censored" in text
    assert "times" not in text


@pytest.mark.parametrize("ms", [{"closed": 1}, {"closed": 1, "opened": 2}, {"closed": 0, "open": 2}])
def test_exactly_what_is_measured_must_be_estimated(ms: dict[str, float]) -> None:
    with pytest.raises(BadArgument, match="closed, open"):
        Estimate(ms).score({"closed": found(2), "open": found(400)})
