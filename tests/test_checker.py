"""Every account of the checker in isolation, on histories built by hand, and on generated ones with known answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

import pytest
from build import Book
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.exchange.schema import Verb
from sandbox.harness import checker
from sandbox.harness.checker import Accounts, State, account, all_delivered, judge, pacer_lateness

TWO = ("metering", "audit")
PAIRS = ("delivered", "lost", "duplicated", "unexpected", "recovered", "contradicted", "reordered")

# name: (the book, the accounts of its verb that are not 0)
CASES: dict[str, tuple[Callable[[], Book], dict[str, int]]] = {
    "all as it should be": (
        lambda: Book("TTT").well(),
        {"intended": 3, "ok": 3, "attempted": 3, "acknowledged": 3, "delivered": 3},
    ),
    "nothing happened at all": (lambda: Book("TT"), {"intended": 2, "unattempted": 2}),
    "never attempted": (
        lambda: Book("TT").well(1),
        {"intended": 2, "ok": 1, "unattempted": 1, "attempted": 1, "acknowledged": 1, "delivered": 1},
    ),
    "attempted without an outcome": (lambda: Book("T").sent(1), {"intended": 1, "info": 1, "attempted": 1}),
    "reported unknown and not delivered": (
        lambda: Book("T").sent(1).unknown(1),
        {"intended": 1, "info": 1, "attempted": 1},
    ),
    "failed and not delivered": (lambda: Book("T").sent(1).failed(1), {"intended": 1, "fail": 1, "attempted": 1}),
    "acknowledged and lost": (
        lambda: Book("T").sent(1).accepted(1),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "lost": 1},
    ),
    "work begun and never done is lost": (
        lambda: Book("T").sent(1).accepted(1).began_to_work(1),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "lost": 1},
    ),
    "delivered twice": (
        lambda: Book("T").well().worked(1, at=5, attempt=2),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "delivered": 1, "duplicated": 1},
    ),
    "delivered four times": (
        lambda: Book("T").well().worked(1, at=5).worked(1, at=6).worked(1, at=7),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "delivered": 1, "duplicated": 3},
    ),
    "delivered twice, once by each of two competitors": (
        lambda: Book("T", receivers=2).well().worked(1, by="metering-1", at=5, attempt=2),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "delivered": 1, "duplicated": 1},
    ),
    "a duplicate does not hide a loss": (
        lambda: Book("TT").well(1).worked(1, at=5).sent(2).accepted(2),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 1, "duplicated": 1, "lost": 1},
    ),
    "delivered before its acknowledgement is neither lost nor twice": (
        lambda: Book("T").sent(1).worked(1, at=0.1, took=0.1).accepted(1, at=3),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "delivered": 1},
    ),
    "delivered long after its acknowledgement": (
        lambda: Book("T").sent(1).accepted(1).worked(1, at=9000),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "delivered": 1},
    ),
    "recovered: no outcome, yet delivered": (
        lambda: Book("T").sent(1).worked(1),
        {"intended": 1, "info": 1, "attempted": 1, "delivered": 1, "recovered": 1},
    ),
    "recovered: unknown, yet delivered": (
        lambda: Book("T").sent(1).unknown(1).worked(1, at=4),
        {"intended": 1, "info": 1, "attempted": 1, "delivered": 1, "recovered": 1},
    ),
    "contradicted: it certainly failed, and was delivered": (
        lambda: Book("T").sent(1).failed(1).worked(1),
        {"intended": 1, "fail": 1, "attempted": 1, "delivered": 1, "recovered": 1, "contradicted": 1},
    ),
    "unexpected: planned, not attempted, delivered": (
        lambda: Book("T").worked(1),
        {"intended": 1, "unattempted": 1, "delivered": 1, "recovered": 1, "unexpected": 1},
    ),
    "unexpected: in no plan": (
        lambda: Book("T").well().worked(77),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "delivered": 1, "unexpected": 1},
    ),
    "unexpected: in no plan, with ids that no plan can have": (
        lambda: Book("T").well().worked(0).worked(-5).worked(2**62),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "delivered": 1, "unexpected": 3},
    ),
    "reordered: the second overtook the first": (
        lambda: Book("TT").sent(1).sent(2).accepted(1).accepted(2).worked(2, at=2).worked(1, at=3),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 2, "reordered": 1},
    ),
    "reordered: one laggard behind three others": (
        lambda: Book("TTTT").well(2, 3, 4).sent(1).accepted(1).worked(1, at=8),
        {"intended": 4, "ok": 4, "attempted": 4, "acknowledged": 4, "delivered": 4, "reordered": 1},
    ),
    "reordered: of each of two senders one": (
        lambda: (
            Book("TTTT", senders=2).well(3, 4).sent(1).accepted(1).worked(1, at=8).sent(2).accepted(2).worked(2, at=9)
        ),
        {"intended": 4, "ok": 4, "attempted": 4, "acknowledged": 4, "delivered": 4, "reordered": 2},
    ),
    "reordered: of one of two senders": (
        lambda: Book("TTT", senders=2).well(3).sent(1).accepted(1).worked(1, at=8).sent(2).accepted(2).worked(2, at=9),
        {"intended": 3, "ok": 3, "attempted": 3, "acknowledged": 3, "delivered": 3, "reordered": 1},
    ),
    "not reordered: competitors each see their own in order": (
        lambda: (
            Book("TT", receivers=2).sent(1).sent(2).accepted(1).accepted(2).worked(2, at=2).worked(1, "metering-1", 3)
        ),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 2},
    ),
    "not reordered: they come from different senders": (
        lambda: Book("TT", senders=2).sent(1).sent(2).accepted(1).accepted(2).worked(2, at=2).worked(1, at=3),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 2},
    ),
    "not reordered: only its second delivery came late": (
        lambda: Book("TT").well().worked(1, at=8, attempt=2),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 2, "duplicated": 1},
    ),
    "not reordered: a second delivery that does not know it is one": (
        lambda: Book("TT").well().worked(1, at=8, attempt=1),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 2, "duplicated": 1},
    ),
    "not reordered: a second delivery whose first one nobody has seen": (
        lambda: Book("TT").well(2).sent(1).accepted(1).worked(1, at=8, attempt=2),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 2},
    ),
    "not reordered: given back by a receiver that died, to one that was further": (
        lambda: Book("TT", receivers=2).well(2).sent(1).accepted(1).began_to_work(1, "metering-1").worked(1, at=8),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 2},
    ),
    "two groups: each has its own copy": (
        lambda: Book("TT", groups=TWO).well(),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 4, "delivered": 4},
    ),
    "two groups: one of them lost it": (
        lambda: Book("T", groups=TWO).sent(1).accepted(1).worked(1, by="audit-0"),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 2, "delivered": 1, "lost": 1},
    ),
    "two groups: twice in one does not make up for none in the other": (
        lambda: Book("T", groups=TWO).sent(1).accepted(1).worked(1, by="audit-0").worked(1, by="audit-0", at=5),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 2, "delivered": 1, "lost": 1, "duplicated": 1},
    ),
    "two groups: reordered in one": (
        lambda: (
            Book("TT", groups=TWO)
            .sent(1)
            .sent(2)
            .accepted(1)
            .accepted(2)
            .worked(2, "audit-0", 2)
            .worked(1, "audit-0", 3)
            .worked(1, "metering-0", 2)
            .worked(2, "metering-0", 3)
        ),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 4, "delivered": 4, "reordered": 1},
    ),
    "two groups: recovered in one": (
        lambda: Book("T", groups=TWO).sent(1).worked(1, by="metering-0"),
        {"intended": 1, "info": 1, "attempted": 1, "delivered": 1, "recovered": 1},
    ),
    "ask: answered": (
        lambda: Book("A").well(),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "delivered": 1},
    ),
    "ask: accepted and done, but never answered": (
        lambda: Book("A").sent(1).accepted(1).worked(1),
        {"intended": 1, "info": 1, "attempted": 1, "acknowledged": 1, "delivered": 1},
    ),
    "ask: accepted, then lost": (
        lambda: Book("A").sent(1).accepted(1),
        {"intended": 1, "info": 1, "attempted": 1, "acknowledged": 1, "lost": 1},
    ),
    "ask: answered though nobody did it": (
        lambda: Book("A").sent(1).answered(1),
        {"intended": 1, "ok": 1, "attempted": 1, "acknowledged": 1, "lost": 1},
    ),
    "share through an owner": (
        lambda: Book("WR").well(),
        {"intended": 2, "ok": 2, "attempted": 2, "acknowledged": 2, "delivered": 2},
    ),
    "share: a read that was accepted and not answered is indeterminate": (
        lambda: Book("R").sent(1).accepted(1),
        {"intended": 1, "info": 1, "attempted": 1, "acknowledged": 1, "lost": 1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_accounts_are_known(name: str) -> None:
    make, expected = CASES[name]

    found = account((history := make().history()), next(iter(history.workload.weights)))

    assert {key: value for key, value in asdict(found).items() if value} == expected
    assert found.conserved


def test_state_that_is_shared_directly_has_no_deliveries_to_count() -> None:
    found = account(Book("WR", owner=False).well().history(), Verb.SHARE)

    assert (found.ok, found.acknowledged) == (2, 2)
    assert all(getattr(found, name) is None for name in PAIRS)


def test_in_a_mix_each_verb_has_accounts_of_its_own() -> None:
    history = Book("TAT").well(1, 2).sent(3).accepted(3).history()

    tell, ask = account(history, Verb.TELL), account(history, Verb.ASK)

    assert (tell.intended, tell.lost, tell.delivered) == (2, 1, 1)
    assert (ask.intended, ask.lost, ask.delivered) == (1, 0, 1)


def test_the_warm_up_is_accounted_for_like_everything_else() -> None:
    book = Book("TT").well(1).sent(2).accepted(2)
    book.rows["warm"] = 1

    found = account(book.history(), Verb.TELL)

    assert (found.intended, found.ok, found.delivered, found.lost) == (2, 2, 1, 1)


def test_an_effect_in_a_group_that_it_was_not_meant_for_is_unexpected() -> None:
    history = Book("TA").well().worked(2, by="metering-0", at=5).history()

    assert account(history, Verb.TELL).unexpected == 1
    assert account(history, Verb.ASK).unexpected == 0


def test_accounts_that_do_not_add_up_are_not_conserved() -> None:
    found = account(Book("TT").well().history(), Verb.TELL)

    assert not Accounts(**{**asdict(found), "info": 1}).conserved


# --- generated histories ------------------------------------------------------------------------

FATES = ("unattempted", "silent", "ok", "fail", "unknown")
operation_fates = st.tuples(st.sampled_from(FATES), st.integers(0, 3), st.integers(0, 3), st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.lists(operation_fates, min_size=1, max_size=30), st.lists(st.integers(40, 99), max_size=4))
def test_any_history_is_counted_as_one_would_by_hand(
    fates: list[tuple[str, int, int, bool]], strangers: list[int]
) -> None:
    # Given a history of two groups in which everything may happen to every operation
    book = Book("T" * len(fates), groups=TWO, receivers=2)
    expected: Counter[str] = Counter()
    for number, (fate, metering, audit, early) in enumerate(fates, start=1):
        told = _send(book, number, fate, 200.0 if early else 0.3)
        expected[{"ok": "ok", "fail": "fail", "unattempted": "unattempted"}.get(fate, "info")] += 1
        for group, times in (("metering", metering), ("audit", audit)):
            for time in range(times):
                book.worked(number, by=f"{group}-{time % 2}", at=number + 50.0 + time, attempt=time + 1)
            expected["delivered"] += times > 0
            expected["lost"] += told and not times
            expected["duplicated"] += max(0, times - 1)
            expected["recovered"] += bool(times and not told)
            expected["contradicted"] += bool(times and fate == "fail")
            expected["unexpected"] += times if fate == "unattempted" else 0
            expected["acknowledged"] += told
    for stranger in strangers:
        book.worked(stranger)
    expected["unexpected"] += len(strangers)

    # When it is counted
    found = account((history := book.history()), Verb.TELL)

    # Then it is as was counted while it was made
    for name in ("ok", "fail", "info", "unattempted", "acknowledged", *PAIRS):
        assert getattr(found, name) == expected[name], name
    assert found.conserved and found.intended == len(fates)
    open_ones = expected["lost"] or any(
        fate in ("silent", "unknown") and not (metering and audit) for fate, metering, audit, _ in fates
    )
    assert all_delivered(history) == (not open_ones)


def _send(book: Book, number: int, fate: str, told_after: float) -> bool:
    if fate == "unattempted":
        return False
    book.sent(number)
    at = number - 1 + told_after
    if fate == "ok":
        book.accepted(number, at=at)
    elif fate == "fail":
        book.failed(number, at=at)
    elif fate == "unknown":
        book.unknown(number, at=at)
    return fate == "ok"


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(1, 9)))
def test_reordered_counts_those_that_come_after_a_later_one(order: list[int]) -> None:
    book = Book("T" * 8)
    for number in range(1, 9):
        book.sent(number).accepted(number)
    for place, number in enumerate(order):
        book.worked(number, at=20.0 + place)

    behind = sum(any(other > number for other in order[:place]) for place, number in enumerate(order))

    assert account(book.history(), Verb.TELL).reordered == behind


# --- drained or not -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("book", "drained"),
    [
        (Book("TT").well(), True),
        (Book("TT").well(1), True),  # what was never attempted is not waited for
        (Book("TT").well(1).sent(2).failed(2), True),  # nor is what certainly failed
        (Book("TT").well(1).sent(2).accepted(2), False),
        (Book("TT").well(1).sent(2), False),  # it may be on its way
        (Book("T", groups=TWO).sent(1).accepted(1).worked(1, by="audit-0"), False),
        (Book("W", owner=False).sent(1).accepted(1), True),
    ],
)
def test_drained_means_that_nothing_is_left_to_wait_for(book: Book, drained: bool) -> None:
    assert all_delivered(book.history()) is drained


# --- the verdict --------------------------------------------------------------------------------


def test_a_run_as_it_should_be_is_valid() -> None:
    assert judge(Book("TTTA").well().history()).state is State.VALID


def test_losses_duplicates_and_the_unknown_are_findings_of_a_valid_run() -> None:
    book = Book("TTTT").well(1).worked(1, at=5).sent(2).accepted(2).sent(3).unknown(3).sent(4).failed(4).worked(4)

    assert judge(book.history()).state is State.VALID


def test_operations_that_were_not_offered_leave_it_unknown() -> None:
    verdict = judge(Book("TT").well(1).history())

    assert verdict.state is State.UNKNOWN
    assert verdict.reasons == ("1 operations of the plan were not offered",)


def test_a_note_of_the_run_leaves_it_unknown_and_is_the_reason() -> None:
    verdict = judge(Book("T").well().history("metering-0 died during the run"))

    assert (verdict.state, verdict.reasons) == (State.UNKNOWN, ("metering-0 died during the run",))


def test_accounts_that_do_not_add_up_make_it_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "account", lambda *_: Accounts(2, 1, *[0] * 12))

    verdict = judge(Book("TT").well().history())

    assert verdict.state is State.INVALID
    assert verdict.reasons == ("tell: 2 intended are not ok + fail + info + unattempted",)


@pytest.mark.parametrize("gap", [2.0, -2.0, 0.6])
def test_a_clock_that_jumped_leaves_it_unknown(gap: float) -> None:
    verdict = judge(Book("T").well().history(clock_gap=gap))

    assert verdict.state is State.UNKNOWN
    assert "clock jumped" in verdict.reasons[0]


@pytest.mark.parametrize("gap", [0.01, 0.5, -0.5])
def test_a_clock_that_was_gently_adjusted_does_not(gap: float) -> None:
    assert judge(Book("T").well().history(clock_gap=gap)).state is State.VALID


def late_by(ms: float, idle: int, first_took: float = 0.01) -> Book:
    """A hundred tells, one every ms, of which the 50th is begun late; those behind it follow at once."""
    book = Book("T" * 100)
    for number in range(1, 101):
        due = number - 1.0
        at = max(due, 49 + ms) if number >= 50 else due
        book.sent(number, at=at, idle=idle if number == 50 else int(at == due))
        book.accepted(number, at=at + 0.01).worked(number, at=at + 0.01, took=first_took if number == 1 else 0.01)
    return book


def test_a_pacer_that_overslept_leaves_it_unknown() -> None:
    verdict = judge(late_by(20, idle=1).history())

    assert verdict.state is State.UNKNOWN
    assert "the pacer itself was late by 10.1" in verdict.reasons[0]


def test_a_sender_that_its_channel_kept_is_not_a_late_pacer() -> None:
    assert judge(late_by(20, idle=0).history()).state is State.VALID


def test_a_late_pacer_is_to_blame_for_all_that_fell_due_while_it_was_late() -> None:
    late, _ = pacer_lateness(late_by(40, idle=1).history())

    # Then 40 of 100 were late, by 40, 39, 38 ... ms: ten of them lie beyond the p90, the highest that 100 can carry
    assert late == pytest.approx(30.1e6, rel=0.03)


def test_a_hiccup_that_moves_no_percentile_which_is_quoted_is_allowed() -> None:
    assert judge(late_by(5, idle=1).history()).state is State.VALID


def test_a_lateness_below_a_millisecond_is_allowed() -> None:
    assert judge(late_by(0.9, idle=1).history()).state is State.VALID


def test_a_lateness_below_a_quarter_of_the_slowest_responses_is_allowed() -> None:
    quick, slow = late_by(16, idle=1), Book("T" * 100)
    for number in range(1, 101):
        at = max(number - 1.0, 65.0) if number >= 50 else number - 1.0
        slow.sent(number, at=at).accepted(number, at=at + 0.1).worked(number, at=at + 50, took=0.1)

    assert judge(quick.history()).state is State.UNKNOWN
    assert judge(slow.history()).state is State.VALID


def test_one_slow_response_does_not_excuse_a_late_pacer() -> None:
    assert judge(late_by(20, idle=1, first_took=1000).history()).state is State.UNKNOWN


def test_what_a_late_pacer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "pacer_lateness", lambda _: (50e9, 40e9))

    assert judge(Book("T").well().history()).reasons == (
        "the pacer itself was late by 50000.00 ms at the highest percentile that can be quoted, "
        "where 40000.00 ms is allowed; the machine was busy with something else",
    )


def test_a_pacer_that_is_as_late_as_is_allowed_is_not_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "pacer_lateness", lambda _: (1e6, 1e6))

    assert judge(Book("T").well().history()).state is State.VALID


@pytest.mark.parametrize(
    ("book", "lateness"),
    [
        (Book("T").well(), (0, 1e6)),  # a millisecond is always allowed
        (Book("T").sent(1), (0, 1e6)),  # also where nothing ever arrived
        (Book("T"), (0, 1)),
        (Book("T", loop="closed").sent(1, at=9), (0, 1)),
    ],
    ids=["in time", "no response at all", "nothing begun", "closed loop"],
)
def test_a_pacer_that_is_in_time_is_not_late_at_all(book: Book, lateness: tuple[float, float]) -> None:
    assert pacer_lateness(book.history()) == lateness


def test_in_a_closed_loop_no_pacer_can_be_late() -> None:
    book = Book("TT", loop="closed").sent(1, at=500).accepted(1, at=501).worked(1, at=501)
    book.sent(2, at=900).accepted(2, at=901).worked(2, at=901)

    assert judge(book.history()).state is State.VALID


@pytest.mark.parametrize(
    "book",
    [
        Book("T").sent(1, at=5).accepted(1, at=6).worked(1, at=4, took=0.5),
        Book("T").sent(1, at=5).accepted(1, at=4).worked(1, at=6),
        Book("A").sent(1, at=5).answered(1, at=4).worked(1, at=6),
        Book("T").sent(1, at=5).failed(1, at=4),
        Book("T").sent(1, at=5).unknown(1, at=4),
        Book("T").accepted(1),
    ],
    ids=["an effect", "an acceptance", "an answer", "a failure", "a giving up", "no intent at all"],
)
def test_what_stands_before_its_intent_makes_the_records_invalid(book: Book) -> None:
    verdict = judge(book.history())

    assert verdict.state is State.INVALID
    assert "before the intent" in verdict.reasons[0]


def test_what_happens_at_the_moment_of_its_intent_is_not_before_it() -> None:
    book = Book("T").sent(1).accepted(1, at=0).worked(1, at=0, took=0)

    assert judge(book.history()).state is State.VALID


def test_invalid_outweighs_unknown() -> None:
    assert judge(Book("TT").accepted(1).history("a note")).state is State.INVALID
