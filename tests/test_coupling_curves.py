"""Coupling by degrees: what is drawn comes from hand-made data first, then from short runs on real channels."""

from __future__ import annotations

import argparse
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from build import Book

from sandbox import Session, load
from sandbox.charts.away import away as draw_away
from sandbox.charts.chart import Chart
from sandbox.charts.links import SQUARED, law
from sandbox.charts.links import links as draw_links
from sandbox.charts.slowness import slowness as draw_slowness
from sandbox.coupling import command, curves
from sandbox.coupling.absence import _Late
from sandbox.coupling.wiring import Wiring
from sandbox.errors import BadArgument, RunFailed, ServerUnavailable
from sandbox.file_share.spool import Spool
from sandbox.harness.experiments import Experiment
from sandbox.harness.history import History
from sandbox.harness.result import Result
from sandbox.rpc.socket import Socket


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


def words(chart: Chart) -> str:
    """All that is written in a picture, in one line."""
    from matplotlib.text import Text

    return " | ".join(text.get_text() for text in chart.figure().findobj(Text) if isinstance(text, Text))


def rows(chart: Chart) -> list[dict[str, Any]]:
    return [dict(zip(chart.columns, row, strict=True)) for row in chart.rows]


# --- the receiver is away: by hand -----------------------------------------------------------------


def absent(book: Book, back: float, channel: str = "spool", style: str = "file_share") -> Result:
    history = book.history(away={"planned": back, "back": back, "timeout": 1.0})
    return Result(replace(history, channel=channel, style=style))


def test_what_was_done_but_answered_too_late_has_not_succeeded_and_is_shown_beside_it() -> None:
    # Given four asks: one in time, two done whose askers were told that nobody knows, one that failed
    book = Book("AAAA").well(1).sent(2).worked(2).unknown(2).sent(3).worked(3).unknown(3).sent(4).failed(4)
    # When it is drawn
    chart = draw_away([absent(book, 2.0)])
    # Then
    [row] = rows(chart)
    assert (row["succeed %"], row["done"]) == (25.0, 3)
    assert (row["answered or accepted"], row["failed"], row["unknown"]) == (1, 1, 2)
    assert row["done, sender not told"] == 2
    assert "2 told that nobody knows" in chart.alt
    assert "2 of 4 done, but too late for the asker" in words(chart)


@pytest.mark.parametrize("wrong", [{"value": 1}, {"detail": 7}, {"status": 1}])
def test_what_was_done_otherwise_than_meant_has_not_succeeded(wrong: dict[str, int]) -> None:
    book = Book("TT").well(1).sent(2).accepted(2).worked(2, **wrong)
    [row] = rows(draw_away([absent(book, 0.0)]))
    assert row["succeed %"] == 50.0


def test_an_answer_that_comes_after_the_time_allowed_is_too_late_even_where_the_channel_hands_it_on() -> None:
    book = Book("AA").well(1).sent(2).worked(2).answered(2, at=1500.0)
    [row] = rows(draw_away([absent(book, 1.4)]))
    assert (row["succeed %"], row["done"], row["answered or accepted"]) == (50.0, 2, 2)


def test_an_answer_that_refuses_has_not_succeeded() -> None:
    book = Book("AA").well(1).sent(2).worked(2).answered(2, status=1)
    [row] = rows(draw_away([absent(book, 0.0)]))
    assert row["succeed %"] == 50.0


def test_what_was_done_twice_has_not_succeeded() -> None:
    [row] = rows(draw_away([absent(Book("T").well(1).worked(1, attempt=2), 0.0)]))
    assert row["succeed %"] == 0.0


def test_what_one_of_two_listeners_has_missed_has_not_succeeded() -> None:
    book = Book("T", groups=("metering", "audit")).sent(1).accepted(1).worked(1, by="metering-0")
    [row] = rows(draw_away([absent(book, 0.0)]))
    assert (row["succeed %"], row["accepted, not done"]) == (0.0, 1)


def test_what_was_accepted_and_lost_is_said_in_the_picture() -> None:
    chart = draw_away([absent(Book("TT").well(1).sent(2).accepted(2), 0.5, "pubsub", "messaging")])
    assert "accepted, and it was lost (pubsub)" in words(chart)
    assert "1 accepted and never done" in chart.alt


