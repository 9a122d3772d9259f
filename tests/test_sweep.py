"""The knee is found where a known curve has it; a real sweep goes from the first run to the picture."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from build import Book

from sandbox import Workload, load, sweep
from sandbox.errors import BadArgument
from sandbox.harness.knee import PRECISION, Point, find_knee
from sandbox.harness.result import Result
from sandbox.harness.sweep import Sweep, point_of

MS = 1e6
UNLOADED = 2 * MS
LIMIT = 5 * UNLOADED


class Server:
    """A synthetic channel: capacity/s, and a p90 that grows with the load as 1 / (1 - utilisation)."""

    def __init__(self, capacity: float, *, hiccups: int = 0, stays_quick: bool = False, loses: float = 0.0) -> None:
        self.capacity, self.hiccups, self.stays_quick, self.loses = capacity, hiccups, stays_quick, loses
        self.asked: list[float] = []

    def __call__(self, rate: float) -> Point:
        self.asked.append(rate)
        achieved = min(rate, self.capacity) * (1 - self.loses)
        left = 1 - rate / self.capacity
        p90 = UNLOADED / left if left > 0 else math.inf
        if self.stays_quick:
            p90 = UNLOADED
        if self.asked.count(rate) <= self.hiccups:
            p90 = 100 * UNLOADED  # the machine was busy with something else
        return Point(rate, rate, achieved, p90 / 2, p90, 500)


# --- the search ------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [60, 500, 3_333, 11_000])
def test_the_knee_lies_where_the_curve_passes_the_limit(capacity: float) -> None:
    # 1 / (1 - u) is 5 at a utilisation of 0.8
    found = find_knee(Server(capacity), LIMIT, 10, 20_000)
    assert found.knee is not None
    assert 0.8 * capacity / PRECISION <= found.knee.offered <= 0.8 * capacity


def test_the_knee_of_what_stays_quick_lies_where_it_no_longer_keeps_up() -> None:
    # 500/s are 95 % of 526/s
    found = find_knee(Server(500, stays_quick=True), LIMIT, 10, 20_000)
    assert found.knee is not None
    assert 526 / PRECISION <= found.knee.offered <= 527
    assert found.beyond is not None
    assert "keep up" in found.beyond.why_not(LIMIT)


def test_a_finer_search_comes_closer() -> None:
    found = find_knee(Server(500), LIMIT, 10, 20_000, precision=1.01)
    assert found.knee is not None
    assert 400 / 1.01 <= found.knee.offered <= 400


def test_one_or_two_hiccups_of_the_machine_do_not_move_the_knee() -> None:
    calm, shaken = find_knee(Server(500), LIMIT, 10, 20_000), find_knee(Server(500, hiccups=2), LIMIT, 10, 20_000)
    assert calm.knee is not None
    assert shaken.knee is not None
    assert shaken.knee.nominal == calm.knee.nominal
    assert len(shaken.points) > len(calm.points)


def test_what_fails_three_times_is_too_much() -> None:
    found = find_knee(Server(500, hiccups=3), LIMIT, 10, 20_000)
    assert found.knee is None
    assert [point.nominal for point in found.points] == [10, 10, 10]


def test_what_fails_in_runs_that_are_not_valid_gets_five_tries_before_the_channel_is_blamed() -> None:
    server = Server(500, hiccups=4)
    doubtful = find_knee(lambda rate: replace(server(rate), notes=("the machine was busy",)), LIMIT, 100, 200)
    assert doubtful.knee is not None
    assert [point.nominal for point in doubtful.points] == [100] * 5 + [200] * 5


def test_a_knee_that_may_be_the_machines_is_said_to_be() -> None:
    found = made()
    assert found.beyond is not None
    assert "the machine and not the channel" not in str(found)
    assert "the machine and not the channel" in str(replace(found, beyond=replace(found.beyond, notes=("busy",))))


def test_a_rate_that_falls_short_by_far_is_not_tried_again() -> None:
    server = Server(500)
    find_knee(server, LIMIT, 10, 20_000)
    assert server.asked.count(320) == 1
    assert server.asked.count(640) == 1


def test_where_the_highest_rate_is_sustained_there_is_no_knee_but_a_last_point() -> None:
    found = find_knee(Server(1e9), LIMIT, 100, 3_000)
    assert found.beyond is None
    assert found.knee is not None
    assert found.knee.nominal == 3_000
    assert [point.nominal for point in found.points] == [100, 200, 400, 800, 1600, 3000]


def test_losing_a_tenth_of_the_operations_is_not_keeping_up() -> None:
    assert find_knee(Server(1e9, loses=0.1), LIMIT, 100, 3_000).knee is None


def test_a_p90_that_cannot_be_quoted_sustains_nothing() -> None:
    point = Point(100, 100, 100, None, None)
    assert not point.sustained(LIMIT)
    assert point.why_not(LIMIT)


# --- what a run says -------------------------------------------------------------------------------


def _told(count: int, ends: list[float]) -> Result:
    """Tells due 1 ms apart, the n-th done at the n-th of `ends` (ms)."""
    book = Book("T" * count, rate=1000.0)
    for operation, end in enumerate(ends, start=1):
        book.sent(operation).accepted(operation).worked(operation, at=end, took=0)
    for operation in range(len(ends) + 1, count + 1):
        book.sent(operation)
    return Result(book.history(started="2026-01-01T00:00:00+00:00", clock_gap=0.0))


def test_a_constant_delay_does_not_lower_the_achieved_rate() -> None:
    point = point_of(_told(200, [n + 30.0 for n in range(200)]), 1000)
    assert point.offered == pytest.approx(1000)
    assert point.achieved == pytest.approx(1000)
    assert point.p90 == 30 * MS


def test_a_growing_queue_lowers_the_achieved_rate() -> None:
    point = point_of(_told(200, [n * 2.0 for n in range(200)]), 1000)
    assert point.achieved == pytest.approx(500)
    assert not point.keeps_up()


def test_operations_that_were_never_done_are_censored_and_lower_no_latency() -> None:
    point = point_of(_told(200, [n + 1.0 for n in range(150)]), 1000)
    assert point.censored == 50
    assert point.p90 == math.inf
    assert not point.sustained(LIMIT)


def test_nothing_done_is_a_rate_of_zero() -> None:
    assert point_of(_told(200, []), 1000).achieved == 0


# --- a sweep as a value ----------------------------------------------------------------------------


def made(capacity: float = 500, high: float = 20_000) -> Sweep:
    found = find_knee(Server(capacity), LIMIT, 100, high)
    unloaded = Point(10, 10, 10, UNLOADED / 2, UNLOADED, 100)
    return Sweep("spool", "file_share", "tell", {}, unloaded, tuple(found.points), found.knee, found.beyond)


def test_a_sweep_says_where_the_knee_is_and_by_which_rule() -> None:
    found = made()
    assert found.knee is not None
    assert f"the knee is at {found.knee.offered:,.0f}/s" in str(found)
    assert "within 5 x the unloaded p90 (2 ms), or 2 ms where that is more" in str(found)


def test_a_sweep_without_a_knee_says_so() -> None:
    assert "no knee up to 800/s" in str(made(1e9, high=800))
    assert "not even 100/s was sustained" in str(made(50))


def test_a_sweep_loads_again_as_it_was_saved_censored_values_included(tmp_path: Path) -> None:
    found = made(150)
    assert any(point.p90 == math.inf for point in found.points)
    again = load(found.save(tmp_path / "a.json"))
    assert isinstance(again, Sweep)
    assert (again.points, again.unloaded, again.knee, again.beyond) == (
        found.points,
        found.unloaded,
        found.knee,
        found.beyond,
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1}'])
def test_a_file_that_is_no_sweep_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadArgument, match="sweep file: expected"):
        load(tmp_path / "x.json")


def test_the_table_of_a_sweep_has_a_row_for_every_run() -> None:
    frame = made().to_frame()
    assert len(frame) == len(made().points) + 1
    assert frame["offered"].is_monotonic_increasing
    assert set(frame["sustained"]) == {True, False}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"low": 500.0, "high": 400.0}, "low, high: expected"),
        ({"times": 1.0}, "times: expected more than 1"),
        ({"verb": "shout"}, "verb: expected one of"),
    ],
)
def test_impossible_sweeps_are_refused_before_anything_starts(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        sweep("spool", **arguments)  # type: ignore[arg-type]


def test_a_real_sweep_goes_from_the_first_run_to_the_picture() -> None:
    # Given work of 5 ms, of which one receiver can do 200/s: 100/s it can take or not, 1000/s it cannot
    lines: list[str] = []
    workload = Workload(service=0.005)
    found = sweep("spool", workload=workload, low=100, high=1000, times=20, quick=True, progress=lines.append)
    assert found.unloaded.samples >= 100
    assert found.beyond is not None
    assert max(point.achieved for point in found.points) < 300
    assert any("without load" in line for line in lines)
    assert found.chart().png().startswith(b"\x89PNG")
    assert "<img" in found._repr_html_()
