"""The business as the oracle: bills, volumes and quotas, states, on histories built by hand and generated ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any, NamedTuple

import pytest
from build import MS, Book
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.exchange.oracles import bill, states, volumes
from sandbox.harness.journal import MISMATCHED, REFUSALS, Event
from sandbox.harness.plan import STATES
from sandbox.harness.result import Result

OVER, NO_SUCH, REMOTE = REFUSALS["OverQuota"], REFUSALS["NoSuchVolume"], REFUSALS["RemoteError"]


def amounts(book: Book, group: str = "metering") -> dict[str, int]:
    """What of the bill is not 0."""
    found = asdict(bill(book.history(), group))
    return {name: value for name, value in found.items() if value and name != "group"}


# --- the bill (operation i bills 1000 + i bytes to project i % 3) ---------------------------------


def test_a_bill_as_it_was_meant() -> None:
    book = Book("TT").well()

    assert amounts(book) == {"meant": 2003, "billed": 2003}
    assert bill(book.history(), "metering").right


def test_a_lost_download_is_unbilled() -> None:
    book = Book("TT").well(1).sent(2).accepted(2)

    assert amounts(book) == {"meant": 2003, "billed": 1001, "unbilled": 1002, "wrong_projects": 1}
    assert not bill(book.history(), "metering").right


def test_a_download_that_nobody_acknowledged_and_nobody_billed_is_not_meant() -> None:
    assert amounts(Book("TT").well(1).sent(2)) == {"meant": 1001, "billed": 1001}


def test_a_download_that_was_billed_though_never_acknowledged_is_meant() -> None:
    book = Book("T").sent(1).worked(1)

    assert amounts(book) == {"meant": 1001, "billed": 1001}
    assert bill(book.history(), "metering").right


def test_a_duplicate_is_a_double_bill() -> None:
    book = Book("T").well().worked(1, at=5).worked(1, at=6)

    assert amounts(book) == {"meant": 1001, "billed": 3003, "doubled": 2002, "wrong_projects": 1}


def test_a_duplicate_and_a_loss_of_the_same_amount_do_not_make_a_right_bill() -> None:
    # Given two downloads of the same size for the same project, one billed twice and one never
    book = Book("TT")
    book.rows["value"], book.rows["project"] = 500, 1
    book.well(1).worked(1, at=5).sent(2).accepted(2)

    found = bill(book.history(), "metering")

    assert (found.meant, found.billed, found.unbilled, found.doubled) == (1000, 1000, 500, 500)
    assert found.wrong_projects == 0
    assert not found.right


def test_what_cancels_out_is_told_although_no_sum_is_wrong() -> None:
    # Given the same two downloads
    book = Book("TT")
    book.rows["value"], book.rows["project"] = 500, 1
    book.well(1).worked(1, at=5).sent(2).accepted(2)

    found = Result(book.history()).findings

    assert "metering: 500 bytes never billed; no sum is wrong, by luck." in found
    assert "metering: 500 bytes billed twice; no sum is wrong, by luck." in found


def test_a_wrong_sum_is_told_with_the_number_of_bills() -> None:
    found = Result(Book("T").well().worked(1, at=5).history()).findings

    assert "metering: 1,001 bytes billed twice; 1 bill wrong." in found


def test_bytes_taken_for_mebibytes_are_a_bill_wrong_by_that_factor() -> None:
    book = Book("T").sent(1).accepted(1).worked(1, value=1001 * 1_048_576)

    assert amounts(book) == {
        "meant": 1001,
        "billed": 1001 * 1_048_576,
        "wrong": 1001 * 1_048_575,
        "wrong_projects": 1,
    }


def test_the_right_amount_for_the_wrong_project_makes_two_bills_wrong() -> None:
    book = Book("T").sent(1).accepted(1).worked(1, detail=2)

    assert amounts(book) == {"meant": 1001, "billed": 1001, "wrong": 1001, "wrong_projects": 2}
    assert not bill(book.history(), "metering").right


def test_two_downloads_of_one_amount_on_each_others_bills_cancel_out_in_no_bill_that_is_right() -> None:
    book = Book("TT")
    book.rows["value"] = 500
    book.sent(1).accepted(1).worked(1, detail=2).sent(2).accepted(2).worked(2, detail=1)

    assert amounts(book) == {"meant": 1000, "billed": 1000, "wrong": 1000}
    assert not bill(book.history(), "metering").right


@pytest.mark.parametrize(("billed", "wrong"), [(400, 1001), (1001, 1001), (9000, 9000), (0, 1001)])
def test_on_another_projects_bill_the_larger_of_the_two_amounts_is_wrong(billed: int, wrong: int) -> None:
    book = Book("T").sent(1).accepted(1).worked(1, value=billed, detail=2)

    assert bill(book.history(), "metering").wrong == wrong


def test_a_bill_from_nowhere_does_not_make_up_for_one_of_nothing_to_another_project() -> None:
    # Given a download of which 0 bytes are billed to another project, and a bill of its size that is in no plan
    book = Book("T").sent(1).accepted(1).worked(1, value=0, detail=2).worked(99, value=1001, detail=1)

    assert amounts(book) == {"meant": 1001, "billed": 1001, "wrong": 1001}
    assert not bill(book.history(), "metering").right


def test_a_second_billing_to_another_project_is_doubled_and_wrong() -> None:
    book = Book("T").well().worked(1, at=5, detail=2)

    assert amounts(book) == {"meant": 1001, "billed": 2002, "doubled": 1001, "wrong": 1001, "wrong_projects": 1}


@pytest.mark.parametrize(("billed", "wrong"), [(1002, 1), (1000, 1), (400, 601)])
def test_on_the_right_projects_bill_only_the_difference_is_wrong(billed: int, wrong: int) -> None:
    book = Book("T").sent(1).accepted(1).worked(1, value=billed)

    assert amounts(book) == {"meant": 1001, "billed": billed, "wrong": wrong, "wrong_projects": 1}


def test_a_bill_for_a_download_that_is_in_no_plan_is_on_the_bill_and_wrong() -> None:
    book = Book("T").well().worked(99, value=7)

    assert amounts(book) == {"meant": 1001, "billed": 1008, "wrong_projects": 1}


def test_every_group_has_its_own_bill() -> None:
    book = Book("T", groups=("metering", "audit")).sent(1).accepted(1).worked(1, by="audit-0")

    assert amounts(book, "audit") == {"meant": 1001, "billed": 1001}
    assert amounts(book, "metering") == {"meant": 1001, "unbilled": 1001, "wrong_projects": 1}


def test_a_wrong_bill_of_one_group_is_not_that_of_another() -> None:
    book = Book("T", groups=("metering", "audit")).sent(1).accepted(1).worked(1, by="metering-0")
    book.worked(1, by="audit-0", value=1)

    assert amounts(book, "metering") == {"meant": 1001, "billed": 1001}
    assert amounts(book, "audit") == {"meant": 1001, "billed": 1, "wrong": 1000, "wrong_projects": 1}
    assert bill(book.history(), "audit").group == "audit"


def test_a_bill_over_nothing_is_as_good_as_none() -> None:
    # Given an effect of no bytes for a project that nothing was meant for, and a lost download of no bytes
    book = Book("TT").well(1).worked(99, value=0, detail=7).sent(2).accepted(2)
    book.rows["value"][1] = 0

    assert amounts(book) == {"meant": 1001, "billed": 1001}


def test_a_bill_that_is_wrong_by_a_single_byte_is_wrong() -> None:
    too_much = Book("T").well().worked(99, value=1, detail=7)
    too_little = Book("T").sent(1).accepted(1)
    too_little.rows["value"] = 1

    assert amounts(too_much) == {"meant": 1001, "billed": 1002, "wrong_projects": 1}
    assert amounts(too_little) == {"meant": 1, "unbilled": 1, "wrong_projects": 1}


def test_a_single_byte_is_seen_on_a_bill_of_an_exbibyte() -> None:
    book = Book("T")
    book.rows["value"] = 2**60
    book.well().worked(99, value=1, detail=1)

    assert amounts(book) == {"meant": 2**60, "billed": 2**60 + 1, "wrong_projects": 1}


def test_volumes_are_not_on_the_bill() -> None:
    assert amounts(Book("TA").well()) == {"meant": 1001, "billed": 1001}


# --- volumes and quotas ------------------------------------------------------------------------


def asks(count: int, gb: int, quota: int = 100) -> Book:
    """Asks of one project, all for the same size."""
    book = Book("A" * count, quota_gb=quota)
    book.rows["value"], book.rows["project"] = gb, 1
    return book


def books(book: Book) -> dict[str, int]:
    """What of the volume service's books is not 0."""
    return {name: value for name, value in asdict(volumes(book.history())).items() if value}


