"""The timeline: every operation is drawn, nothing is dropped, and every fault stands where it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from build import Book
from matplotlib.figure import Figure
from matplotlib.text import Text

from sandbox.charts.timeline import timeline
from sandbox.errors import BadArgument
from sandbox.harness.history import History
from sandbox.harness.journal import Event
from sandbox.harness.result import Result


def fault(title: str, opened: float | None, healed: float | None, **more: Any) -> dict[str, Any]:
    return {"name": "planted", "title": title, "opened": opened, "healed": healed, "witnesses": 1, **more}


def eventful(*faults: dict[str, Any]) -> History:
    """One operation of each fate: ok, fail, info, done twice, lost, unattempted, set aside."""
    book = Book("TTTTTTT").well(1)
    book.sent(2).failed(2)
    book.sent(3).unknown(3)
    book.well(4).worked(4, at=5.0, attempt=2)
    book.sent(5).accepted(5)
    book.sent(7).accepted(7).event(1, Event.SET_ASIDE, 7, 6.5)
    return book.history(faults=list(faults))


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def drawn(figure: Figure, gid: str) -> list[Any]:
    """What was drawn under a name, over all panels."""
    return [artist for axes in figure.axes for artist in axes.get_children() if artist.get_gid() == gid]


def points(figure: Figure, beginning: str) -> int:
    """How many marks can be seen in lines whose name begins so."""
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    mine = [line for line in lines if str(line.get_gid() or "").startswith(beginning)]
    return sum(int(np.isfinite(np.asarray(line.get_xydata(), dtype=float)).all(axis=1).sum()) for line in mine)


def test_every_operation_is_a_mark_and_none_is_dropped() -> None:
    chart = timeline(eventful())
    figure = chart.figure()
    # Then three have ended (ok, fail, done twice) and four never did (info, lost, unattempted, set aside)
    assert points(figure, "ended ") == 3
    assert points(figure, "never ") == 4
    row = chart.to_frame().iloc[0]
    fates = ("ok", "fail", "info", "done twice", "lost", "unattempted", "set aside")
    assert [row[fate] for fate in fates] == [1] * 7
    assert (row["operations"], row["without an end"]) == (7, 4)


def test_fates_differ_in_shape_and_not_only_in_colour() -> None:
    lines = [line for axes in timeline(eventful()).figure().axes for line in axes.get_lines()]
    named = [(str(line.get_gid()).split(" ", 1), line.get_marker()) for line in lines]
    together = {words[1]: marker for words, marker in named if words[0] in ("ended", "never")}
    assert len(set(together.values())) == len(together) == 7


def test_a_window_is_shaded_from_its_opening_to_its_healing_and_named() -> None:
    chart = timeline(eventful(fault("receiver paused", 0.002, 0.004)))
    figure = chart.figure()
    spans = drawn(figure, "window")
    assert len(spans) == 3  # lanes, latencies, rates
    box = spans[0].get_extents().transformed(figure.axes[1].transData.inverted())
    assert (box.x0, box.x1) == pytest.approx((0.002, 0.004))
    assert "receiver paused" in words(figure)
    assert "receiver paused from 0.002 s to 0.004 s" in chart.alt


def test_a_kill_is_a_line_and_its_restart_another_one() -> None:
    chart = timeline(eventful(fault("metering-0 killed", 0.001, 0.003, instant=True, planned=[0.001, 0.001])))
    figure = chart.figure()
    assert [len(drawn(figure, gid)) for gid in ("moment", "back", "window")] == [3, 3, 0]
    assert drawn(figure, "moment")[0].get_xdata()[0] == pytest.approx(0.001)
    assert drawn(figure, "back")[0].get_xdata()[0] == pytest.approx(0.003)
    assert "metering-0 killed at 0.001 s, back at 0.003 s" in chart.alt


def test_a_kill_that_nobody_mends_is_no_window_that_never_ends() -> None:
    chart = timeline(eventful(fault("killed", 0.001, None, instant=True, planned=[0.001, 0.9])))
    assert [len(drawn(chart.figure(), gid)) for gid in ("moment", "back", "window")] == [3, 0, 0]
    assert "never healed" not in chart.alt


def test_a_window_that_nobody_healed_is_open_to_the_end() -> None:
    chart = timeline(eventful(fault("lock held", 0.001, None, planned=[0.001, 0.004])))
    assert len(drawn(chart.figure(), "window")) == 3
    assert "lock held from 0.001 s to the end, never healed" in chart.alt


def test_a_fault_that_touched_nothing_says_so() -> None:
    chart = timeline(eventful(fault("torn write", 0.001, 0.004, witnesses=0)))
    assert "torn write (never fired)" in words(chart.figure())
    assert "torn write (never opened)" in timeline(eventful(fault("torn write", None, None))).alt


def test_names_of_faults_that_overlap_in_time_stand_in_rows_of_their_own() -> None:
    faults = [fault(f"a fault with a long name, number {number}", 0.001, 0.004) for number in range(3)]
    figure = timeline(eventful(*faults)).figure()
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.findobj(Text) if "long name" in text.get_text()]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_the_result_of_a_run_will_do() -> None:
    assert timeline(Result(eventful())).alt == timeline(eventful()).alt


def test_every_strike_of_a_fault_is_a_mark() -> None:
    book = Book("TT").well()
    book.event(1, Event.STRUCK, 1, 0.3)
    book.event(1, Event.STRUCK, 0, 1.3)
    assert points(timeline(book.history()).figure(), "struck") == 2


def test_the_longest_silence_is_measured() -> None:
    # Given completions at 0.5, 1.5 and 8.5 ms
    book = Book("TTT").well(1, 2)
    book.sent(3).accepted(3).worked(3, at=8.2)
    row = timeline(book.history()).to_frame().iloc[0]
    assert row["longest without a completion s"] == pytest.approx(0.007)
    assert row["from s"] == pytest.approx(0.0015)


def test_several_runs_have_the_same_axes_and_one_row_each() -> None:
    chart = timeline(eventful(), Book("TT").well().history())
    figure = chart.figure()
    assert [row[0] for row in chart.rows] == [1, 2]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    latencies = [axes for axes in figure.axes if axes.get_yscale() == "log"]
    assert len({axes.get_ylim() for axes in latencies}) == 1
    # Then the lane of what never ended is there for both, with a zero where there is none
    assert "1 lost" in words(figure)
    assert "0 lost" in words(figure)


def test_an_operation_of_a_closed_loop_that_never_began_is_still_there() -> None:
    book = Book("TT", loop="closed").well(1)
    chart = timeline(book.history())
    assert points(chart.figure(), "never unattempted") == 1
    assert chart.to_frame().iloc[0]["unattempted"] == 1


def test_the_same_history_gives_the_same_bytes() -> None:
    assert (
        timeline(eventful(fault("paused", 0.001, 0.002))).png()
        == timeline(eventful(fault("paused", 0.001, 0.002))).png()
    )


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(BadArgument, match="at least one run"):
        timeline()
    with pytest.raises(BadArgument, match="with operations"):
        timeline(_empty())


def _empty() -> History:
    from dataclasses import replace

    full = Book("T").history()
    return replace(full, plan=replace(full.plan, rows=full.plan.rows[:0]))
