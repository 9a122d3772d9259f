"""What is offered: every knob checked before anything starts, everything random drawn from the seed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import BadArgument
from sandbox.exchange.schema import EXCHANGE, GetState, Verb
from sandbox.harness.plan import ASK, READ, SIZES, TELL, WRITE, Plan, make_plan, operations
from sandbox.harness.workload import Workload

MIX = {"tell": 3, "ask": 2, "share": 5}


def plan(verb: Any = "tell", count: int = 1000, **knobs: Any) -> Plan:
    """The plan of a workload without warm-up."""
    return make_plan(Workload(verb, operations=count, **{"warmup": 0, **knobs}))


# --- knobs --------------------------------------------------------------------------------------

BAD = [
    ("operations", 0),
    ("operations", 2.5),
    ("operations", True),
    ("operations", "many"),
    ("operations", None),
    ("rate", 0),
    ("rate", -1.0),
    ("rate", float("nan")),
    ("rate", float("inf")),
    ("burst", 0),
    ("in_flight", 0),
    ("service", -0.1),
    ("service", 11),
    ("senders", 0),
    ("senders", 65),
    ("receivers", 0),
    ("readers", 0),
    ("batch", 0),
    ("warmup", -1),
    ("timeout", 0),
    ("writes", 1.1),
    ("projects", 0),
    ("volumes", 0),
    ("quota_gb", -1),
    ("seed", -1),
    ("seed", 1.5),
    ("seed", 2**63),
    ("size", 63),
    ("size", 1 << 25),
    ("size", 100.0),
    ("size", "openstac"),
    ("size", True),
    ("arrivals", "poison"),
    ("loop", "ajar"),
    ("service_shape", "normal"),
    ("settle", "whenever"),
    ("groups", ()),
    ("groups", ("a", "a")),
    ("groups", ("a b",)),
    ("groups", ("../etc",)),
    ("groups", ("x" * 33,)),
    ("groups", (1,)),
    ("groups", ("volumes",)),
    ("groups", ("states",)),
    ("groups", "metering"),
    ("groups", 3),
    ("verb", "tel"),
    ("verb", 3),
    ("verb", None),
    ("verb", {}),
    ("verb", {"tell": 0}),
    ("verb", {"tell": -1}),
    ("verb", {"tell": "much"}),
    ("verb", {"tell": float("inf")}),
    ("verb", {"tell": float("nan")}),
    ("verb", {"shout": 1}),
]


@pytest.mark.parametrize(("knob", "value"), BAD, ids=[f"{knob}={value!r}" for knob, value in BAD])
def test_a_bad_knob_is_told_what_was_expected_and_what_came(knob: str, value: Any) -> None:
    with pytest.raises(BadArgument) as caught:
        Workload(**{knob: value})

    text = str(caught.value)
    assert knob in text or "weight of" in text
    assert "expected " in text and ", got " in text


@pytest.mark.parametrize(
    ("knob", "value", "nearest"),
    [
        ("arrivals", "poison", "poisson"),
        ("verb", "tel", "tell"),
        ("loop", "opne", "open"),
        ("settle", "befor", "before"),
    ],
)
def test_a_misspelt_word_gets_the_nearest_one(knob: str, value: str, nearest: str) -> None:
    with pytest.raises(BadArgument, match=f"Did you mean '{nearest}'"):
        Workload(**{knob: value})


def test_a_misspelt_knob_gets_the_nearest_one() -> None:
    with pytest.raises(BadArgument, match="Did you mean 'rate'"):
        Workload().but(rat=3)
    with pytest.raises(BadArgument, match="Did you mean 'rate'"):
        Workload.from_dict({"rat": 3})


def test_one_group_given_as_a_word_gets_the_way_to_write_it() -> None:
    with pytest.raises(BadArgument, match=r"One group is \('audit',\)"):
        Workload(groups="audit")  # type: ignore[arg-type]


@pytest.mark.parametrize("workload", [Workload(), Workload(MIX, groups=("a", "b"), size="openstack", loop="closed")])
def test_a_workload_comes_back_from_json(workload: Workload) -> None:
    assert Workload.from_dict(json.loads(json.dumps(workload.to_dict()))) == workload


def test_numbers_from_numpy_are_as_good_as_any() -> None:
    workload = Workload(operations=np.int64(5), rate=np.float64(2.0), size=np.int32(100))  # type: ignore[arg-type]

    assert workload == Workload(operations=5, rate=2.0, size=100)
    assert json.dumps(workload.to_dict())


def test_changing_a_knob_leaves_the_original_alone() -> None:
    workload = Workload(rate=100)

    assert workload.but(rate=200).rate == 200
    assert workload.rate == 100


def test_a_changed_knob_is_checked_as_well() -> None:
    with pytest.raises(BadArgument, match="rate"):
        Workload().but(rate=0)


# --- the seed -----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["tell", "ask", "share", MIX]),
    st.sampled_from(["constant", "poisson", "bursty"]),
    st.integers(0, 2**63 - 1),
)
def test_the_same_seed_gives_the_same_bytes(verb: Any, arrivals: str, seed: int) -> None:
    knobs: dict[str, Any] = {"arrivals": arrivals, "seed": seed, "size": "openstack", "service": 0.01}
    again = {**knobs, "service_shape": "exponential"}

    assert plan(verb, 50, **again).to_bytes() == plan(verb, 50, **again).to_bytes()


@pytest.mark.parametrize("knobs", [{}, {"arrivals": "poisson"}, {"size": "openstack"}, {"verb": MIX}])
def test_another_seed_gives_another_plan(knobs: dict[str, Any]) -> None:
    assert plan(**knobs, seed=1).to_bytes() != plan(**knobs, seed=2).to_bytes()


# --- arrivals -----------------------------------------------------------------------------------


def test_constant_arrivals_are_exact_to_the_nanosecond() -> None:
    due = plan(rate=300, count=301).rows["due"]

    assert due.tolist() == [round(i * 1e9 / 300) for i in range(301)]


def test_poisson_arrivals_have_the_mean_the_variance_and_the_tail_of_an_exponential() -> None:
    gaps = np.diff(plan(rate=200, count=20_001, arrivals="poisson").rows["due"]) / 1e9

    # Then within four standard errors: 1/rate, 1/rate**2 (whose error is sqrt(8/n)), exp(-2) beyond twice the mean
    assert gaps.mean() == pytest.approx(1 / 200, rel=4 / 20_000**0.5)
    assert gaps.var() == pytest.approx(1 / 200**2, rel=4 * (8 / 20_000) ** 0.5)
    assert np.mean(gaps > 2 / 200) == pytest.approx(np.exp(-2), abs=4 * (0.135 * 0.865 / 20_000) ** 0.5)


def test_poisson_gaps_do_not_depend_on_each_other() -> None:
    gaps = np.diff(plan(rate=200, count=20_001, arrivals="poisson").rows["due"])

    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 4 / 20_000**0.5


def test_bursty_arrivals_come_at_once_in_bursts_and_at_the_same_rate_in_the_long_run() -> None:
    due = plan(rate=1000, count=40_000, arrivals="bursty", burst=20).rows["due"]

    bursts, sizes = np.unique(due, return_counts=True)

    assert set(sizes.tolist()) == {20}
    assert len(bursts) == 2000
    assert 40_000 / (due[-1] / 1e9) == pytest.approx(1000, rel=4 / 2000**0.5)


def test_a_last_burst_may_be_shorter() -> None:
    _, sizes = np.unique(plan(count=50, arrivals="bursty", burst=20).rows["due"], return_counts=True)

    assert sizes.tolist() == [20, 20, 10]


def test_in_a_closed_loop_nothing_has_an_intended_start() -> None:
    assert not plan(loop="closed").rows["due"].any()


@pytest.mark.parametrize("arrivals", ["constant", "poisson", "bursty"])
def test_operations_are_numbered_from_1_in_order_of_their_intended_start(arrivals: str) -> None:
    rows = plan(arrivals=arrivals).rows

    assert rows["id"].tolist() == list(range(1, 1001))
    assert (np.diff(rows["due"]) >= 0).all()


def test_warm_up_comes_first_and_is_marked() -> None:
    rows = plan(count=10, warmup=5).rows

    assert rows["warm"].tolist() == [1] * 5 + [0] * 10


# --- service and sizes ----------------------------------------------------------------------------


def test_constant_service_is_the_same_for_all() -> None:
    assert set(plan(service=0.0035).rows["service"].tolist()) == {3_500_000}


def test_exponential_service_has_its_mean_and_variance() -> None:
    service = plan(count=20_000, service=0.0035, service_shape="exponential").rows["service"] / 1e9

    assert service.mean() == pytest.approx(0.0035, rel=4 / 20_000**0.5)
    assert service.var() == pytest.approx(0.0035**2, rel=4 * (8 / 20_000) ** 0.5)


def test_service_does_not_depend_on_the_arrivals() -> None:
    rows = plan(count=20_000, service=0.0035, service_shape="exponential", arrivals="poisson").rows

    assert abs(np.corrcoef(rows["service"][1:], np.diff(rows["due"]))[0, 1]) < 4 / 20_000**0.5


def test_the_receivers_learn_of_work_that_takes_time_only() -> None:
    assert plan(service=0).services() == {}
    assert plan(service=0.5, count=2).services() == {1: 500_000_000, 2: 500_000_000}


def test_openstack_sizes_are_those_seen_in_production() -> None:
    size = plan(count=50_000, size="openstack").rows["size"]

    assert np.median(size) == pytest.approx(2450, rel=0.02)
    assert np.quantile(size, 0.9) == pytest.approx(6480, rel=0.02)
    assert 11_000 < size.max() <= 11_292
    assert size.min() >= SIZES[0.0]


@pytest.mark.parametrize("size", [150, 1024, 100_000, "openstack"])
def test_an_encoded_body_is_as_long_as_was_planned(size: Any) -> None:
    made = plan(MIX, 200, size=size)

    for row, operation in zip(made.rows, operations(made.rows.tolist()), strict=True):
        EXCHANGE.check(operation)
        if not isinstance(operation.body, GetState):  # a read asks for a volume and has nothing to fill
            assert len(EXCHANGE.encode(operation.body)) == row["size"]


def test_bodies_of_the_same_size_are_not_the_same_bytes() -> None:
    fillings = [operation.body.metadata[:50] for operation in operations(plan(count=100).rows.tolist())]

    assert len(set(fillings)) == 100


# --- the business -------------------------------------------------------------------------------


def test_a_mix_has_its_weights() -> None:
    message = plan(MIX, 20_000, writes=0.25).rows["message"]

    expected = {TELL: 0.3, ASK: 0.2, WRITE: 0.5 * 0.25, READ: 0.5 * 0.75}
    for kind, share in expected.items():
        assert np.mean(message == kind) == pytest.approx(share, abs=4 * (share / 20_000) ** 0.5)


def test_a_verb_of_weight_nought_does_not_occur() -> None:
    assert Workload({"tell": 1, "ask": 0}).weights == {Verb.TELL: 1.0}
    assert set(plan({"tell": 1, "ask": 0}).rows["message"].tolist()) == {TELL}


@pytest.mark.parametrize(("writes", "kinds"), [(0, {READ}), (1, {WRITE})])
def test_shared_state_may_be_only_read_or_only_written(writes: float, kinds: set[int]) -> None:
    assert set(plan("share", writes=writes).rows["message"].tolist()) == kinds


def test_versions_count_from_1_for_each_volume() -> None:
    rows = plan("share", 2000, writes=0.5, volumes=7).rows
    writes = rows[rows["message"] == WRITE]

    for volume in range(1, 8):
        versions = writes["value"][writes["subject"] == volume].tolist()
        assert versions == list(range(1, len(versions) + 1))
    assert set(rows["subject"].tolist()) == set(range(1, 8))


def test_every_image_and_every_new_volume_is_one_of_its_own() -> None:
    rows = plan({"tell": 1, "ask": 1}).rows

    assert (rows["subject"] == rows["id"]).all()


def test_the_business_keeps_to_its_projects() -> None:
    rows = plan({"tell": 1, "ask": 1}, projects=3).rows

    assert set(rows["project"].tolist()) == {0, 1, 2}
    assert rows["value"].min() >= 1


# --- who sends ------------------------------------------------------------------------------------


def test_senders_take_turns() -> None:
    made = plan(senders=3, count=7)

    assert made.senders == ("sender-0", "sender-1", "sender-2")
    assert made.rows["sender"].tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_one_process_writes_and_the_readers_take_turns() -> None:
    made = plan("share", 500, readers=2)
    message, sender = made.rows["message"], made.rows["sender"]

    assert made.senders == ("writer", "reader-0", "reader-1")
    assert set(sender[message == WRITE].tolist()) == {0}
    reads = sender[message == READ].tolist()
    assert reads == [1 + i % 2 for i in range(len(reads))]


def test_no_process_is_started_that_would_have_nothing_to_send() -> None:
    assert plan(senders=5, count=2).senders == ("sender-0", "sender-1")


def test_the_senders_rows_are_the_plan_dealt_out() -> None:
    made = plan(MIX, 100, senders=2, readers=3)

    dealt = [row for index in range(len(made.senders)) for row in made.of_sender(index)]

    assert sorted(dealt) == made.rows.tolist()