def test_volumes_within_the_quota() -> None:
    book = asks(2, 50).well()

    assert books(book) == {"created": 2}
    assert volumes(book.history()).right


def test_a_rightful_refusal_is_counted_and_right() -> None:
    book = asks(2, 60).well(1).sent(2).worked(2, value=0, status=OVER).answered(2, status=OVER)

    assert books(book) == {"created": 1, "refused": 1}
    assert volumes(book.history()).right


def test_more_granted_than_the_quota_allows() -> None:
    book = asks(2, 60).well()

    assert books(book) == {"created": 2, "over_quota": 1}
    assert not volumes(book.history()).right


def test_a_refusal_of_what_would_have_fitted() -> None:
    book = asks(2, 50).well(1).sent(2).worked(2, value=0, status=OVER).answered(2, status=OVER)

    assert books(book) == {"created": 1, "refused": 1, "wrongly_refused": 1}
    assert not volumes(book.history()).right


def test_each_request_is_held_against_its_own_size() -> None:
    # Given requests for 88, 2 and 20 GB, of which the last does not fit into what is left of 100
    book = asks(3, 10)
    book.rows["value"] = 88, 2, 20
    book.well(1, 2).sent(3).worked(3, value=0, status=OVER).answered(3, status=OVER)

    assert books(book) == {"created": 2, "refused": 1}
    assert volumes(book.history()).right


