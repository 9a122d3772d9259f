"""The charts of single questions - tail, load, loops, durability, staleness, polling - and their experiments."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from build import Book
from compared import compared, every_case, made
from matplotlib.figure import Figure
from matplotlib.text import Text

from sandbox.charts.chart import Chart
from sandbox.charts.durability import durability
from sandbox.charts.load import load
from sandbox.charts.loops import loops
from sandbox.charts.percentiles import percentiles_of_comparison, percentiles_of_result
from sandbox.charts.polling import polling
from sandbox.charts.staleness import staleness
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor
from sandbox.harness import experiments
from sandbox.harness.comparison import Cell, Comparison
from sandbox.harness.knee import Point
from sandbox.harness.result import Result
from sandbox.harness.sweep import Sweep

MS = 1e6


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))  # type: ignore[attr-defined]


# --- the tail --------------------------------------------------------------------------------------


def test_a_percentile_is_drawn_only_where_ten_samples_lie_beyond_it() -> None:
    # Given 1,200 samples: 12 lie beyond the p99, 6 beyond the p99.5
    chart = percentiles_of_comparison(compared(made(verb=Verb.ASK)))
    row = chart.to_frame().iloc[0]
    assert (row["p50 ms"], row["p90 ms"], row["p99 ms"]) == (2.0, 5.0, 40.0)
    assert math.isnan(row["p99.5 ms"])
    assert row["last quoted"] == "p99.17"
    # Then no line goes further than 1 / (1 - p) of the last one
    furthest = max(max(line.get_xdata()) for line in chart.figure().axes[0].get_lines())
    assert furthest == pytest.approx(120)


def test_the_last_percentile_is_the_eleventh_largest_sample() -> None:
    # Given 1,000 operations of which the ten slowest took 9 ms
    slow = (*[1.0] * 990, *[9.0] * 10)
    row = percentiles_of_comparison(compared(made(count=1000, mix=slow))).to_frame().iloc[0]
    assert (row["last quoted"], row["p99 ms"]) == ("p99", 1.0)
    slower = (*[1.0] * 989, *[9.0] * 11)
    assert percentiles_of_comparison(compared(made(count=1000, mix=slower))).to_frame().iloc[0]["p99 ms"] == 9.0


def test_with_nineteen_samples_there_is_no_tail_and_that_is_said() -> None:
    chart = percentiles_of_comparison(compared(made(count=19, floor=False)))
    assert "spool: too few samples (19)" in chart.alt
    assert chart.figure().axes[0].get_lines() == []
    assert "no line: spool" in words(chart.figure())


def test_a_censored_tail_is_shown_as_censored() -> None:
    chart = percentiles_of_comparison(compared(made(never=10)))
    assert math.isinf(chart.to_frame().iloc[0]["p99 ms"])
    assert "p99 censored" in chart.alt


def test_one_run_has_its_own_tail() -> None:
    assert [row[:2] for row in percentiles_of_result(made().results[0]).rows] == [("tell", "spool")]


# --- load ------------------------------------------------------------------------------------------


def point(rate: float, p90: float | None, achieved: float | None = None) -> Point:
    half = None if p90 is None else p90 / 2
    return Point(rate, rate, rate if achieved is None else achieved, half, p90, 200)


def swept(channel: str = "spool", style: str = "file_share", *, ends: bool = True, verb: str = "tell") -> Sweep:
    points = (point(100, 2 * MS), point(200, 3 * MS), point(400, 90 * MS, 250), point(280, 8 * MS))
    if not ends:
        points = points[:2]
    knee, beyond = (points[3], points[2]) if ends else (points[1], None)
    return Sweep(channel, style, verb, {}, point(50, 2 * MS), points, knee, beyond)


def test_the_load_chart_says_where_the_knee_is_in_words_and_in_the_picture() -> None:
    chart = swept().chart()
    assert "the knee is at 280/s with a p90 of 8 ms; at 400/s it achieves 250/s with a p90 of 90 ms" in chart.alt
    assert "knee: 280/s" in words(chart.figure())
    assert chart.to_frame().query("knee == 'knee'")["offered/s"].tolist() == [280]


def test_several_sweeps_stand_in_the_order_of_their_styles() -> None:
    chart = load([swept("streams", "messaging", ends=False), swept()])
    assert list(dict.fromkeys(chart.to_frame()["channel"])) == ["spool", "streams"]
    assert "streams (no knee up to its last point)" in words(chart.figure())
    assert "no knee up to 200/s" in chart.alt


def test_a_rate_that_was_tried_again_is_drawn_once_and_stands_in_the_table_twice() -> None:
    found = replace(swept(), points=(*swept().points, point(400, 200 * MS, 250)))
    chart = found.chart()
    assert len(chart.rows) == 6
    assert max(len(line.get_xdata()) for line in chart.figure().axes[0].get_lines()) == 4


def test_a_rate_whose_operations_were_never_done_is_drawn_at_the_edge() -> None:
    found = replace(swept(), points=(*swept().points, point(800, math.inf, 0)))
    chart = found.chart()
    assert chart.png()
    assert "^" in [line.get_marker() for line in chart.figure().axes[0].get_lines()]


def test_sweeps_of_different_verbs_are_not_drawn_together() -> None:
    with pytest.raises(BadArgument, match="all of one verb"):
        load([swept(), swept(verb="ask")])


# --- open and closed loop --------------------------------------------------------------------------


def stalled(loop: str, touched: int, count: int = 200) -> Result:
    """Asks of 2 ms, of which some took 500 ms."""
    book = Book("A" * count, rate=1000.0, loop=loop)
    for operation in range(1, count + 1):
        due = float(operation - 1)
        book.sent(operation).worked(operation)
        book.answered(operation, at=due + (500.0 if 50 <= operation < 50 + touched else 2.0))
    history = book.history(started="2026-01-01T00:00:00+00:00", clock_gap=0.0, stall=[0.049, 0.5])
    return Result(replace(history, channel="socket", style="rpc"))


def test_the_loops_chart_counts_whom_the_stall_touched() -> None:
    chart = loops(stalled("open", 100), stalled("closed", 1))
    frame = chart.to_frame().set_index("loop")
    assert frame.loc["open", "touched by the stall"] == 100
    assert frame.loc["closed", "touched by the stall"] == 1
    assert frame.loc["open", "p90 ms"] == 500.0
    assert frame.loc["closed", "p90 ms"] == 2.0
    assert "counted from the intended start, the stall touched 100 of 200" in chart.alt
    assert "counted from the actual start, the stall touched 1 of 200" in chart.alt
    assert "1 of 200" in words(chart.figure())


def test_runs_in_the_wrong_order_or_without_a_stall_are_refused() -> None:
    with pytest.raises(BadArgument, match="open loop"):
        loops(stalled("closed", 1), stalled("open", 100))
    with pytest.raises(BadArgument, match="planted stall"):
        loops(made(verb=Verb.ASK).results[0], stalled("closed", 1))


# --- durability ------------------------------------------------------------------------------------


def levels() -> Comparison:
    return compared(
        made("spool", by=Acceptor.KERNEL, accepted=0.1),
        made("spool(flush=True)", by=Acceptor.DISK, accepted=4.0),
        made("socket", "rpc", by=Acceptor.PEER, accepted=0.2),
    )


def test_same_promise_stands_beside_same_promise_the_weakest_first() -> None:
    frame = durability(levels()).to_frame()
    assert list(dict.fromkeys(frame["accepted means"])) == ["kernel has it", "flushed to disk", "receiver has it"]
    assert frame["p50 ms"].dropna().tolist() == [0.1, 4.0, 0.2]


def test_a_level_that_a_style_cannot_reach_is_said_not_to_exist() -> None:
    chart = durability(levels())
    rows = chart.to_frame().set_index(["accepted means", "style"])["channel"]
    assert rows["flushed to disk", "rpc"] == "does not exist"
    assert rows["receiver has it", "file_share"] == "does not exist"
    assert "Flushed to disk (survives a power cut): spool(flush=True) 4 ms; does not exist in rpc." in chart.alt
    assert words(chart.figure()).count("does not exist") == 3


def test_what_a_flush_costs_the_same_channel_is_said() -> None:
    assert "A flush makes spool 40 times as slow to accept." in durability(levels()).alt


def test_without_tells_there_is_no_price_of_durability() -> None:
    with pytest.raises(BadArgument, match="something is told"):
        durability(compared(made(verb=Verb.ASK)))


def test_every_level_that_a_sound_style_can_reach_is_among_the_channels_of_the_experiment() -> None:
    found = {(channel.style, channel.guarantees.tell.accepted_by) for channel in experiments.levels()}
    for style in ("file_share", "db_share"):
        assert {(style, Acceptor.KERNEL), (style, Acceptor.DISK)} <= found
    assert {("rpc", Acceptor.KERNEL), ("rpc", Acceptor.PEER)} <= found
    assert {("messaging", Acceptor.SERVER), ("messaging", Acceptor.DISK)} <= found


# --- staleness -------------------------------------------------------------------------------------


def shared(channel: str, style: str, stale: int, count: int = 40) -> Cell:
    """Two writes, then reads; the first `stale` of them see the state before both, 5 ms and more after the first."""
    book = Book("WW" + "R" * count, owner=False)
    book.rows["due"][2:] += round(4 * MS)
    book.sent(1).accepted(1).sent(2).accepted(2)
    for operation in range(3, count + 3):
        seen = 0 if operation < 3 + stale else 2
        book.sent(operation).answered(operation, value=seen, detail=int(book.rows["state"][1]) if seen else 0)
    history = book.history(started="2026-01-01T00:00:00+00:00", clock_gap=0.0)
    return Cell(channel, Verb.SHARE, (Result(replace(history, channel=channel, style=style)),))


def test_a_channel_without_a_stale_read_says_so() -> None:
    chart = staleness(compared(shared("spool", "file_share", 0)))
    assert "spool (40 reads): none stale." in chart.alt
    assert "none stale of 40 reads" in words(chart.figure())


def test_stale_reads_are_counted_in_versions_and_in_ms() -> None:
    chart = staleness(compared(shared("streams", "messaging", 25), shared("spool", "file_share", 0)))
    row = chart.to_frame().set_index("channel").loc["streams"]
    assert (row["reads"], row["stale"], row["2 behind"], row["1 version behind"]) == (40, 25, 25, 0)
    # the first read begins 6 ms after the start, the first write was accepted after 0.1 ms; then one read a ms
    assert row["median ms of the stale"] == pytest.approx(5.9 + 12)
    assert row["stalest ms"] == pytest.approx(5.9 + 24)
    assert "25 of 40 reads were stale (62 %), at most 2 versions behind" in chart.alt


def test_a_median_of_too_few_stale_reads_is_not_quoted() -> None:
    chart = staleness(compared(shared("streams", "messaging", 3)))
    assert chart.to_frame()["median ms of the stale"].isna().all()
    assert "too few to quote a median age" in chart.alt


def test_without_shared_state_there_is_no_staleness() -> None:
    with pytest.raises(BadArgument, match="state is shared"):
        staleness(compared(made()))


# --- polling ---------------------------------------------------------------------------------------


def polled(poll: float | None, took: float, sleeps: int, cpu: float) -> Result:
    [result] = made("spool", mix=(took,)).results
    knobs = {"poll": poll or 0.001, "wake": poll is None}
    spent = {"metering-0": {"cpu": cpu, "wall": 10.0, "sleeps": sleeps}}
    return Result(replace(result.history, facts={**result.history.facts, "knobs": knobs, "spent": spent}))


def test_the_polling_chart_holds_latency_looks_and_cpu_of_each_interval() -> None:
    chart = polling([polled(0.05, 25.0, 600, 0.1), polled(0.001, 0.5, 12_000, 0.6), polled(None, 0.2, 1200, 0.2)])
    frame = chart.to_frame()
    assert frame["poll ms"].tolist()[1:] == [1.0, 50.0]
    assert frame["p50 ms"].tolist() == [0.2, 0.5, 25.0]
    assert frame["sleeps per operation"].tolist() == [1.0, 10.0, 0.5]
    assert frame["receiver's CPU, % of a core"].tolist() == pytest.approx([2.0, 6.0, 1.0])
    assert "every 1 ms p50 0.5 ms" in chart.alt
    assert "spool, which is woken: p50 0.2 ms" in chart.alt
    assert "spool, woken" in words(chart.figure())


def test_a_run_that_does_not_say_what_its_receiver_spent_is_refused() -> None:
    with pytest.raises(BadArgument, match="say what they have spent"):
        polling([made().results[0]])


def test_an_interval_longer_than_the_harness_looks_is_refused() -> None:
    with pytest.raises(BadArgument, match="intervals: expected"):
        experiments.polling([0.2])


# --- all of them -----------------------------------------------------------------------------------


def everything() -> list[Chart]:
    every = every_case()
    return [
        percentiles_of_comparison(every),
        durability(every),
        load([swept(), swept("a_channel_with_quite_a_long_name(flush=True)", "custom")]),
        loops(stalled("open", 100), stalled("closed", 0)),
        staleness(compared(shared("spool", "file_share", 0), shared("streams", "messaging", 25))),
        polling([polled(0.001, 0.5, 12_000, 0.6), polled(None, 0.2, 0, 0.0)]),
    ]


def test_every_chart_is_drawn_the_same_twice_without_a_warning_and_says_who_is_in_it() -> None:
    for chart in everything():
        assert chart.png() == replace(chart).png()
        names = {row.get("channel", "socket") for row in chart.to_frame().to_dict("records")}
        assert all(name in chart.alt for name in names)


# --- real runs -------------------------------------------------------------------------------------


def test_a_real_stall_touches_one_operation_of_a_closed_loop_and_many_of_an_open_one() -> None:
    # Given a stall of 0.4 s; what is due meanwhile (80) waits, and a closed loop offers nothing
    found = experiments.stall(seconds=0.4, at=0.2, operations=200, progress=False)
    touched = found.to_frame().set_index("loop")["touched by the stall"]
    assert touched["open"] >= 10
    assert touched["closed"] < touched["open"]
    assert found.chart.png()


def test_a_real_receiver_says_what_it_has_spent() -> None:
    found = experiments.polling([0.01], operations=60, progress=False)
    spent = [result.history.facts["spent"]["metering-0"] for result in found.results]
    assert all(each["cpu"] > 0 and each["wall"] > 0 for each in spent)
    assert spent[0]["sleeps"] > 0
    assert {"spool", "compare_and_swap"} <= set(found.to_frame()["channel"])
