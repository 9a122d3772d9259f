"""The verdict of a trial, on histories made by hand: what the books say decides, never an exception."""

from __future__ import annotations

from typing import Any

import pytest
from build import Book

from sandbox.coupling.change import Change, Facet, Order
from sandbox.coupling.verdict import Answer, Verdict, decide
from sandbox.exchange.schema import Verb
from sandbox.harness.journal import MISMATCHED, REFUSALS, Event


class Tells(Change):
    """Something about what is told."""

    title, facet = "tells", Facet.DATA_FORMAT


class Asks(Change):
    """Something about what is asked."""

    title, facet, verb = "asks", Facet.DATA_FORMAT, Verb.ASK


class Shares(Change):
    """Something about what is shared."""

    title, facet, verb = "shares", Facet.SEMANTICS, Verb.SHARE


def verdict(book: Book, change: type[Change] = Tells, order: Order = Order.SENDER_FIRST, **facts: Any) -> Verdict:
    return decide(book.history(**facts), change(order, False))


def refused(book: Book, times: int = 1, by: str = "metering-0") -> Book:
    """A receiver has refused what it could not read: it cannot even say which operation that was."""
    for _ in range(times):
        book.event(book._index(by), Event.REFUSED, 0, 5.0)
    return book


# --- tell ------------------------------------------------------------------------------------------


def test_everything_billed_as_meant_works() -> None:
    found = verdict(Book("TTT").well())
    assert (found.answer, found.right, found.wrong, found.missing) == (Answer.WORKS, 3, 0, 0)
    assert found.meant == found.found == 1001 + 1002 + 1003


def test_billed_by_a_receiver_that_came_late_is_delayed() -> None:
    book = Book("TT", receivers=2).sent(1).accepted(1).sent(2).accepted(2)
    book.worked(1, by="metering-0").worked(2, by="metering-1", at=40.0)
    assert verdict(book, late=["metering-1"]).answer is Answer.DELAYED
    assert verdict(book, late=["metering-1"]).late == 1


def test_a_backlog_is_always_read_late_and_that_is_no_delay() -> None:
    assert verdict(Book("TT").well(), order=Order.BACKLOG, late=["metering-0"]).answer is Answer.WORKS


def test_a_bill_in_the_wrong_unit_is_silently_wrong_though_all_is_accepted_and_worked() -> None:
    book = Book("TT")
    book.rows["value"] = [3 << 20, 5 << 20]
    for operation in (1, 2):
        book.sent(operation).accepted(operation).worked(operation, value=int(book.rows["value"][operation - 1]) >> 20)
    found = verdict(book)
    assert (found.answer, found.wrong, found.unnoticed) == (Answer.SILENT, 2, 2)
    assert found.meant == found.found << 20
    assert (found.noticed_by, found.after) == ({}, None)


def test_a_right_sum_on_the_wrong_projects_is_silently_wrong() -> None:
    book = Book("TT")
    book.rows["value"] = 1000
    book.sent(1).accepted(1).worked(1, detail=2).sent(2).accepted(2).worked(2, detail=1)
    found = verdict(book)
    assert found.meant == found.found
    assert (found.answer, found.wrong) == (Answer.SILENT, 2)


def test_billed_twice_is_silently_wrong() -> None:
    found = verdict(Book("TT").well().worked(1, at=9.0, attempt=2))
    assert (found.answer, found.wrong, found.right) == (Answer.SILENT, 1, 1)


def test_accepted_and_never_billed_is_silently_wrong() -> None:
    found = verdict(Book("TT").well(1).sent(2).accepted(2))
    assert (found.answer, found.missing, found.unnoticed) == (Answer.SILENT, 1, 1)


def test_refused_by_the_receiver_is_loud() -> None:
    found = verdict(refused(Book("TT").well(1).sent(2).accepted(2)))
    assert (found.answer, found.missing, found.unnoticed) == (Answer.LOUD, 1, 0)
    assert found.noticed_by == {"receiver": 1}


def test_it_counts_from_the_first_operation_that_went_wrong_until_somebody_was_told() -> None:
    # Given one that went well, one sent at 1 ms and refused at 5 ms
    assert verdict(refused(Book("TT").well(1).sent(2).accepted(2))).after == pytest.approx(0.004)
    # And one that went well, one sent at 1 ms whose sender was told at 1.1 ms
    assert verdict(Book("TT").well(1).sent(2).failed(2)).after == pytest.approx(0.0001)
    # And one whose asker was told by an answer that refuses
    asked = Book("A").sent(1).answered(1, at=2.0, status=REFUSALS["OverQuota"])
    assert verdict(asked, Asks).noticed_by == {"sender": 1}
    assert verdict(asked, Asks).after == pytest.approx(0.002)
    # And where all is right in the end, from the first of all
    assert verdict(refused(Book("TT").well())).after == pytest.approx(0.005)