@pytest.mark.parametrize(("gb", "wrongly"), [(100, 1), (101, 0)])
def test_a_refusal_of_a_project_that_has_nothing_yet(gb: int, wrongly: int) -> None:
    book = asks(1, gb).sent(1).worked(1, value=0, status=OVER).answered(1, status=OVER)

    assert volumes(book.history()).wrongly_refused == wrongly


def test_only_the_volume_service_creates_volumes() -> None:
    book = Book("TA", quota_gb=10**6).well().worked(2, by="metering-0", at=5)

    assert books(book) == {"created": 1}


def test_one_request_that_created_two_volumes() -> None:
    book = asks(2, 10).well().worked(1, at=9, attempt=2)

    assert books(book) == {"created": 3, "created_twice": 1}
    assert not volumes(book.history()).right


@pytest.mark.parametrize("effect", [{"value": 10 * 1024}, {"detail": 2}], ids=["another size", "another project"])
def test_a_volume_that_was_not_what_was_asked_for(effect: dict[str, int]) -> None:
    book = asks(1, 10, quota=10**6).sent(1).accepted(1).worked(1, **effect).answered(1)

    assert books(book) == {"created": 1, "wrong": 1}
    assert not volumes(book.history()).right


def test_an_answer_to_another_question() -> None:
    book = asks(2, 10).well(1).sent(2).worked(2).answered(2, status=MISMATCHED)

    assert books(book) == {"created": 2, "mismatched": 1}
    assert not volumes(book.history()).right


def test_an_answer_that_nobody_has_given() -> None:
    book = asks(1, 10).sent(1).answered(1)

    assert books(book) == {"unfounded": 1}
    assert not volumes(book.history()).right


def test_an_answer_over_quota_for_a_volume_that_was_created() -> None:
    book = asks(1, 10).sent(1).worked(1).answered(1, status=OVER)

    assert books(book) == {"created": 1, "denied": 1}
    assert not volumes(book.history()).right


def test_answers_to_operations_that_were_never_planned_do_no_harm() -> None:
    book = asks(1, 10).well()
    book.event(0, Event.ANSWERED, 10**12, 5.0)

    assert books(book) == {"created": 1}


# --- states (writes of volume 1, versions 1, 2, ...; read in between) -----------------------------


def test_reads_of_the_latest_state_are_not_stale() -> None:
    book = Book("WRWR").well(1, 3).sent(2).answered(2, value=1, detail=1).sent(4).answered(4, value=2, detail=2)

    found = states(book.history())

    assert (found.reads, found.stale, found.versions, found.staleness, found.behind) == (2, 0, 0, (), ())
    assert found.right


