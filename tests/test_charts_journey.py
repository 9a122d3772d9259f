"""The journey of one message: every step is a row, redelivery and loss are seen, and the most telling life is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from build import Book
from matplotlib.figure import Figure
from matplotlib.text import Text

from sandbox.charts.journey import MOST, journey, the_most_telling
from sandbox.errors import BadArgument
from sandbox.harness.history import History
from sandbox.harness.journal import Event
from sandbox.harness.result import Result

METERING = 1  # index of the first receiver in a book with one sender


def fault(title: str, opened: float, healed: float | None, **more: Any) -> dict[str, Any]:
    return {"name": "planted", "title": title, "opened": opened, "healed": healed, "witnesses": 1, **more}


def redelivered() -> Book:
    """Operation 2 of three is taken by metering-0, and 2 s later by metering-1, which does the work."""
    book = Book("TTT", receivers=2).well(1, 3)
    book.sent(2).accepted(2).began_to_work(2).worked(2, by="metering-1", at=2000.0, attempt=2)
    book.event(METERING + 1, Event.SETTLED, 2, 2001.0, attempt=2)
    return book


def died(history: History, index: int) -> History:
    processes = list(history.processes)
    processes[index] = replace(processes[index], died=-9)
    return replace(history, processes=tuple(processes))


def drawn(figure: Figure, beginning: str) -> list[Any]:
    children = figure.axes[0].get_children()
    return [artist for artist in children if str(artist.get_gid() or "").startswith(beginning)]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_every_event_of_the_operation_is_a_row_with_its_time() -> None:
    history = redelivered().history()
    chart = journey(history, 2)
    assert len(chart.rows) == len(history.of_operation(2)) == 6
    assert [row[3] for row in chart.rows] == ["sender-0"] * 2 + ["metering-0"] + ["metering-1"] * 3
    assert [row[1] for row in chart.rows] == pytest.approx([0.0, 0.1, 0.2, 1999.0, 1999.3, 2000.0])
    shown = words(chart.figure())
    assert "1,999.000 ms" in shown
    assert "taken, attempt 2" in shown
    assert "2 s pass" in shown
    assert "1,999.000 ms: metering-1: taken, attempt 2" in chart.alt


def test_what_is_delivered_once_more_has_another_arrow() -> None:
    figure = journey(redelivered().history(), 2).figure()
    assert len(drawn(figure, "arrow again")) == 1
    assert len(drawn(figure, "arrow in")) == 2  # told: accepted, and the first delivery


def test_the_same_attempt_twice_is_a_redelivery_too() -> None:
    book = Book("T").well().worked(1, at=5.0)
    chart = journey(book.history(), 1)
    assert len(drawn(chart.figure(), "arrow again")) == 1
    assert "work done, time number 2" in chart.alt


def test_a_second_group_is_no_redelivery() -> None:
    chart = journey(Book("T", groups=("metering", "audit")).well().history(), 1)
    assert drawn(chart.figure(), "arrow again") == []
    assert "time number" not in chart.alt


def test_a_loss_is_an_arrow_that_ends_in_nothing_and_a_last_row() -> None:
    chart = journey(Book("T").sent(1).accepted(1).history(), 1)
    figure = chart.figure()
    assert len(drawn(figure, "arrow lost")) == len(drawn(figure, "nowhere")) == 1
    assert chart.rows[-1][1:5] == (None, None, "-", "never: done by metering: LOST")
    # Then the receiver for which it was meant has its line all the same
    assert "metering-0" in words(figure)


def test_what_was_lost_in_a_receivers_hands_ends_there_and_not_in_the_medium() -> None:
    chart = journey(Book("T").sent(1).accepted(1).began_to_work(1).history(), 1)
    assert drawn(chart.figure(), "arrow lost") == []
    assert chart.rows[-1][3:5] == ("metering-0", "never: done by metering: LOST")


def test_what_was_set_aside_is_not_called_lost() -> None:
    book = Book("T").sent(1).accepted(1)
    book.event(METERING, Event.WORK, 1, 0.4, attempt=1)
    book.event(METERING, Event.SET_ASIDE, 1, 0.5, attempt=1)
    chart = journey(book.history())
    assert "LOST" not in chart.alt
    assert chart.rows[-1][3:5] == ("metering-0", "never: done by metering: set aside")


def test_what_nobody_was_told_is_not_called_lost() -> None:
    chart = journey(Book("T").sent(1).unknown(1).history(), 1)
    assert "done by metering" in chart.alt
    assert "LOST" not in chart.alt


def test_a_sender_that_is_never_told_is_seen() -> None:
    book = Book("A").sent(1).worked(1)
    assert len(drawn(journey(book.history(), 1).figure(), "arrow silence")) == 1


def test_a_process_that_dies_with_it_in_hand_ends_in_a_cross() -> None:
    history = died(redelivered().history(), METERING)
    chart = journey(history, 2)
    [row] = [row for row in chart.rows if row[4] == "its process dies"]
    assert row[3] == "metering-0"
    lines = [tuple(line.get_ydata()) for line in drawn(chart.figure(), "lifeline")]
    assert len({end for _, end in lines}) == 2  # one of the four ends earlier


def test_a_process_that_dies_after_it_had_finished_is_of_no_interest() -> None:
    book = redelivered()
    assert "dies" not in journey(died(book.history(), METERING + 1), 2).alt


def test_faults_have_rows_of_their_own_and_shade_what_lies_between() -> None:
    during, elsewhere = fault("paused", 0.0011, 1.5), fault("another time", 3.0, 4.0)
    chart = journey(redelivered().history(faults=[during, elsewhere]), 2)
    assert [row[4] for row in chart.rows if row[3] == "fault"] == ["paused", "paused: over"]
    assert len(drawn(chart.figure(), "window")) == 1
    assert "another time" not in chart.alt


def test_a_kill_is_a_moment_without_a_shade_unless_something_comes_back() -> None:
    kill = fault("killed", 0.0011, None, instant=True)
    figure = journey(redelivered().history(faults=[kill]), 2).figure()
    assert (len(drawn(figure, "moment")), len(drawn(figure, "window"))) == (1, 0)
    chart = journey(redelivered().history(faults=[kill | {"healed": 0.5}]), 2)
    assert "killed: back again" in chart.alt


def test_a_fault_after_the_last_step_of_what_was_lost_is_shown_since_it_may_be_why() -> None:
    lost = Book("T").sent(1).accepted(1).history(faults=[fault("broker killed", 0.5, None, instant=True)])
    assert "broker killed" in journey(lost, 1).alt


def test_a_very_long_journey_leaves_out_its_middle_in_the_picture_and_nothing_in_the_table() -> None:
    book = Book("T").sent(1).accepted(1)
    for attempt in range(1, 101):
        book.began_to_work(1, at=attempt, attempt=attempt)
    chart = journey(book.history(), 1)
    assert len(chart.rows) == 103
    assert f"{103 - MOST} steps are left out" in words(chart.figure())


def test_no_words_cover_others_or_leave_the_picture() -> None:
    book = Book("T", groups=("metering", "audit", "archive", "ceilometer")).well()
    figure = journey(book.history(faults=[fault("a fault with a long name " * 4, 0.0001, None)]), 1).figure()
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.findobj(Text) if text.get_text()]
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_the_most_telling_is_lost_then_done_twice_then_set_aside_then_redelivered_then_slowest() -> None:
    book = Book("TTTTTT").well(1, 2)
    book.sent(3).accepted(3).worked(3, at=50.0)
    assert the_most_telling(book.history()) == 3  # the slowest
    book.sent(4).accepted(4).began_to_work(4).worked(4, at=9.0, attempt=2)
    assert the_most_telling(book.history()) == 4  # redelivered
    book.sent(6).accepted(6).event(METERING, Event.SET_ASIDE, 6, 6.0)
    assert the_most_telling(book.history()) == 6  # set aside
    book.worked(2, at=9.5, attempt=2)
    assert the_most_telling(book.history()) == 2  # done twice
    book.sent(5).accepted(5)
    assert the_most_telling(book.history()) == 5  # lost
    assert journey(book.history()).name == "journey-5"


def test_what_its_sender_does_not_know_tells_more_than_the_slowest_and_a_victim_more_than_others() -> None:
    book = Book("TTT").well(1)
    book.sent(2).unknown(2).worked(2)
    book.sent(3).unknown(3).worked(3)
    assert the_most_telling(book.history()) == 2
    book.event(METERING, Event.STRUCK, 3, 2.6)
    assert the_most_telling(book.history()) == 3


def test_what_never_ended_is_slower_than_everything_that_did() -> None:
    book = Book("AA").sent(1)
    book.sent(2).worked(2, at=5000.0).answered(2, at=6000.0)
    assert the_most_telling(book.history()) == 1


def test_what_was_never_sent_is_said_to_be() -> None:
    chart = journey(Book("TT").well(1).history(), 2)
    assert chart.rows[-1][4] == "never: it was never sent"
    chart.png()


def test_the_same_history_gives_the_same_bytes() -> None:
    assert journey(redelivered().history()).png() == journey(redelivered().history()).png()


def test_the_result_of_a_run_will_do_and_what_is_none_is_refused() -> None:
    history = redelivered().history()
    assert journey(Result(history)).alt == journey(history).alt
    with pytest.raises(BadArgument, match="the history of a run, or its result, got 'str'"):
        journey("spool")  # type: ignore[arg-type]


def test_an_operation_that_nobody_planned_is_refused() -> None:
    with pytest.raises(BadArgument, match="1 to 3"):
        journey(redelivered().history(), 4)
    with pytest.raises(BadArgument, match="a number from 1 to 3, got 'first'"):
        journey(redelivered().history(), "first")  # type: ignore[arg-type]