def test_curves_go_by_the_time_at_which_the_receiver_was_really_there() -> None:
    first, second = (absent(Book("T").well(), back) for back in (0.7, 0.3))
    chart = draw_away([first, second], ["streams was left out: no server"])
    assert [row["away s"] for row in rows(chart)] == [0.3, 0.7]
    assert "streams was left out: no server." in chart.note
    [line] = [line for line in chart.figure().axes[0].get_lines() if line.get_gid() == "succeed spool"]
    assert list(line.get_xdata()) == [0.3, 0.7]


def test_a_run_that_did_not_go_as_planned_is_said_below_the_picture() -> None:
    history = Book("T").well().history("the drain is unresolved", away={"planned": 0.0, "back": 0.0, "timeout": 1.0})
    chart = draw_away([Result(history)])
    assert rows(chart)[0]["remarks"] == "the drain is unresolved"
    assert "1 run did not go as planned" in words(chart)


def test_many_channels_have_a_key_that_fits() -> None:
    names = [f"channel_number_{number}" for number in range(9)]
    chart = draw_away([absent(Book("T").well(), 0.0, name) for name in names])
    figure = chart.figure()
    figure.canvas.draw()
    assert all(legend.get_window_extent().x1 <= figure.bbox.x1 for legend in figure.legends)
    assert all(name in words(chart) for name in names)


def test_runs_without_an_absence_are_not_drawn() -> None:
    with pytest.raises(BadArgument, match="a receiver that comes late"):
        draw_away([Result(Book("T").well().history())])


# --- the receiver is slow: by hand -----------------------------------------------------------------


def slow(ms: float, took: float, *notes: str, kind: str = "T", count: int = 200, channel: str = "socket") -> Result:
    """Operations of so much work, each of which was accepted, done and answered after `took` ms."""
    book = Book(kind * count, rate=1000.0, service=ms / 1e3)
    for operation in range(1, count + 1):
        due = float(operation - 1)
        book.sent(operation).accepted(operation, at=due + took).worked(operation, at=due, took=took)
        if kind == "A":
            book.answered(operation, at=due + took)
    history = book.history(*notes, clock_gap=0.0)
    return Result(replace(history, channel=channel, style="rpc"))


def test_slowness_quotes_the_highest_percentile_that_the_samples_carry() -> None:
    chart = draw_slowness([slow(0.5, 1.0), slow(2.0, 100.0)])
    accepted, done = ([row for row in rows(chart) if row["until"] == each] for each in ("accepted", "done or answered"))
    assert [(row["work ms"], row["percentile"], row["ms"]) for row in accepted] == [(0.5, "p95", 1), (2.0, "p95", 100)]
    assert [row["load %"] for row in done] == [50.0, 200.0]
    assert "p95 1 ms with 0.5 ms of work, p95 100 ms with 2 ms; 100 times" in chart.alt


def test_slowness_with_too_few_samples_quotes_none() -> None:
    chart = draw_slowness([slow(0.5, 1.0, count=12)])
    assert {row["ms"] for row in rows(chart)} == {None}
    assert "too few samples" in chart.alt
    assert chart.png()


def test_slowness_calls_overlapping_intervals_a_tie() -> None:
    assert "a tie" in draw_slowness([slow(0.5, 1.0), slow(2.0, 1.0)]).alt


def test_slowness_does_not_compare_one_percentile_with_another() -> None:
    alt = draw_slowness([slow(0.5, 1.0, count=1000), slow(2.0, 100.0)]).alt
    assert "p99 1 ms with 0.5 ms of work, p95 100 ms with 2 ms; other percentiles, so not to be compared." in alt


def test_slowness_marks_what_was_not_measured_as_it_should_have_been() -> None:
    chart = draw_slowness([slow(0.5, 1.0), slow(2.0, 1.0, "the drain is unresolved")])
    assert {row["measuring"] for row in rows(chart)} == {"valid", "unknown"}
    doubts = [text for axes in chart.figure().axes for text in axes.texts if text.get_gid() == "doubt"]
    assert len(doubts) == 2  # accepted, and done
    assert "2 of 4 points come from runs whose measuring was disturbed" in chart.alt