def test_how_stale_a_read_was_in_versions_and_in_time() -> None:
    # Given versions 1, 2, 3 accepted at 0.1, 1.1 and 2.1 ms, and a read at 7 ms that still sees version 1
    book = Book("WWWR").well(1, 2, 3)
    book.sent(4, at=7).answered(4, at=8, value=1, detail=1)

    found = states(book.history())

    # Then it is two versions behind, and version 2 had been accepted for 5.9 ms when it began
    assert (found.stale, found.versions, found.behind) == (1, 2, (2,))
    assert found.staleness == (round(5.9 * MS),)
    assert found.right  # staleness is a property, not an error


def test_every_stale_read_says_how_many_versions_and_how_long_it_was_behind_in_the_order_of_the_answers() -> None:
    # Given versions 1, 2, 3 accepted at 0.1, 1.1 and 2.1 ms; reads of 2 and 3 go out before that of 1, which is
    # answered first
    book = Book("WWWRRR", readers=3).well(1, 2, 3)
    book.sent(4, at=7).answered(4, at=12, value=2, detail=2)
    book.sent(5, at=8).answered(5, at=11, value=3, detail=3)
    book.sent(6, at=9).answered(6, at=10, value=1, detail=1)

    found = states(book.history())

    # Then the one that is up to date is in neither list
    assert (found.reads, found.stale, found.versions) == (3, 2, 2)
    assert found.behind == (2, 1)
    assert found.staleness == (round(7.9 * MS), round(4.9 * MS))


def test_a_version_that_was_never_accepted_or_only_after_the_read_began_puts_nobody_behind() -> None:
    # Given versions 1 to 5, of which 2 is never accepted and 5 only while version 1 is being read
    book = Book("WWWWWR").well(1, 3, 4).sent(2).sent(5, at=6).accepted(5, at=8)
    book.sent(6, at=7).answered(6, at=9, value=1, detail=1)

    assert states(book.history()).behind == (2,)


def test_who_is_told_that_there_is_no_state_is_behind_by_every_version() -> None:
    book = Book("WWWR").well(1, 2, 3).sent(4, at=7).answered(4, at=8, status=NO_SUCH)

    found = states(book.history())

    assert (found.versions, found.behind) == (3, (3,))


def test_a_write_that_was_accepted_only_after_the_read_began_makes_nothing_stale() -> None:
    book = Book("WWR").well(1).sent(2, at=1).accepted(2, at=5).sent(3, at=4).answered(3, at=6, value=1, detail=1)

    assert states(book.history()).stale == 0


def test_a_volume_that_has_no_state_yet_reads_as_version_nought() -> None:
    early = Book("RW").sent(1).answered(1, status=NO_SUCH).well(2)
    late = Book("WR").well(1).sent(2).answered(2, status=NO_SUCH)

    assert (states(early.history()).reads, states(early.history()).stale) == (1, 0)
    assert (states(late.history()).reads, states(late.history()).stale) == (1, 1)
    assert states(early.history()).right


def test_an_error_instead_of_a_state_is_not_a_read() -> None:
    book = Book("WRR").well(1).sent(2).answered(2, value=1, detail=1).sent(3).answered(3, status=REMOTE)

    found = states(book.history())

    assert (found.reads, found.backwards, found.stale) == (1, 0, 0)


def test_a_reader_that_goes_back_to_an_older_state() -> None:
    book = Book("WWRR").well(1, 2).sent(3).answered(3, value=2, detail=2).sent(4).answered(4, value=1, detail=1)

    found = states(book.history())

    assert found.backwards == 1
    assert not found.right


def test_two_readers_may_see_different_versions() -> None:
    book = (
        Book("WWRR", readers=2).well(1, 2).sent(3).answered(3, value=2, detail=2).sent(4).answered(4, value=1, detail=1)
    )

    assert states(book.history()).backwards == 0


def test_reads_that_overlap_have_no_order() -> None:
    book = Book("WWRR").well(1, 2).sent(3, at=2).sent(4, at=3)
    book.answered(4, at=5, value=2, detail=2).answered(3, at=6, value=1, detail=1)

    assert states(book.history()).backwards == 0


@pytest.mark.parametrize(
    ("version", "state"), [(9, 1), (2, 2), (1, 5)], ids=["never written", "not begun yet", "of another version"]
)
def test_a_state_that_cannot_be(version: int, state: int) -> None:
    book = Book("WRW").well(1).sent(2, at=1).answered(2, at=1.5, value=version, detail=state).well(3)

    found = states(book.history())

    assert found.impossible == 1
    assert not found.right


