"""What a cell answers, decided in business terms: by what was billed, created and read, never by an exception.

works            everything is as it was meant
delayed          everything is as it was meant, but only once the other side was renewed or came back
fails loudly     something did not happen, and for each such operation somebody was told
silently wrong   the books are wrong and nobody was told
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sandbox.channel import ASK_GROUP
from sandbox.coupling.change import Change, Order
from sandbox.errors import NoSuchVolume
from sandbox.exchange.schema import Verb
from sandbox.harness.checker import FAIL, INFO, OK, outcomes
from sandbox.harness.history import History, Role
from sandbox.harness.journal import MISMATCHED, REFUSALS, Event
from sandbox.harness.plan import WRITE

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Answer(StrEnum):
    """What became of the business."""

    WORKS = "works"
    DELAYED = "delayed"
    LOUD = "fails loudly"
    SILENT = "silently wrong"


@dataclass(frozen=True)
class Verdict:
    """One trial.

    operations  that were meant;  right: of these, done once and as meant, for everybody who should have had them
    wrong       on the books otherwise than meant: another amount, project, state; twice; read as what it is not
    missing     not done at all;  unnoticed: of the wrong and missing, those of which nobody was told
    late        done only after the other side was renewed or came back
    noticed_by  who was told: "sender", "receiver" (refused, set aside, failed), with how often
    after       s until somebody was told, from the begin of the first operation that was not done right or whose
                sender was told so; of the first of all where in the end there is none; None when nobody was told,
                or it is not on record when (a participant that failed)
    meant, found   bytes, GB or versions: what should stand on the books, and what does
    """

    answer: Answer
    operations: int
    right: int
    wrong: int
    missing: int
    unnoticed: int
    late: int
    noticed_by: dict[str, int]
    after: float | None
    meant: int
    found: int


def decide(history: History, change: Change) -> Verdict:
    """The verdict on the run of one change."""
    late = set(history.facts.get("late", ()))
    right, wrong, tardy = _reads(history) if change.verb is Verb.SHARE else _effects(history, change, late)
    told = _told(history, change)
    noticed = _noticed(history, told)
    missing = ~right & ~wrong
    unnoticed = int(wrong.sum()) + _missing_in_silence(history, missing, told)
    return Verdict(
        answer=_answer(unnoticed, right, told, tardy & (change.order is not Order.BACKLOG)),
        operations=len(right),
        right=int(right.sum()),
        wrong=int(wrong.sum()),
        missing=int(missing.sum()),
        unnoticed=unnoticed,
        late=int(tardy.sum()),
        noticed_by=noticed,
        after=_after(history, change, told, ~right | told),
        meant=int(history.plan.rows["value"].sum()),
        found=_found(history, change),
    )


def _answer(unnoticed: int, right: Array, told: Array, tardy: Array) -> Answer:
    if unnoticed:
        return Answer.SILENT
    if not right.all() or told.any():
        return Answer.LOUD
    return Answer.DELAYED if tardy.any() else Answer.WORKS


def _effects(history: History, change: Change, late: set[str]) -> tuple[Array, Array, Array]:
    """Per operation: right for everybody, wrong for somebody, done late."""
    import numpy as np

    rows = history.plan.rows
    right = np.ones(len(rows), dtype=bool)
    wrong, tardy = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    for group in (ASK_GROUP,) if change.verb is Verb.ASK else change.expecting:
        effects = _of_group(history, change, group)
        planned = rows[effects["operation"] - 1]
        as_meant = (effects["value"] == planned["value"]) & (effects["detail"] == planned["project"])
        times = np.bincount(effects["operation"] - 1, minlength=len(rows))
        good = np.bincount(effects["operation"][as_meant] - 1, minlength=len(rows))
        right &= (times == 1) & (good == 1)
        wrong |= (times > good) | (times > 1)
        names = np.array([history.processes[index].name in late for index in effects["process"]], dtype=bool)
        tardy[effects["operation"][names] - 1] = True
        if change.verb is Verb.ASK:
            heard, refused, misheard = _heard(history)
            right &= heard
            wrong |= misheard | (refused & (times > 0))  # the volume is there, and its asker was told otherwise
    return right, wrong, tardy


def _heard(history: History) -> tuple[Array, Array, Array]:
    """Per operation: answered well, refused, answered with what belongs to another."""
    answers = history.of(Event.ANSWERED)
    well, mismatched = answers["status"] == 0, answers["status"] == MISMATCHED
    heard, refused, misheard = (_flags(history, answers[chosen]) for chosen in (well, ~well & ~mismatched, mismatched))
    return heard, refused, misheard


def _told(history: History, change: Change) -> Array:
    """Per operation: its sender knows that it did not happen, or that it cannot know."""
    state = outcomes(history)
    told: Array = (state == FAIL) | (state == INFO)
    if change.verb is not Verb.TELL:
        told |= _heard(history)[1] & ~_no_such_volume(history)
    return told


def _no_such_volume(history: History) -> Array:
    answers = history.of(Event.ANSWERED)
    return _flags(history, answers[answers["status"] == REFUSALS[NoSuchVolume.__name__]])


def _reads(history: History) -> tuple[Array, Array, Array]:
    """The same for state that was read when all was written: the newest version that was accepted must be seen."""
    import numpy as np

    rows = history.plan.rows
    newest = newest_accepted(history)
    right = (rows["message"] == WRITE) & (outcomes(history) == OK)
    wrong = np.zeros(len(rows), dtype=bool)
    for answer in history.of(Event.ANSWERED):
        if answer["status"] not in (0, REFUSALS[NoSuchVolume.__name__]):
            continue  # its reader was told that there is no answer
        index = int(answer["operation"]) - 1
        seen = (int(answer["value"]), int(answer["detail"])) if answer["status"] == 0 else (0, 0)
        right[index] = seen == newest.get(int(rows["subject"][index]), (0, 0))
        wrong[index] = not right[index]
    return right, wrong, np.zeros(len(rows), dtype=bool)


def newest_accepted(history: History) -> dict[int, tuple[int, int]]:
    """Volume -> version and number of the state that must be read once all is written; (0, 0) of any other volume."""
    rows = history.plan.rows
    newest: dict[int, tuple[int, int]] = {}
    for row in rows[(rows["message"] == WRITE) & (outcomes(history) == OK)]:
        volume, written = int(row["subject"]), (int(row["value"]), int(row["state"]))
        newest[volume] = max(newest.get(volume, (0, 0)), written)
    return newest


def _of_group(history: History, change: Change, group: str) -> Array:
    """Effects that stand on the account of a group, of operations that were planned."""
    import numpy as np

    members = [
        index
        for index, process in enumerate(history.processes)
        if process.role is Role.RECEIVER and change.group_of(process) == group
    ]
    effects = history.of(Event.EFFECT)
    known = (effects["operation"] >= 1) & (effects["operation"] <= len(history.plan.rows))
    chosen: Array = effects[np.isin(effects["process"], members) & known]
    return chosen


def _missing_in_silence(history: History, missing: Array, told: Array) -> int:
    """Of the operations that were not done, those of which neither side was told.

    What was set aside is known by its id. What a receiver could not even read has none that could be trusted, so
    those refusals are counted off, as far as they are more than the operations whose senders were told (of a
    refusal, for one); a receiver that has failed has told of everything that it did not do.
    """
    if history.facts.get("failed"):
        return 0
    aside = _flags(history, history.of(Event.SET_ASIDE))
    refusals = len(history.of(Event.REFUSED)) - int((told & ~aside).sum())
    return max(0, int((missing & ~told & ~aside).sum()) - max(0, refusals))


def _flags(history: History, events: Array) -> Array:
    """Per operation: whether there is such an event of it."""
    import numpy as np

    flags = np.zeros(len(history.plan.rows), dtype=bool)
    known = (events["operation"] >= 1) & (events["operation"] <= len(flags))
    flags[events["operation"][known] - 1] = True
    return flags


def _noticed(history: History, told: Array) -> dict[str, int]:
    noticed: dict[str, int] = {}
    at_receiver = history.of(Event.REFUSED, Event.SET_ASIDE)
    if told.any():
        noticed["sender"] = int(told.sum())
    if len(at_receiver):
        noticed["receiver"] = len(at_receiver)
    for name in history.facts.get("failed", {}):
        role = next(process.role for process in history.processes if process.name == name)
        noticed[str(role)] = noticed.get(str(role), 0) + 1
    return noticed


def _after(history: History, change: Change, told: Array, affected: Array) -> float | None:
    """s from the begin of the first affected operation until the first word of it, to either side."""
    kinds = [Event.FAILED, Event.UNKNOWN] + ([Event.ANSWERED] if change.verb is not Verb.TELL else [])
    at_sender = history.of(*kinds)
    at_sender = at_sender[told[at_sender["operation"] - 1]]
    begun = history.of(Event.INTENT)
    if affected.any():  # else somebody was told of what was done right in the end, such as a call made again
        begun = begun[affected[begun["operation"] - 1]]
    times = [int(each["time"][0]) for each in (at_sender, history.of(Event.REFUSED, Event.SET_ASIDE)) if len(each)]
    return (min(times) - int(begun["time"][0])) / 1e9 if times and len(begun) else None


def _found(history: History, change: Change) -> int:
    """What stands on the books in the end, over all that expect it (one of them, where several do)."""
    if change.verb is Verb.SHARE:
        return int(history.of(Event.ANSWERED)["value"].sum())
    group = ASK_GROUP if change.verb is Verb.ASK else change.expecting[-1]
    return int(_of_group(history, change, group)["value"].sum())
