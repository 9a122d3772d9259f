"""Estimates that are written down before a run, and what the run says to them."""

from __future__ import annotations

import math

import pytest

from sandbox.coupling.cells import Cell, Matrix
from sandbox.coupling.change import Facet, Order
from sandbox.coupling.verdict import Answer, Verdict
from sandbox.errors import BadArgument
from sandbox.harness.measure import Quantile
from sandbox.prediction import Estimate, Forecast, Outlook


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


# --- what is expected of changes --------------------------------------------------------------------------------


def cell(change: str, channel: str, order: Order, answer: Answer | None) -> Cell:
    verdict = Verdict(answer, 1, 1, 0, 0, 0, 0, {}, None, 1, 1) if answer else None
    reason = "" if answer else "one order only"
    return Cell(
        change, change, Facet.ORDER, channel, "rpc", order, False, f"{change}/{channel}/{order}", reason, "", verdict
    )


@pytest.fixture
def matrix() -> Matrix:
    """What happened: ``moves .W -L`` and ``grows L. --`` on two channels."""
    happened = {
        "moves": (Answer.WORKS, Answer.SILENT, None, Answer.LOUD),
        "grows": (Answer.LOUD, Answer.WORKS, None, None),
    }
    places = [
        ("a", Order.SENDER_FIRST),
        ("a", Order.RECEIVER_FIRST),
        ("b", Order.SENDER_FIRST),
        ("b", Order.RECEIVER_FIRST),
    ]
    found = [cell(name, *place, one) for name, row in happened.items() for place, one in zip(places, row, strict=True)]
    return Matrix(tuple(found))


def test_an_outlook_is_scored_cell_by_cell_and_those_that_there_are_not_do_not_count(matrix: Matrix) -> None:
    lines = Outlook({"moves": ".L .W", "grows": "L. .L"}).score(matrix).splitlines()
    assert lines[1].split() == ["moves", ".L", ".W", ".W", "-L", "1", "of", "3"]
    assert lines[2].split() == ["grows", "L.", ".L", "L.", "--", "2", "of", "2"]
    assert lines[-1] == "3 of 5 cells as predicted; 1 silently wrong that you did not foresee."


def test_what_was_foreseen_to_be_silently_wrong_surprises_nobody(matrix: Matrix) -> None:
    said = Outlook({"moves": ".W -L", "grows": "L. --"}).score(matrix)
    assert said.endswith("5 of 5 cells as predicted; 0 silently wrong that you did not foresee.")


@pytest.mark.parametrize("letters", ["..", ". .. ", ".. ...", "xx ..", ".. .. .."])
def test_an_outlook_of_another_form_is_told_the_form(matrix: Matrix, letters: str) -> None:
    with pytest.raises(BadArgument, match=r"the form \.\. \.\. of \. d L W"):
        Outlook({"moves": letters, "grows": ".. .."}).score(matrix)


def test_an_outlook_names_exactly_the_changes(matrix: Matrix) -> None:
    with pytest.raises(BadArgument, match="moves, grows"):
        Outlook({"moves": ".. .."}).score(matrix)


# --- a word for each field -------------------------------------------------------------------------

CAME = {"kill": {"spool": "twice", "socket": "lost+indefinite"}, "full": {"spool": "?", "socket": "-"}}


def test_a_forecast_is_held_against_each_field_that_counts() -> None:
    said = Forecast({"kill": "right lost", "full": "right -"}).score(CAME)
    assert "twice (right)" in said
    assert "lost+indefinite *" in said
    assert said.endswith("1 of 2 fields as predicted (*); in brackets what was predicted instead.")


@pytest.mark.parametrize(
    "words",
    [{"kill": "right lost"}, {"kill": "right", "full": "- -"}, {"kill": "right gone", "full": "- -"}],
)
def test_a_forecast_that_does_not_fit_the_table_is_refused_with_its_form(words: dict[str, str]) -> None:
    with pytest.raises(BadArgument, match=r"forecast.*(kill|spool, socket)"):
        Forecast(words).score(CAME)
