"""Exercise of notebook 09: a receiver's memory, so that under a plan of faults each download is billed exactly once.

Every look is a real run on a spool, with a kill at a named point, or a sender that hands over twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import RunFailed
from sandbox.exercises.check import RAISED, UNFINISHED, Exercise, Reason
from sandbox.exercises.metered import Metered, Metering

if TYPE_CHECKING:
    from sandbox.faults.fault import Planned

__all__ = ["Metering", "exercise"]

#: operation that the receiver has in its hands when it is killed: not the first, not the last
NTH = 6
OPERATIONS = 24


def judge(kind: type[Metering]) -> Iterator[Reason]:
    """The first look that finds something ends it: what else is wrong may follow from that."""
    from sandbox.faults import Duplicate, KillReceiver, Reorder
    from sandbox.harness.session import default_session

    looks: list[tuple[str, Planned | None, Find]] = [
        ("There was no accident at all.", None, _each_once),
        ("One download came behind three later ones.", Reorder().at(0.0), _in_any_order),
        ("The sender was not sure, and told four of them twice.", Duplicate(times=4).at(0.0), _told_twice),
        *((WHEN[point], KillReceiver(point, nth=NTH, restart=0.05).at(0.0), find) for point, find in _DEATHS.items()),
    ]
    for what, fault, find in looks:
        seen = _Seen(kind, fault, default_session().site().folder)
        reason = seen.failed(kind) or find(seen)
        if reason:
            yield Reason(reason.id, f"{what} {reason.why}")
            return


class _Seen:
    """One run, and what became of its downloads.

    lost, twice   ids of those that no bill shows, and of those that were billed more than once
    asked         how many times the bill was asked
    """

    def __init__(self, kind: type[Metering], fault: Planned | None, folder: Path) -> None:
        from sandbox.api import run
        from sandbox.harness.checker import deliveries
        from sandbox.harness.workload import Workload

        self._folder, self.error, self.fired = folder, "", fault is None
        self.lost, self.twice = list[int](), list[int]()
        workload = Workload("tell", operations=OPERATIONS, rate=400, warmup=0, service=0.001)
        try:
            history = run(Metered(kind, folder), workload, faults=[fault] if fault else []).history
        except RunFailed as error:
            self.error = "".join(self._lines("raised")) or str(error)
            return
        self.error = "".join(self._lines("raised"))
        if fault:
            self.fired = history.facts["faults"][0]["witnesses"] > 0
        times = deliveries(history, "metering")
        self.lost = history.plan.rows["id"][times == 0].tolist()
        self.twice = history.plan.rows["id"][times > 1].tolist()

    def failed(self, kind: type[Metering]) -> Reason | None:
        """What the student's code has raised, or why there is nothing to see."""
        if "NotImplementedError" in self.error:
            return Reason(UNFINISHED, "A method still raises NotImplementedError: write its body.")
        if self.error:
            return Reason(RAISED, f"{kind.__name__} raised in the receiver: {self.error.strip().splitlines()[-1]}")
        return None if self.fired else Reason("never fired", "The accident never happened: nothing was worked.")

    @property
    def asked(self) -> int:
        """How many times the bill was asked."""
        return len(self._lines("asked"))

    def noted(self, number: int) -> bool:
        """Whether a note holds the number of a download."""
        return any(str(number) in re.findall(r"\d+", line) for line in self._lines("notes"))

    def _lines(self, name: str) -> list[str]:
        path = self._folder / name
        return path.read_text().splitlines() if path.exists() else []


Find = Callable[[_Seen], Reason | None]


def _each_once(seen: _Seen) -> Reason | None:
    if len(seen.lost) == OPERATIONS:
        return Reason("not billed", "Not one download was billed: is_billed said that it was, and it was not.")
    if seen.lost:
        what = f"{len(seen.lost)} of {OPERATIONS} downloads were never billed: they were taken for others."
        return Reason("merged", f"{what} What is the same for two honest downloads is not what one is known by.")
    if seen.twice:
        return _twice("again", seen, "It was settled, and billed again.")
    if seen.asked:
        what = f"And yet the bill was asked {seen.asked} times. It takes as long as the bill is thick."
        return Reason("asked too often", f"{what} When can there be any doubt at all?")
    return None


def _in_any_order(seen: _Seen) -> Reason | None:
    if seen.lost:
        return Reason("order", f"{_ids(seen.lost)} never billed. That a later one is billed says nothing of it.")
    return _twice("again", seen, "") if seen.twice else None


def _told_twice(seen: _Seen) -> Reason | None:
    if seen.twice:
        return _twice("told twice", seen, "For the channel the second one is new, and its first attempt.")
    return _lost("told twice", seen, "") if seen.lost else None


def _begun_is_not_done(seen: _Seen) -> Reason | None:
    if seen.lost:
        if any(map(seen.noted, seen.lost)):
            return _lost("noted too soon", seen, "A note said so, and the work had not been done.")
        return _lost("second attempt", seen, "That it was delivered before does not say that it was billed.")
    return _twice("again", seen, "") if seen.twice else None


def _outlives(seen: _Seen) -> Reason | None:
    if seen.twice:
        why = "It had been billed and settled, but the channel had not heard so far. Who could tell the new process?"
        return _twice("forgotten", seen, why)
    return _lost("lost", seen, "") if seen.lost else None


def _in_doubt(seen: _Seen) -> Reason | None:
    if seen.twice:
        why = "It stood on the bill, and no note said so. The note cannot know. Who can?"
        return _twice("in doubt", seen, why)
    return _lost("lost", seen, "") if seen.lost else None


_DEATHS: dict[str, Find] = {
    "taken": _begun_is_not_done,
    "working": _begun_is_not_done,
    "settled": _outlives,
    "worked": _in_doubt,
}
WHEN = {
    "taken": "Metering was killed with a download in hand, before the work.",
    "working": "Metering was killed at work, before it had any effect.",
    "settled": "Metering was killed after it had settled.",
    "worked": "Metering was killed after the work, before it could note or settle anything.",
}


def _lost(identity: str, seen: _Seen, why: str) -> Reason:
    return Reason(identity, f"{_ids(seen.lost)} never billed. {why}".strip())


def _twice(identity: str, seen: _Seen, why: str) -> Reason:
    return Reason(identity, f"{_ids(seen.twice)} billed twice. {why}".strip())


def _ids(found: list[int]) -> str:
    return f"Download {found[0]} was" if len(found) == 1 else f"{len(found)} downloads were"


exercise = Exercise(
    name="at_least_once",
    question=(
        "Write class Once(Metering), so that each download is billed exactly once: told twice, overtaken, and with "
        "metering killed before the work, at work, after it, and after settling. is_billed(delivery) is asked when a "
        "download comes, billed(delivery) is called when it stands on the bill and before the channel knows. "
        "self.note(words) outlives the process, self.noted(words) looks it up; self.ask_the_bill(number) is always "
        "right and slow: ask only where there is doubt. There is one process of metering at a time."
    ),
    answer="Once",
    judge=judge,
    base=Metering,
)
