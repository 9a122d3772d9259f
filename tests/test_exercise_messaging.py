"""The exercise of notebook 05 beyond its folder of answers: its books, and what its check says to stranger code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sandbox.channel import Delivery
from sandbox.errors import BadArgument
from sandbox.exercises import books as books_module
from sandbox.exercises.books import Books
from sandbox.exercises.messaging import exercise


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
def books(path: Path) -> Iterator[Books]:
    with closing(Books(path)) as opened:
        yield opened


def test_each_call_stands_in_the_file_when_it_returns(books: Books, path: Path) -> None:
    books.bill(7, 100)
    books.bill(7, 50)
    books.remember(("a", 1))
    with closing(Books(path)) as others:
        assert others.bills() == {7: 150}
        assert others.knows(("a", 1))
        assert not others.knows(("a", 2))


def test_what_is_done_together_stands_there_at_its_end_or_not_at_all(books: Books, path: Path) -> None:
    with closing(Books(path)) as others, books.together():
        books.bill(7, 100)
        assert others.bills() == {}
    assert books.bills() == {7: 100}
    with pytest.raises(ZeroDivisionError), books.together():
        books.bill(7, 100)
        books.remember(1 // 0)
    assert books.bills() == {7: 100}
    assert books.remembered() == 0


def test_one_together_within_another_is_refused_and_undone(books: Books) -> None:
    with pytest.raises(BadArgument, match="one within another"), books.together():
        books.bill(7, 100)
        with books.together():
            pass
    assert books.bills() == {}


def idle(delivery: Delivery, books: Books) -> None:
    """Neither bills nor settles."""


def lazy(delivery: Any, books: Books) -> None:
    books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)


def unfinished(delivery: Delivery, books: Books) -> None:
    raise NotImplementedError


def broken(delivery: Any, books: Books) -> None:
    books.bill(delivery.operation.body.tenant, 1)


def picky(delivery: Any, books: Books) -> None:
    if delivery.operation.body.project == 0:  # there is none in the check's own deliveries
        raise ValueError("no project")
    with books.together():
        if not books.knows(delivery.operation.id):
            lazy(delivery, books)
            books.remember(delivery.operation.id)
    delivery.settle()


@pytest.mark.parametrize(
    ("answer", "reason", "why"),
    [
        (idle, "not billed", "Billed: nothing"),
        (lazy, "never settled", "delivered again for ever"),
        (unfinished, "unfinished", "write its body"),
        (broken, "raised", "`books.bill(delivery.operation.body.tenant, 1)`"),
        (picky, "raised", "With what came from a real channel, work raised ValueError: no project"),
    ],
)
def test_a_stranger_answer_is_told_what_is_wrong_with_it(answer: Any, reason: str, why: str) -> None:
    outcome = exercise.check(answer)
    assert outcome.ids == (reason,)
    assert why in str(outcome)


def test_an_answer_that_does_not_return_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(delivery: Delivery, books: Books) -> None:
        import time

        time.sleep(100)

    monkeypatch.setattr(books_module, "WAIT", 0.5)
    assert exercise.check(waits).ids == ("stuck",)
