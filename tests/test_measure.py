"""Latencies and percentiles with known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from build import MS, Book
from hypothesis import given
from hypothesis import strategies as st

from sandbox.exchange.schema import Verb
from sandbox.harness import measure
from sandbox.harness.journal import REFUSALS, Event
from sandbox.harness.measure import Measure, Quantile, Samples, highest_quotable, quantile, quantiles, samples
from sandbox.harness.plan import READ, WRITE


def ms(found: Samples) -> list[float]:
    """The samples in ms."""
    return [round(value / MS, 6) for value in found.ns.tolist()]


def of(values: list[float], censored: int = 0) -> list[Samples]:
    """Samples by hand."""
    return [Samples(np.array(values), np.arange(1, len(values) + 1), censored)]


# --- which span ---------------------------------------------------------------------------------


def test_the_spans_of_one_tell() -> None:
    history = Book("T").sent(1, at=0.4).accepted(1, at=0.5).worked(1, at=2, took=3).history()

    assert ms(samples(history, Verb.TELL, Measure.ACCEPTANCE)) == [0.5]
    assert ms(samples(history, Verb.TELL, Measure.WAIT)) == [2]
    assert ms(samples(history, Verb.TELL, Measure.SERVICE)) == [3]
    assert ms(samples(history, Verb.TELL, Measure.RESPONSE)) == [5]


def test_wait_and_service_add_up_to_the_response_of_every_tell() -> None:
    book = Book("T" * 20)
    for number in range(1, 21):
        book.sent(number).accepted(number).worked(number, at=number * 1.7, took=number * 0.1)
    history = book.history()

    wait, service, response = (
        samples(history, Verb.TELL, measure).ns for measure in (Measure.WAIT, Measure.SERVICE, Measure.RESPONSE)
    )

    assert (wait + service == response).all()


def test_an_ask_ends_with_its_answer_and_a_write_with_its_acceptance() -> None:
    ask = Book("A").sent(1).accepted(1, at=1).worked(1, at=2, took=1).answered(1, at=4).history()
    share = Book("WR").sent(1).accepted(1, at=2).sent(2).answered(2, at=6, value=1, detail=1).history()

    assert ms(samples(ask, Verb.ASK, Measure.RESPONSE)) == [4]
    assert ms(samples(ask, Verb.ASK, Measure.ACCEPTANCE)) == [1]
    assert ms(samples(share, Verb.SHARE, Measure.RESPONSE, WRITE)) == [2]
    assert ms(samples(share, Verb.SHARE, Measure.RESPONSE, READ)) == [5]


def test_a_refusal_is_an_answer() -> None:
    history = Book("A").sent(1).answered(1, at=4, status=REFUSALS["OverQuota"]).history()

    assert ms(samples(history, Verb.ASK, Measure.RESPONSE)) == [4]


def test_it_counts_from_the_intended_start_not_from_the_actual_one() -> None:
    history = Book("T").sent(1, at=40).accepted(1, at=41).worked(1, at=42, took=1).history()

    assert ms(samples(history, Verb.TELL, Measure.RESPONSE)) == [43]


def test_in_a_closed_loop_it_counts_from_the_actual_start() -> None:
    history = Book("T", loop="closed").sent(1, at=40).accepted(1, at=41).worked(1, at=42, took=1).history()

    assert ms(samples(history, Verb.TELL, Measure.RESPONSE)) == [3]


def test_a_tell_to_two_groups_has_arrived_when_the_last_has_worked_it() -> None:
    book = Book("T", groups=("metering", "audit")).sent(1).accepted(1)
    history = book.worked(1, by="metering-0", at=1, took=1).worked(1, by="audit-0", at=7, took=1).history()

    assert ms(samples(history, Verb.TELL, Measure.RESPONSE)) == [8]


def test_the_first_delivery_counts_not_the_duplicate() -> None:
    history = Book("T").sent(1).accepted(1).worked(1, at=1, took=1).worked(1, at=90, attempt=2).history()

    assert ms(samples(history, Verb.TELL, Measure.RESPONSE)) == [2]


def test_an_answer_tells_that_it_was_accepted() -> None:
    history = Book("A").sent(1).answered(1, at=4).history()

    assert ms(samples(history, Verb.ASK, Measure.ACCEPTANCE)) == [4]


def test_an_effect_whose_work_nobody_saw_begin_has_no_service_time() -> None:
    book = Book("T").sent(1).accepted(1)
    book.event(1, Event.EFFECT, 1, 5.0)

    found = samples(book.history(), Verb.TELL, Measure.SERVICE)

    assert (ms(found), found.censored) == ([], 1)


def test_state_that_is_shared_directly_waits_for_no_receiver() -> None:
    found = samples(Book("W", owner=False).well().history(), Verb.SHARE, Measure.WAIT)

    assert (ms(found), found.censored) == ([], 1)


def test_what_is_in_no_plan_has_no_latency() -> None:
    history = Book("T").well().worked(0).worked(-5).worked(77).worked(2**62).history()

    assert samples(history, Verb.TELL, Measure.RESPONSE).operations.tolist() == [1]


# --- which operations -----------------------------------------------------------------------------


def test_warm_up_is_left_out() -> None:
    book = Book("TTT")
    book.rows["warm"][0] = 1

    assert samples(book.well().history(), Verb.TELL, Measure.RESPONSE).operations.tolist() == [2, 3]


def test_the_slowest_and_the_fastest_are_kept() -> None:
    book = Book("TTT").sent(1).worked(1, at=0, took=0).sent(2).worked(2, at=600_000, took=0).well(3)

    found = ms(samples(book.history(), Verb.TELL, Measure.RESPONSE))

    assert (min(found), max(found)) == (0, 599_999)


def test_a_timeout_is_censored_and_not_dropped() -> None:
    book = Book("AAA").well(1).sent(2).sent(3).unknown(3)

    found = samples(book.history(), Verb.ASK, Measure.RESPONSE)

    assert (len(found.ns), found.censored, found.count) == (1, 2, 3)


def test_a_lost_tell_never_arrives_and_is_censored() -> None:
    book = Book("TT").well(1).sent(2).accepted(2)

    assert samples(book.history(), Verb.TELL, Measure.RESPONSE).censored == 1
    assert samples(book.history(), Verb.TELL, Measure.ACCEPTANCE).censored == 0


def test_what_failed_for_certain_or_was_never_offered_has_no_latency_at_all() -> None:
    book = Book("TTT").well(1).sent(2).failed(2)

    assert samples(book.history(), Verb.TELL, Measure.RESPONSE).count == 1


# --- percentiles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "q", "expected"),
    [
        (100, 0.5, 50),
        (1000, 0.99, 990),
        (100, 0.9, 90),
        (101, 0.5, 51),
        (200, 0.95, 190),
        (100, 0.07, 7),
        (21, 0.5, 11),
        (100, 0.01, 1),
    ],
)
def test_a_percentile_is_the_order_statistic(count: int, q: float, expected: int) -> None:
    values = [float(value) for value in np.random.Generator(np.random.PCG64(3)).permutation(count) + 1]

    assert quantile(of(values), q).value == expected


@pytest.mark.parametrize(
    ("count", "q", "quoted"),
    [(1000, 0.99, True), (999, 0.99, False), (100, 0.9, True), (99, 0.9, False), (20, 0.5, True), (19, 0.5, False)],
)
def test_a_percentile_is_quoted_only_with_ten_samples_beyond_it(count: int, q: float, quoted: bool) -> None:
    found = quantile(of([1.0] * count), q)

    assert (found.value is not None) is quoted
    assert found.samples == count


@pytest.mark.parametrize(
    ("count", "expected"), [(0, 0.5), (1, 0.5), (20, 0.5), (100, 0.9), (1000, 0.99), (1_000_000, 0.99)]
)
def test_the_highest_percentile_that_can_be_quoted_leaves_ten_beyond(count: int, expected: float) -> None:
    assert highest_quotable(count) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "quoted"), [(99, False), (100, True)])
def test_a_percentile_below_the_first_sample_is_not_quoted(count: int, quoted: bool) -> None:
    assert (quantile(of([1.0] * count), 0.01).value is not None) is quoted


def test_what_cannot_be_quoted_has_no_interval_either() -> None:
    found = quantile(of([1.0] * 19), 0.5)

    assert found.q == 0.5
    assert math.isnan(found.low) and math.isnan(found.high)
    assert not found.overlaps(found)


def test_repeats_of_one_sample_each_have_a_percentile() -> None:
    repeats = [of([float(value)])[0] for value in range(1, 31)]

    assert quantile(repeats, 0.5).value == 15


def test_without_samples_there_is_no_percentile() -> None:
    assert quantile([], 0.5).value is None
    assert quantile(of([]), 0.5).value is None


def test_censored_samples_stand_beyond_all_others() -> None:
    values = [float(value) for value in range(1, 81)]

    assert quantile(of(values, censored=20), 0.5).value == 50  # of 100, not of 80
    assert quantile(of(values, censored=20), 0.8).value == 80


def test_a_percentile_among_the_censored_is_infinite() -> None:
    found = quantile(of([1.0] * 80, censored=20), 0.9)

    assert found.value == math.inf
    assert found.high == math.inf


@given(
    st.lists(st.floats(0, 1e12), min_size=20, max_size=300),
    st.integers(0, 100),
    st.sampled_from([0.25, 0.5, 0.75, 0.9]),
)
def test_a_percentile_leaves_as_many_below_and_beyond_as_it_says(values: list[float], censored: int, q: float) -> None:
    found = quantile(of(values, censored), q, rounds=20)

    if found.value is not None:
        everything = np.array([*values, *[math.inf] * censored])
        assert np.mean(everything <= found.value) >= q - 1e-9
        assert np.mean(everything < found.value) <= q
        assert found.low <= found.high


def test_the_interval_covers_the_true_median_about_nineteen_times_in_twenty() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    truth = math.log(2)

    too_high = too_low = 0
    for _ in range(200):
        found = quantile(of(rng.exponential(1.0, 300).tolist()), 0.5, rounds=200)
        too_high += truth < found.low
        too_low += truth > found.high

    assert 1 <= too_high + too_low <= 22  # of 200; one that covers nothing, or everything, is no interval
    assert too_high and too_low  # and it misses on either side


def test_the_interval_is_what_nineteen_of_twenty_draws_lie_in(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a bootstrap whose 400 draws have the medians 399, 398, ... 0
    medians = iter(range(399, -1, -1))
    monkeypatch.setattr(measure, "_redraw", lambda *_: [np.full(100, float(next(medians)))])

    found = quantile(of([1.0] * 100), 0.5)

    assert (found.low, found.high) == (10, 390)


def test_the_interval_widens_when_whole_repeats_differ() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    alike = [of(rng.normal(10, 1, 200).tolist())[0] for _ in range(5)]
    apart = [of(rng.normal(10 + shift, 1, 200).tolist())[0] for shift in (-4, -2, 0, 2, 4)]

    narrow, wide = quantile(alike, 0.5), quantile(apart, 0.5)

    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_neighbours_that_move_together_widen_the_interval() -> None:
    # Given the same 400 values twice: in 20 bursts of 20 neighbours alike, and shuffled
    rng = np.random.Generator(np.random.PCG64(7))
    bursts = np.repeat(rng.normal(10, 1, 20), 20) + rng.normal(0, 0.01, 400)
    shuffled = rng.permutation(bursts)

    wide, narrow = quantile(of(bursts.tolist()), 0.5), quantile(of(shuffled.tolist()), 0.5)

    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_interval_is_wider_for_fewer_samples() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    few, many = (quantile(of(rng.exponential(1.0, count).tolist()), 0.5) for count in (50, 5000))

    assert few.high - few.low > 4 * (many.high - many.low)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = of(np.random.Generator(np.random.PCG64(7)).exponential(1.0, 200).tolist())

    assert quantile(values, 0.5, seed=4) == quantile(values, 0.5, seed=4)
    assert quantile(values, 0.5, seed=4) != quantile(values, 0.5, seed=5)


def test_a_seed_is_one_unless_it_is_said() -> None:
    values = of(np.random.Generator(np.random.PCG64(7)).exponential(1.0, 200).tolist())

    assert quantile(values, 0.5) == quantile(values, 0.5, seed=1) == quantiles(values, [0.5])[0.5]


def test_one_percentile_is_that_of_several() -> None:
    values = of(np.random.Generator(np.random.PCG64(7)).exponential(1.0, 200).tolist())

    one, several = quantile(values, 0.9, 3, 30), quantiles(values, [0.5, 0.9], 3, 30)

    assert one == several[0.9]
    assert [found.q for found in several.values()] == list(several) == [0.5, 0.9]
    assert (one.low, one.high) != (quantile(values, 0.9, 3).low, quantile(values, 0.9, 3).high)  # of more rounds


def test_intervals_that_touch_overlap() -> None:
    lower, upper = Quantile(0.5, 1.5, 1, 2, 100), Quantile(0.5, 2.5, 2, 3, 100)

    assert lower.overlaps(upper) and upper.overlaps(lower)


def test_overlapping_intervals_are_a_tie_and_distant_ones_are_not() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    a, b, far = (quantile(of((rng.normal(mean, 1, 200)).tolist()), 0.5) for mean in (10, 10.05, 20))

    assert a.overlaps(b) and b.overlaps(a)
    assert not a.overlaps(far) and not far.overlaps(a)