def test_what_never_came_is_drawn_at_the_edge_as_censored() -> None:
    book = Book("A" * 200, rate=1000.0, service=0.002)
    for operation in range(1, 201):
        book.sent(operation).accepted(operation)
    chart = draw_slowness([Result(book.history(clock_gap=0.0))])
    assert {row["ms"] for row in rows(chart)} == {math.inf}
    assert "^" in [line.get_marker() for line in chart.figure().axes[0].get_lines()]


def test_runs_at_different_rates_are_not_drawn_together() -> None:
    other = Result(Book("T", rate=10.0, service=0.1).well().history())
    with pytest.raises(BadArgument, match="all at the same rate"):
        draw_slowness([slow(0.5, 1.0), other])


# --- more and more parties: by hand ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "name"),
    [
        ([(2, 0), (4, 0)], "0"),
        ([(2, 4), (4, 8)], "2 n"),
        ([(2, 4), (4, 16)], SQUARED),
        ([(2, 6), (4, 20), (8, 72)], f"{SQUARED} + n"),
        ([(2, 12), (4, 48)], f"3 {SQUARED}"),
    ],
)
def test_a_law_goes_through_all_that_was_counted(counts: list[tuple[int, int]], name: str) -> None:
    found = law(counts)
    assert found is not None
    assert found.name == name
    assert [found.of(n) for n, _ in counts] == [count for _, count in counts]


@pytest.mark.parametrize("counts", [[(2, 4), (4, 9)], [(2, 4)]])
def test_no_law_is_drawn_through_what_follows_none(counts: list[tuple[int, int]]) -> None:
    assert law(counts) is None


def wiring(n: int, addresses: int, connections: int | None, delivered: int | None = None) -> Wiring:
    arrived = n * n if delivered is None else delivered
    return Wiring("socket", "rpc", n, addresses, connections, arrived, "the sender")


def test_links_say_their_law_in_words_and_in_the_picture() -> None:
    chart = draw_links([wiring(4, 20, 16), wiring(2, 6, 4)])
    assert f"socket 6 at n = 2 and 20 at n = 4 ({SQUARED} + n)" in chart.alt
    assert f"{SQUARED} + n" in words(chart)
    assert "all of it arrived" in chart.alt


def test_links_that_do_not_carry_what_they_should_are_named() -> None:
    assert "not all arrived: socket with n = 2" in draw_links([wiring(2, 6, 4, delivered=3)]).alt


def test_connections_that_cannot_be_counted_are_called_not_measured() -> None:
    chart = draw_links([wiring(2, 6, None)])
    assert "not measured on this system" in chart.alt
    assert "not measured: this system does not show open files" in words(chart)


# --- on real channels ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def absence(session: Session) -> Experiment:
    """Three tenths of a second of sending; a receiver from the start, or one that comes when all have given up."""
    settings = {"absences": [0, 1.2], "seconds": 0.3, "timeout": 0.3}
    return curves.away(["spool", "socket"], **settings, session=session, progress=False)


def at(experiment: Experiment, channel: str, verb: str, *, late: bool) -> dict[str, Any]:
    [row] = [
        row
        for row in rows(experiment.chart)
        if (row["channel"], row["verb"], row["away s"] > 0) == (channel, verb, late)
    ]
    return row


@pytest.mark.parametrize("channel", ["spool", "socket"])
def test_with_a_receiver_there_from_the_start_all_is_done(absence: Experiment, channel: str) -> None:
    for verb in ("tell", "ask"):
        row = at(absence, channel, verb, late=False)
        assert row["done"] == row["operations"] == 12


@pytest.mark.parametrize("verb", ["tell", "ask"])
def test_calls_to_a_receiver_that_is_away_fail_and_their_senders_are_told(absence: Experiment, verb: str) -> None:
    row = at(absence, "socket", verb, late=True)
    assert row["away s"] >= 1.2
    assert (row["succeed %"], row["done"], row["failed"]) == (0.0, 0, row["operations"])


def test_what_is_stored_in_between_is_all_done_when_the_receiver_comes(absence: Experiment) -> None:
    row = at(absence, "spool", "tell", late=True)
    assert (row["succeed %"], row["accepted, not done"]) == (100.0, 0)


def test_what_is_stored_is_done_even_though_its_asker_has_given_up(absence: Experiment) -> None:
    row = at(absence, "spool", "ask", late=True)
    assert (row["succeed %"], row["done"], row["unknown"]) == (0.0, 12, 12)
    assert row["done, sender not told"] == 12