def test_one_refusal_does_not_excuse_two_that_are_missing() -> None:
    found = verdict(refused(Book("TTT").well(1).sent(2).accepted(2).sent(3).accepted(3)))
    assert (found.answer, found.missing, found.unnoticed) == (Answer.SILENT, 2, 1)


def set_aside(book: Book, operation: int) -> Book:
    book.event(book._index("metering-0"), Event.SET_ASIDE, operation, 6.0)
    return book


def test_set_aside_by_the_receiver_is_loud() -> None:
    assert verdict(set_aside(Book("TT").well(1).sent(2).accepted(2), 2)).answer is Answer.LOUD


def test_what_was_set_aside_twice_does_not_excuse_another_that_is_missing() -> None:
    book = Book("TTT").well(1).sent(2).accepted(2).sent(3).accepted(3)
    found = verdict(set_aside(set_aside(book, 2), 2))
    assert (found.answer, found.missing, found.unnoticed) == (Answer.SILENT, 2, 1)


def test_a_failure_that_the_sender_was_told_of_is_loud() -> None:
    found = verdict(Book("TT").well(1).sent(2).failed(2))
    assert (found.answer, found.noticed_by) == (Answer.LOUD, {"sender": 1})


def test_a_refusal_does_not_excuse_a_bill_that_is_wrong() -> None:
    book = refused(Book("TT").well(1).sent(2).accepted(2).worked(2, value=7))
    assert verdict(book).answer is Answer.SILENT


def test_a_receiver_whose_code_has_failed_has_told_of_all_that_it_did_not_do() -> None:
    book = Book("TT").sent(1).accepted(1).sent(2).accepted(2)
    found = verdict(book, failed={"metering-0": "AttributeError: bytes_sent"})
    assert (found.answer, found.noticed_by) == (Answer.LOUD, {"receiver": 1})


def test_right_for_one_group_and_missing_for_the_other_is_not_right() -> None:
    class TwoGroups(Tells):
        """Both should have everything."""

        groups = expecting = ("metering", "audit")

    book = Book("T", groups=("metering", "audit")).sent(1).accepted(1).worked(1, by="metering-0")
    found = verdict(book, TwoGroups)
    assert (found.answer, found.right) == (Answer.SILENT, 0)


# --- ask -------------------------------------------------------------------------------------------


def test_a_volume_created_and_answered_works() -> None:
    assert verdict(Book("AA").well(), Asks).answer is Answer.WORKS


def test_a_volume_whose_asker_heard_nothing_is_loud_when_it_was_told_so() -> None:
    found = verdict(Book("A").sent(1).worked(1).unknown(1), Asks)
    assert found.answer is Answer.LOUD


def test_the_answer_to_another_question_is_silently_wrong() -> None:
    found = verdict(Book("A").sent(1).worked(1).answered(1, status=MISMATCHED), Asks)
    assert (found.answer, found.wrong) == (Answer.SILENT, 1)


# --- share -----------------------------------------------------------------------------------------


def test_the_newest_state_read_works() -> None:
    book = Book("WWR").well(1, 2).sent(3).answered(3, value=2, detail=2)
    assert verdict(book, Shares).answer is Answer.WORKS


@pytest.mark.parametrize("seen", [{"value": 1, "detail": 1}, {"value": 2, "detail": 5}])
def test_an_old_version_or_another_state_is_silently_wrong(seen: dict[str, int]) -> None:
    book = Book("WWR").well(1, 2).sent(3).answered(3, **seen)
    found = verdict(book, Shares)
    assert (found.answer, found.wrong) == (Answer.SILENT, 1)


def test_no_such_volume_is_silently_wrong_where_one_was_written() -> None:
    book = Book("WR").well(1).sent(2).answered(2, status=REFUSALS["NoSuchVolume"])
    assert verdict(book, Shares).answer is Answer.SILENT


def test_a_read_that_failed_is_loud() -> None:
    found = verdict(Book("WR").well(1).sent(2).failed(2), Shares)
    assert (found.answer, found.noticed_by) == (Answer.LOUD, {"sender": 1})