def test_a_version_that_is_being_written_may_be_read() -> None:
    book = Book("WR").sent(1, at=0).sent(2, at=1).answered(2, at=2, value=1, detail=1).accepted(1, at=3)

    assert states(book.history()).impossible == 0


def test_the_state_of_another_volume() -> None:
    book = Book("WR").well(1).sent(2).answered(2, value=1, detail=1, status=MISMATCHED)

    found = states(book.history())

    assert found.mismatched == 1
    assert not found.right


def test_each_impossible_state_counts() -> None:
    book = Book("WRRR").well(1).sent(2).answered(2, value=9, detail=1).sent(3).answered(3, value=9, detail=1)
    book.sent(4).answered(4, value=9, detail=1)

    assert states(book.history()).impossible == 3


def test_a_state_that_no_volume_can_have_is_impossible_even_if_it_was_written() -> None:
    book = Book("WR")
    book.rows["state"][0] = len(STATES)

    assert states(book.well(1).sent(2).answered(2, value=1, detail=len(STATES)).history()).impossible == 1


def test_a_version_may_be_read_at_the_moment_when_it_is_begun_and_counts_only_after_that_of_its_acceptance() -> None:
    at_once = Book("WR").sent(1, at=2).accepted(1, at=3).sent(2, at=1).answered(2, at=2, value=1, detail=1)
    just_then = Book("WWR").well(1).sent(2, at=1).accepted(2, at=4).sent(3, at=4).answered(3, at=5, value=1, detail=1)

    assert states(at_once.history()).impossible == 0
    assert states(just_then.history()).stale == 0


def test_each_volume_has_versions_of_its_own() -> None:
    # Given a version 1 of volume 2, and versions 1 and 2 of volume 1
    book = Book("WWWRR")
    book.rows["subject"] = 2, 1, 1, 2, 1
    book.rows["value"] = 1, 1, 2, 0, 0
    book.well(1, 2, 3).sent(4).answered(4, value=1, detail=1).sent(5).answered(5, value=2, detail=3)

    found = states(book.history())

    assert (found.reads, found.stale, found.backwards, found.impossible) == (2, 0, 0, 0)


def test_a_volume_that_nobody_ever_writes_is_read_without_harm_and_more_than_once() -> None:
    book = Book("RR").sent(1).answered(1, status=NO_SUCH).sent(2).answered(2, status=NO_SUCH)

    found = states(book.history())

    assert (found.reads, found.stale, found.backwards) == (2, 0, 0)
    assert found.right


def test_a_write_may_be_the_last_operation_of_the_plan() -> None:
    book = Book("RW").well(2).sent(1, at=5).answered(1, at=6, value=1, detail=1)

    assert states(book.history()).impossible == 0


def test_only_writes_make_versions() -> None:
    # Given a tell that by chance has the number of the volume, and acceptances that belong to no plan
    book = Book("TWR").well(1, 2).sent(3).answered(3, value=1, detail=1)
    for stranger in (0, -5, 77):
        book.event(0, Event.ACCEPTED, stranger, 0.5)

    assert states(book.history()).stale == 0


def test_a_read_that_nobody_has_begun_is_neither_stale_nor_backwards() -> None:
    book = Book("WWRR").well(1, 2).sent(3).answered(3, value=2, detail=2).answered(4, value=1, detail=1)

    found = states(book.history())

    assert (found.reads, found.stale, found.backwards) == (2, 0, 0)


def test_a_reader_is_held_against_the_newest_that_it_had_seen() -> None:
    # Given one that saw versions 1, 2, 1: the third read goes back behind the second, not behind the first
    book = Book("WWRRR").well(1, 2).sent(3).answered(3, value=1, detail=1)
    book.sent(4).answered(4, value=2, detail=2).sent(5).answered(5, value=1, detail=1)

    assert states(book.history()).backwards == 1


def test_going_back_and_staying_there_is_going_back_twice() -> None:
    book = Book("WWRRR").well(1, 2).sent(3).answered(3, value=2, detail=2)
    book.sent(4).answered(4, value=1, detail=1).sent(5).answered(5, value=1, detail=1)

    assert states(book.history()).backwards == 2


# --- generated histories, counted while they are made ---------------------------------------------

