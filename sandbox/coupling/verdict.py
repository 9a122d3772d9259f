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
    after       s from the first affected operation's begin until somebody was told; None when nobody was
    bill        bytes, GB or reads: meant and found, for the business's own words
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
    noticed, after = _noticed(history, told)
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
        after=after,
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
    import numpy as np

    answers = history.of(Event.ANSWERED)
    kinds = (answers["status"] == 0, (answers["status"] != 0) & (answers["status"] != MISMATCHED))
    found = []
    for chosen in (*kinds, answers["status"] == MISMATCHED):
        flags = np.zeros(len(history.plan.rows), dtype=bool)
        flags[answers["operation"][chosen] - 1] = True
        found.append(flags)
    return found[0], found[1], found[2]


def _told(history: History, change: Change) -> Array:
    """Per operation: its sender knows that it did not happen, or that it cannot know."""
    state = outcomes(history)
    told: Array = (state == FAIL) | (state == INFO)
    if change.verb is not Verb.TELL:
        told |= _heard(history)[1] & ~_no_such_volume(history)
    return told


def _no_such_volume(history: History) -> Array:
    import numpy as np

    answers = history.of(Event.ANSWERED)
    flags = np.zeros(len(history.plan.rows), dtype=bool)
    flags[answers["operation"][answers["status"] == REFUSALS[NoSuchVolume.__name__]] - 1] = True
    return flags


def _reads(history: History) -> tuple[Array, Array, Array]:
    """The same for state that was read when all was written: the newest version that was accepted must be seen."""
    import numpy as np

    rows = history.plan.rows
    state = outcomes(history)
    newest: dict[int, tuple[int, int]] = {}
    for row in rows[(rows["message"] == WRITE) & (state == OK)]:
        newest[int(row["subject"])] = max(
            newest.get(int(row["subject"]), (0, 0)), (int(row["value"]), int(row["state"]))
        )
    right = (rows["message"] == WRITE) & (state == OK)
    wrong = np.zeros(len(rows), dtype=bool)
    for answer in history.of(Event.ANSWERED):
        if answer["status"] not in (0, REFUSALS[NoSuchVolume.__name__]):
            continue  # its reader was told that there is no answer
        index = int(answer["operation"]) - 1
        seen = (int(answer["value"]), int(answer["detail"])) if answer["status"] == 0 else (0, 0)
        right[index] = seen == newest.get(int(rows["subject"][index]), (0, 0))
        wrong[index] = not right[index]
    return right, wrong, np.zeros(len(rows), dtype=bool)


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

    What a receiver has refused has no id that could be trusted, so refusals are counted off, as far as they are
    more than the operations whose senders were told (of a refusal, for one); a receiver that has failed has
    told of everything that it did not do.
    """
    if history.facts.get("failed"):
        return 0
    refusals = len(history.of(Event.REFUSED, Event.SET_ASIDE)) - int(told.sum())
    return max(0, int((missing & ~told).sum()) - max(0, refusals))


def _noticed(history: History, told: Array) -> tuple[dict[str, int], float | None]:
    noticed: dict[str, int] = {}
    at_sender = history.of(Event.FAILED, Event.UNKNOWN)
    at_receiver = history.of(Event.REFUSED, Event.SET_ASIDE)
    if told.any():
        noticed["sender"] = int(told.sum())
    if len(at_receiver):
        noticed["receiver"] = len(at_receiver)
    for name in history.facts.get("failed", {}):
        role = next(process.role for process in history.processes if process.name == name)
        noticed[str(role)] = noticed.get(str(role), 0) + 1
    times = [int(events["time"][0]) for events in (at_sender, at_receiver) if len(events)]
    begun = history.of(Event.INTENT)
    after = (min(times) - int(begun["time"][0])) / 1e9 if times and len(begun) else None
    return noticed, after


def _found(history: History, change: Change) -> int:
    """What stands on the books in the end, over all that expect it (one of them, where several do)."""
    if change.verb is Verb.SHARE:
        return int(history.of(Event.ANSWERED)["value"].sum())
    group = ASK_GROUP if change.verb is Verb.ASK else change.expecting[-1]
    return int(_of_group(history, change, group)["value"].sum())