def test_an_experiment_is_saved_with_its_histories(absence: Experiment, tmp_path: Path) -> None:
    folder = absence.save(tmp_path)
    assert len(list(folder.glob("away-*.npz"))) == len(absence.results) == 8
    again = [Result(History.load(path)) for path in sorted(folder.glob("away-*.npz"))]
    assert draw_away(again).rows == absence.chart.rows
    assert load(folder / "away-1.npz").history.facts["away"]["timeout"] == 0.3


def test_a_run_that_nobody_wants_any_more_ends_itself() -> None:
    stopped = threading.Event()
    director = _Late(5.0, stopped)
    director.watch(None)  # type: ignore[arg-type]  # it looks at nothing of the run
    stopped.set()
    with pytest.raises(RunFailed, match="stopped"):
        director.watch(None)  # type: ignore[arg-type]


def test_slowness_runs_each_verb_with_each_amount_of_work(session: Session) -> None:
    settings = {"services": [0.001, 0.003], "rate": 200.0, "operations": 25}
    found = curves.slowness(["socket"], **settings, session=session, progress=False)
    loads = [each.history.workload for each in found.results]
    assert [(next(iter(w.weights)), w.service) for w in loads] == [
        *(("tell", 0.001), ("ask", 0.001), ("tell", 0.003), ("ask", 0.003))
    ]
    assert {row["percentile"] for row in rows(found.chart)} == {"p60"}  # 10 of 25 lie beyond it


def test_point_to_point_links_grow_with_the_square(session: Session) -> None:
    frame = curves.links(["spool", "socket"], parties=[1, 2, 3], session=session, progress=False).to_frame()
    calls, files = frame[frame["channel"] == "socket"], frame[frame["channel"] == "spool"]
    assert calls["connections open"].tolist() == [1, 4, 9]
    assert calls["addresses known"].tolist() == files["addresses known"].tolist() == [2, 6, 12]
    assert files["connections open"].tolist() == [0, 0, 0]
    assert (frame["arrived"] == frame["told"]).all()


@pytest.mark.parametrize(("channel", "medium"), [("streams", "redis"), ("skip_locked", "postgres")])
def test_links_through_a_hub_grow_with_the_number_of_parties(session: Session, channel: str, medium: str) -> None:
    try:
        session.server(medium)
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    frame = curves.links([channel], parties=[1, 2, 4], session=session, progress=False).to_frame()
    assert frame["addresses known"].tolist() == [2, 4, 8]
    one, two, four = frame["connections open"]
    assert (two, four) == (2 * one, 4 * one)
    assert (frame["arrived"] == frame["told"]).all()


def test_channels_that_differ_in_a_knob_have_a_curve_each(session: Session) -> None:
    channels = [Socket(), Socket(transport="tcp"), Spool()]
    frame = curves.links(channels, parties=[1, 2], session=session, progress=False).to_frame()
    assert list(dict.fromkeys(frame["channel"])) == ["spool", "socket", "socket(transport=tcp)"]
    assert set(frame[frame["channel"] == "socket(transport=tcp)"]["connections open"]) == {1, 4}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: curves.away(absences=[]), "absences"),
        (lambda: curves.away(absences=[11.0]), "0 to 10 s"),
        (lambda: curves.away(timeout=0.0), "seconds and timeout"),
        (lambda: curves.slowness(services=[0.0]), "services"),
        (lambda: curves.links(parties=[17]), "whole numbers from 1 to 16"),
        (lambda: curves.links(parties=3), "whole numbers from 1 to 16"),  # type: ignore[arg-type]  # a student's
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_started(call: Any, said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        call()


def test_the_command_saves_the_curves_beside_the_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    drawn = draw_away([absent(Book("T").well(), 0.5)])

    def instead(channels: Any) -> list[Experiment]:
        asked.append(channels)
        return [Experiment(drawn, ())]

    monkeypatch.setattr(curves, "curves", instead)
    command._curves(argparse.Namespace(channels=["spool"]), tmp_path)
    page = (tmp_path / "curves" / "curves.html").read_text()
    assert asked == [["spool"]]
    assert drawn.title in page
    assert (tmp_path / "curves" / "away.png").exists()
    assert drawn.alt in capsys.readouterr().out