project, outcome = st.integers(0, 1), st.sampled_from(["accepted", "failed", "unknown", "nothing"])
amount = st.integers(1, 2)  # so few that wrong bills often cancel out in sum
billed_to = st.none() | st.tuples(amount, project)  # None: as it was meant
billings = st.just([None]) | st.lists(billed_to, min_size=1, max_size=1) | st.lists(billed_to, max_size=3)
downloads = st.tuples(outcome, amount, project, billings, billings)


@settings(max_examples=300, deadline=None)
@given(st.lists(downloads, min_size=1, max_size=5), st.lists(st.tuples(amount, project), max_size=2))
def test_any_bill_is_counted_as_one_would_by_hand(drawn: list[Any], strangers: list[tuple[int, int]]) -> None:
    # Given downloads that each of two groups has billed any number of times, or wrongly, and bills from nowhere
    book = Book("T" * len(drawn), groups=("metering", "audit"))
    hand = {group: Counter[str]() for group in ("metering", "audit")}
    due, stands = {group: Counter[int]() for group in hand}, {group: Counter[int]() for group in hand}
    for number, (told, value, owner, *billings) in enumerate(drawn, start=1):
        book.rows["value"][number - 1], book.rows["project"][number - 1] = value, owner
        book.sent(number)
        if told != "nothing":
            getattr(book, told)(number)
        for group, billed in zip(hand, billings, strict=True):
            as_billed = [each or (value, owner) for each in billed]
            for much, whose in as_billed:
                book.worked(number, by=f"{group}-0", value=much, detail=whose)
                stands[group][whose] += much
                hand[group]["wrong"] += abs(much - value) if whose == owner else max(much, value)
            due[group][owner] += value if told == "accepted" or billed else 0
            hand[group]["unbilled"] += value if told == "accepted" and not billed else 0
            hand[group]["doubled"] += value * max(0, len(billed) - 1)
            wanted = [[], [(value, owner)]] if told != "accepted" else [[(value, owner)]]
            hand[group]["amiss"] += as_billed not in wanted
    for much, whose in strangers:
        book.worked(77, by="metering-0", value=much, detail=whose)
        stands["metering"][whose] += much
        hand["metering"]["amiss"] += 1

    for group, expected in hand.items():
        # When it is counted
        found = bill(book.history(), group)

        # Then it is as was counted while it was made
        for name in ("unbilled", "doubled", "wrong"):
            assert getattr(found, name) == expected[name], name
        assert (found.meant, found.billed) == (due[group].total(), stands[group].total())
        assert found.wrong_projects == sum(due[group][p] != stands[group][p] for p in range(2))
        assert found.right == (not expected["amiss"])


