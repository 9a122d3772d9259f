"""Several channels under one workload: what is left out, what is refused, what is said."""

from __future__ import annotations

import pytest

from sandbox import Session, Workload, compare
from sandbox.errors import BadArgument
from sandbox.harness.comparison import Comparison
from sandbox.prediction import Prediction

SMALL = Workload(operations=60, rate=300, warmup=10)


@pytest.fixture(scope="module")
def told() -> Comparison:
    with Session() as session:
        return compare(SMALL, ["spool", "socket"], repeats=2, floors=True, session=session, progress=False)


def test_every_channel_has_a_cell_with_all_its_repeats(told: Comparison) -> None:
    assert [(cell.channel, len(cell.results)) for cell in told.cells] == [("spool", 2), ("socket", 2)]


def test_repeats_do_not_repeat_the_plan(told: Comparison) -> None:
    first, second = (result.history.plan.to_bytes() for result in told.cells[0].results)
    assert first != second


def test_channels_get_the_same_plans(told: Comparison) -> None:
    spool, socket = (cell.results[0].history.plan.to_bytes() for cell in told.cells)
    assert spool == socket


def test_floors_are_measured_in_every_round(told: Comparison) -> None:
    assert [len(cell.floors) for cell in told.cells] == [2, 2]
    assert all(cell.floor and cell.bare for cell in told.cells)


def test_the_sentences_name_the_lowest_median_or_a_tie(told: Comparison) -> None:
    assert "lowest median" in told.sentences()[0]
    assert "every bill, volume and state is right" in told.sentences()[-1]


def test_the_frame_has_a_row_a_cell_and_its_accounts_add_up(told: Comparison) -> None:
    frame = told.to_frame()
    assert list(frame["channel"]) == ["spool", "socket"]
    assert list(frame["intended"]) == [140, 140]
    assert list(frame["ok"] + frame["fail"] + frame["info"] + frame["unattempted"]) == [140, 140]


def test_a_chart_is_found_by_its_name(told: Comparison) -> None:
    assert told.chart("medians").name == "medians"
    with pytest.raises(BadArgument, match="expected one of medians"):
        told.chart("pie")


def test_a_prediction_is_scored_pair_by_pair(told: Comparison) -> None:
    scores = [Prediction("tell", order).score(told) for order in (["spool", "socket"], ["socket", "spool"])]
    if "too close to call" in scores[0]:
        assert all("0 of 0 pairs" in score for score in scores)
    else:
        assert sorted(score[:14] for score in scores) == ["tell: 0 of 1 p", "tell: 1 of 1 p"]


def test_a_prediction_of_other_channels_is_refused(told: Comparison) -> None:
    with pytest.raises(BadArgument, match="expected an order of spool, socket"):
        Prediction("tell", ["spool", "rabbit"]).score(told)


def test_without_postgresql_sqlite_takes_its_place_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given: a PostgreSQL that is not there
    monkeypatch.setenv("SANDBOX_POSTGRES_URL", "postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=1")

    # When
    with Session() as session:
        found = compare(
            SMALL, ["skip_locked", "compare_and_swap"], repeats=1, floors=False, session=session, progress=False
        )

    # Then
    assert [cell.channel for cell in found.cells] == ["compare_and_swap"]
    assert found.notes[0].startswith("skip_locked was left out, compare_and_swap takes its place: Your PostgreSQL")


def test_a_verb_that_a_channel_does_not_offer_is_left_out_and_said() -> None:
    with Session() as session:
        found = compare(
            SMALL, ["null", "socket"], verbs=["ask"], repeats=1, floors=False, session=session, progress=False
        )
    assert [cell.channel for cell in found.cells] == ["socket"]
    assert any("null does not offer ask" in note for note in found.notes)


def test_the_same_channel_twice_is_refused_unless_its_knobs_differ() -> None:
    from sandbox.file_share.spool import Spool

    with Session() as session:
        with pytest.raises(BadArgument, match="all different"):
            compare(SMALL, ["spool", Spool()], session=session, progress=False)
        found = compare(SMALL, ["spool", Spool(wake=False)], repeats=1, floors=False, session=session, progress=False)
    assert [cell.channel for cell in found.cells] == ["spool", "spool(wake=False)"]
