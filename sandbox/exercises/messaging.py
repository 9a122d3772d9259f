"""Exercise of notebook 05: bill each download once, whatever is delivered again and whenever the receiver dies.

The check does not wait for luck: it kills the receiver before each of its steps in turn, or has another one work the
same meanwhile (`books`), and in the end lets two bill what lies in a real channel, and kills one (`killed_at_work`).
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.exercises.books import WAIT, Books, Came, Done, Keeper, Work
from sandbox.exercises.check import RAISED, UNFINISHED, Exercise, Reason
from sandbox.exercises.killed_at_work import bill_all

if TYPE_CHECKING:
    from sandbox.harness.session import Session

ONE, OTHER, ALIKE = Came(4, 7, 1000), Came(9, 2, 300), Came(5, 7, 1000)


class Refused(Exception):
    """A look has found something; it holds the `reason`."""

    def __init__(self, identity: str, why: str) -> None:
        super().__init__(why)
        self.reason = Reason(identity, why)


def judge(work: Work) -> Iterator[Reason]:
    """The first look that finds something ends it: what else is wrong may follow from that."""
    from sandbox.harness.session import default_session

    session = default_session()
    stage = _Stage(session, work, session.site().folder)
    try:
        stage.each_once()
        deaths = stage.deaths()
        for death in deaths:
            death.has_lost_nothing()
        stage.again()
        stage.after_a_restart()
        for death in deaths:
            death.has_billed_nothing_twice()
        stage.told_again()
        stage.at_the_same_time()
        stage.over_a_channel()
    except Refused as refused:
        yield refused.reason
    except TimeoutError:
        yield Reason("stuck", f"work has not returned within {WAIT:g} s, although it has nobody to wait for.")


@dataclass(frozen=True)
class _Death:
    """A receiver was killed at work on `ONE`, `before` its next step; another one then got it, if it was not settled.

    billed   what is on the bill in the end;  known: whether anything was remembered when it died
    """

    before: Done
    billed: int
    known: bool

    def has_lost_nothing(self) -> None:
        if self.billed >= ONE.amount:
            return
        names = [name for name, _ in self.before.calls]
        text = f"The receiver died {_at(self.before)}."
        if "settle" in names and "bill" in names:
            why = "It had settled, and what it had done together was undone when it died: settling is no part of that."
            raise Refused("not kept yet", f"{text} {why} Nobody has billed this download, and nobody will.")
        if "settle" in names:
            why = "It had settled before the bill was written, so the channel delivers it to nobody any more."
            raise Refused("lost", f"{text} {why} Nobody has billed this download, and nobody will.")
        if self.known:
            why = "It had remembered and not yet billed. The next one to get it believes that it is done."
            raise Refused("remembered too soon", f"{text} {why}")
        why = f"The next one got it, as attempt {ONE.attempt + 1}, and did not bill it either."
        hint = "That it was delivered before does not say that it was billed: ask the books."
        raise Refused("second attempt", f"{text} {why} {hint}")

    def has_billed_nothing_twice(self) -> None:
        if self.billed > ONE.amount:
            why = "It had billed and not yet remembered, so the next one to get it billed it again."
            hint = "In whatever order: between two steps it can die. What must not come apart is done together."
            raise Refused("remembered too late", f"The receiver died {_at(self.before)}. {why} {hint}")


class _Stage:
    """Makes receivers, each look with books of its own."""

    def __init__(self, session: Session, work: Work, folder: Path) -> None:
        self._session, self._work, self._folder = session, work, folder
        self._books = 0
        self._path = folder

    def each_once(self) -> None:
        """No accident at all."""
        for came, reason, why in (
            ([ONE], "not billed", "One download was delivered once: 1,000 bytes for project 7."),
            ([ONE, ALIKE], "merged", "Project 7 downloaded the same image twice: 1,000 bytes each, two different ids."),
            ([OTHER, ONE, ALIKE], "order", "Downloads came with the ids 9, 4, 5: a channel may overtake."),
        ):
            self._new_books()
            with self._receiver() as receiver:
                done = self._well(receiver.do(*came))
            self._expect(came, reason, why)
            if missing := {each.id for each in came} - done.settled():
                text = f"{why} Of these, {_ids(missing)} never settled: it will be delivered again for ever."
                raise Refused("never settled", text)

    def deaths(self) -> list[_Death]:
        """Killed before its first step, before its second, ... until it has no more."""
        found: list[_Death] = []
        while True:
            self._new_books()
            with self._receiver() as receiver:
                done = self._well(receiver.do(ONE, stop=len(found) + 1))
            if not done.next:
                return found
            known = self._known()
            if ONE.id not in done.settled():
                with self._receiver() as successor:
                    self._well(successor.do(_again(ONE)))
            found.append(_Death(done, self._bills().get(ONE.project, 0), known))

    def again(self) -> None:
        """Delivered again to the same receiver."""
        self._new_books()
        with self._receiver() as receiver:
            self._well(receiver.do(ONE))
            done = self._well(receiver.do(_again(ONE)))
        what = "A download was billed and settled, and came again: the channel had not heard of it in time."
        self._expect([ONE], "twice", what)
        if not done.settled():
            hint = "There is nothing to bill then, but it must be settled: else it comes for ever."
            raise Refused("never settled", f"{what} {hint}")

    def after_a_restart(self) -> None:
        """Delivered again to another one; the first ended well."""
        self._new_books()
        for came in (ONE, _again(ONE)):
            with self._receiver() as receiver:
                self._well(receiver.do(came))
        what = "A download was billed, the receiver was restarted, and the download came again."
        hint = "Whatever is remembered in variables ends with the process; and no other receiver ever sees it."
        self._expect([ONE], "forgotten", f"{what} {hint}")

    def told_again(self) -> None:
        """The sender did not hear that it was accepted, and tells it once more: for the channel it is a new one."""
        self._new_books()
        with self._receiver() as receiver:
            self._well(receiver.do(ONE))
            self._well(receiver.do(ONE))
        what = "The sender had not heard that a download was accepted, and told it again under the same id."
        hint = "For the channel this is a first attempt: only the books can know."
        self._expect([ONE], "told again", f"{what} {hint}")

    def at_the_same_time(self) -> None:
        """A slow receiver's lease lapses: another one works the same before each step of the first."""
        stop, done = 0, Done(next="begin")
        while done.next:
            stop += 1
            self._new_books()
            with self._receiver() as slow, self._receiver() as other:
                done = self._well(slow.do(ONE, stop=stop))
                if not done.next:
                    return
                beside = self._well(other.do(_again(ONE)))
                self._well(slow.go_on())
                if beside.next == "waiting":
                    self._well(other.end())
            why = "It took too long, so another receiver was given the same download, and worked it."
            hint = "Then the first went on: what it had looked up was not true any more."
            self._expect([ONE], "at the same time", f"One receiver stood still {_at(done)}. {why} {hint}")

    def over_a_channel(self) -> None:
        """Two receivers at a real channel, of which one is killed at its fifth bill."""
        self._new_books()
        told = [Came(number, number % 3, 100 * number) for number in range(1, 31)]
        if refused := bill_all(self._session, told, self._work, self._path):
            raise Refused(refused.id, refused.why)
        self._expect(told, "run", "30 downloads in a real channel, two receivers, of which one was killed at work.")

    # --- what the looks have in common --------------------------------------------------------------------

    def _new_books(self) -> None:
        self._books += 1
        self._path = self._folder / f"books{self._books}.db"
        Books(self._path).close()

    @contextmanager
    def _receiver(self) -> Iterator[Keeper]:
        receiver = Keeper(self._session, self._work, self._path)
        try:
            yield receiver
        finally:
            receiver.kill()

    def _bills(self) -> dict[int, int]:
        with closing(Books(self._path)) as books:
            return books.bills()

    def _known(self) -> bool:
        with closing(Books(self._path)) as books:
            return books.remembered() > 0

    def _expect(self, came: Sequence[Came], reason: str, why: str) -> None:
        meant: dict[int, int] = {}
        for each in came:
            meant[each.project] = meant.get(each.project, 0) + each.amount
        billed = self._bills()
        if billed != meant:
            raise Refused(reason, f"{why}\nMeant: {_shown(meant)}. Billed: {_shown(billed)}.")

    def _well(self, done: Done) -> Done:
        if done.error.startswith("NotImplementedError"):
            raise Refused(UNFINISHED, "work still raises NotImplementedError: write its body.")
        if done.error:
            file = getattr(getattr(self._work, "__code__", None), "co_filename", "")
            code = linecache.getline(file, done.line).strip()
            where = f" in line {done.line}" + (f", `{code}`" if code else "") if done.line else ""
            raise Refused(RAISED, f"work raised {done.error}{where}.")
        return done


def _again(came: Came) -> Came:
    return replace(came, attempt=came.attempt + 1)


def _at(done: Done) -> str:
    names = [name for name, _ in done.calls]
    return f"before `{done.next}`" + (
        f", after {', '.join(f'`{name}`' for name in names)}" if names else ", its first step"
    )


def _ids(found: set[int]) -> str:
    return " and ".join(map(str, sorted(found))) + (" was" if len(found) == 1 else " were")


def _shown(bills: dict[int, int]) -> str:
    return ", ".join(f"project {project} {amount:,} bytes" for project, amount in sorted(bills.items())) or "nothing"


exercise = Exercise(
    name="messaging",
    question=(
        "Write work(delivery, books): bill delivery.operation.body.bytes_sent to its project, once for each operation, "
        "however often it is delivered, to however many receivers, and whenever one of them dies. books.bill(project, "
        "amount), books.remember(what) and books.knows(what) each stand in a file when they return; within "
        "`with books.together():` all of them do at its end, or none. What is not settled is delivered again."
    ),
    answer="work",
    judge=judge,
    parameters=("delivery", "books"),
)