size = st.sampled_from([1, 20, 49, 50, 60])  # so that a quota of 100 is often just full
granted = st.none() | st.tuples(size, project)  # None: refused
requests = st.tuples(
    size,
    project,
    st.lists(granted | st.just("as asked for"), max_size=3),
    st.sampled_from([None, 0, OVER, REMOTE, MISMATCHED]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(requests, min_size=1, max_size=10))
def test_any_books_of_volumes_are_counted_as_one_would_by_hand(drawn: list[Any]) -> None:
    # Given requests that were granted, refused, or both, any number of times, and answered as it pleased
    book = Book("A" * len(drawn), quota_gb=100)
    hand: Counter[str] = Counter()
    used: Counter[int] = Counter()
    refusals = []
    for number, (gb, owner, effects, status) in enumerate(drawn, start=1):
        book.rows["value"][number - 1], book.rows["project"][number - 1] = gb, owner
        book.sent(number)
        grants = [(gb, owner) if effect == "as asked for" else effect for effect in effects if effect]
        for much, whose in grants:
            book.worked(number, value=much, detail=whose)
            used[whose] += much
            hand["wrong"] += (much, whose) != (gb, owner)
        for _ in range(effects.count(None)):
            book.worked(number, value=0, status=OVER)
            refusals.append((gb, owner))
        if status is not None:
            book.answered(number, status=status)
        hand["created"] += len(grants)
        hand["refused"] += effects.count(None)
        hand["created_twice"] += max(0, len(grants) - 1)
        hand["mismatched"] += status == MISMATCHED
        hand["unfounded"] += status == 0 and not grants
        hand["denied"] += status == OVER and bool(grants)
    hand["over_quota"] = sum(used[p] > 100 for p in range(2))
    hand["wrongly_refused"] = sum(used[owner] + gb <= 100 for gb, owner in refusals)

    # When they are counted
    found = volumes(book.history())

    # Then they are as was counted while they were made
    assert asdict(found) == {name: hand[name] for name in asdict(found)}
    assert found.right == (not any(hand[name] for name in asdict(found) if name not in ("created", "refused")))


class Write(NamedTuple):
    """One version of a volume; ms when it was begun and accepted, None if it never was."""

    volume: int
    begun: int | None
    accepted: int | None
    version: int = 0


class Read(NamedTuple):
    """What one reader saw of a volume; `off` is how far the state is from that version's."""

    volume: int
    begun: int
    took: int
    version: int
    off: int
    status: int
    reader: int = 0

    @property
    def answered(self) -> int:
        return self.begun + self.took

    def newer(self, written: list[Write]) -> list[int]:
        """When each version was accepted that it should have seen instead."""
        later = [w.accepted for w in written if w.volume == self.volume and w.version > self.version]
        return [accepted for accepted in later if accepted is not None and accepted < self.begun]

    def went_back(self, seen: list[Read]) -> bool:
        mine = [other for other in seen if (other.reader, other.volume) == (self.reader, self.volume)]
        return any(other.answered <= self.begun and other.version > self.version for other in mine)

    def is_impossible(self, written: list[Write]) -> bool:
        begun = [w.begun for w in written if (w.volume, w.version) == (self.volume, self.version)]
        there = any(time is not None and time <= self.answered for time in begun)
        return self.version > 0 and (not there or self.off != 0)


moment, subject = st.integers(1, 30), st.integers(1, 2)  # so few that much happens at the same time
writes = st.builds(Write, volume=subject, begun=st.none() | moment, accepted=st.none() | moment)
reads = st.builds(
    Read,
    volume=subject,
    begun=moment,
    took=st.integers(1, 9),
    version=st.integers(0, 4),
    off=st.integers(-1, 1),
    status=st.sampled_from([0, 0, 0, NO_SUCH, REMOTE, MISMATCHED]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(writes, max_size=8), st.lists(reads, min_size=1, max_size=8))
def test_any_states_are_counted_as_one_would_by_hand(written: list[Write], drawn: list[Read]) -> None:
    # Given versions that were begun or accepted at any time or never, and two readers that saw anything
    book = Book("W" * len(written) + "R" * len(drawn), readers=2)
    written = [w._replace(version=[v.volume for v in written[: i + 1]].count(w.volume)) for i, w in enumerate(written)]
    drawn = [r._replace(reader=i % 2, version=0 if r.status == NO_SUCH else r.version) for i, r in enumerate(drawn)]
    _record(book, written, drawn)

    # When they are counted
    found = states(book.history())

    # Then it is as each read, held against every write and every other read, says
    seen = sorted((r for r in drawn if r.status in (0, NO_SUCH)), key=lambda r: r.answered)
    stale = [(r.begun, newer) for r in seen if (newer := r.newer(written))]
    assert (found.reads, found.stale) == (len(seen), len(stale))
    assert found.behind == tuple(len(newer) for _, newer in stale)
    assert found.versions == max(found.behind, default=0)
    assert found.staleness == tuple((begun - min(newer)) * MS for begun, newer in stale)
    assert found.backwards == sum(r.went_back(seen) for r in seen)
    assert found.impossible == sum(r.is_impossible(written) for r in seen)
    assert found.mismatched == sum(r.status == MISMATCHED for r in drawn)
    assert found.right == (not (found.backwards or found.impossible or found.mismatched))


def _record(book: Book, written: list[Write], drawn: list[Read]) -> None:
    for number, write in enumerate(written, start=1):
        book.rows["subject"][number - 1], book.rows["value"][number - 1] = write.volume, write.version
        book.rows["state"][number - 1] = write.version % len(STATES)
        if write.begun is not None:
            book.sent(number, at=write.begun)
        if write.accepted is not None:
            book.accepted(number, at=write.accepted)
    for number, read in enumerate(drawn, start=len(written) + 1):
        book.rows["subject"][number - 1] = read.volume
        state = read.version + read.off
        book.sent(number, at=read.begun)
        book.answered(number, at=read.answered, value=read.version, detail=state, status=read.status)
