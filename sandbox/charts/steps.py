"""The life of one operation, step by step: what each participant did with it, which faults were there, what never came.

Also which operation of a run has the most to tell.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from numbers import Integral  # numpy's, too
from typing import Any

from sandbox.charts.fates import FATES, Fate, lives
from sandbox.charts.windows import windows_of
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.history import History, Role
from sandbox.harness.journal import MISMATCHED, Event
from sandbox.harness.plan import MESSAGES_OF

_FINISHED = (Event.SETTLED, Event.SET_ASIDE, Event.RELEASED)


class Move(StrEnum):
    """How a step is drawn."""

    HERE = "here"  #: nothing moves
    OUT = "out"  #: from the process to the medium
    IN = "in"  #: from the medium to the process
    AGAIN = "again"  #: the same, of what was delivered before
    DEATH = "death"  #: the process is gone from here on
    STRIKE = "strike"  #: a fault touches the process
    OPENED = "opened"  #: a fault begins (or is there already)
    HEALED = "healed"  #: and ends
    MOMENT = "moment"  #: a fault that has no end
    LOST = "lost"  #: it is with that process, or in the medium, and goes no further
    SILENCE = "silence"  #: the sender is never told


@dataclass(frozen=True)
class Step:
    """One row of a journey.

    time      ns after the run's start; None: never
    process   index into `History.processes`; None: faults, and what reaches nobody
    words     what happens
    attempt   number of the delivery; 0 where there is none
    """

    time: int | None
    process: int | None
    words: str
    move: Move
    attempt: int = 0


def the_most_telling(history: History) -> int:
    """The operation with the most interesting life: lost, done twice, set aside, delivered most often, or slowest.

    The first of these that there is; before the slowest comes one of which its sender does not know what became of it,
    a fault's victim first. The earliest of several. `BadArgument` without operations.
    """
    import numpy as np

    life, rows = lives(history), history.plan.rows

    def times(kind: Event) -> Any:
        events = history.of(kind)["operation"]
        return np.bincount(events[(events >= 1) & (events <= len(rows))] - 1, minlength=len(rows))

    fates = (Fate.LOST, Fate.TWICE, Fate.ASIDE, Fate.INFO)
    lost, twice, aside, unknown = (life.fate == FATES.index(fate) for fate in fates)
    due = np.zeros(len(rows), dtype=int)
    for verb, messages in MESSAGES_OF.items():
        due[np.isin(rows["message"], messages)] = len(history.groups_of(verb))
    again = np.maximum(times(Event.WORK) - due, 0)
    if lost.any():
        best = int(np.argmax(lost))
    elif twice.any():
        best = int(np.argmax(np.where(twice, times(Event.EFFECT), 0)))
    elif aside.any():
        best = int(np.argmax(aside))
    elif again.any():
        best = int(np.argmax(again))
    elif unknown.any():
        best = int(np.argmax(np.where(unknown, 1 + (times(Event.STRUCK) > 0), 0)))
    else:
        begun = times(Event.INTENT) > 0
        best = int(np.argmax(np.where(begun, np.nan_to_num(life.end - life.start, nan=math.inf), -math.inf)))
    return int(rows["id"][best])


def steps_of(history: History, operation: int) -> list[Step]:
    """All steps in order of time, faults among them; what never came stands last.

    Where something never came, all later faults are there too: one of them may be why. `BadArgument` for an operation
    that nobody planned.
    """
    count = len(history.plan.rows)
    if not isinstance(operation, Integral) or not 1 <= operation <= count:
        raise BadArgument("operation", expected=f"a number from 1 to {count}", got=operation)
    events = history.events[history.events["operation"] == operation]
    steps, never = [*_told(history, events), *_deaths(history, events)], list(_never(history, operation))
    if steps:
        times = [step.time for step in steps if step.time is not None]
        steps += _faults(history, min(times), sys.maxsize if never else max(times))
    steps.sort(key=lambda step: (step.time or 0, step.move not in (Move.OPENED, Move.MOMENT), step.move is Move.DEATH))
    return [*steps, *never]


def _told(history: History, events: Any) -> Iterator[Step]:
    """What the participants have on record."""
    works: dict[str, int] = {}
    effects: dict[str, int] = {}
    for event in events:
        process, kind, attempt = int(event["process"]), Event(int(event["event"])), int(event["attempt"])
        group = history.processes[process].group
        if kind is Event.WORK:
            works[group] = works.get(group, 0) + 1
        if kind is Event.EFFECT:
            effects[group] = effects.get(group, 0) + 1
        words, move = _in_words(kind, attempt, works.get(group, 0), effects.get(group, 0), int(event["status"]))
        yield Step(int(event["time"]), process, words, move, attempt)


def _in_words(kind: Event, attempt: int, works: int, effects: int, status: int) -> tuple[str, Move]:
    if kind is Event.WORK:
        again = works > 1 or attempt > 1
        number = f"attempt {attempt}" + (", once more" if works > 1 and attempt == 1 else "")
        return f"taken, {number}", Move.AGAIN if again else Move.IN
    if kind is Event.EFFECT:
        return "work done" if effects == 1 else f"work done, time number {effects}", Move.HERE
    if kind is Event.ANSWERED and status:
        return ("told: another's answer" if status == MISMATCHED else "told: refused"), Move.IN
    return {
        Event.INTENT: ("sends", Move.OUT),
        Event.ACCEPTED: ("told: accepted", Move.IN),
        Event.ANSWERED: ("told: the answer", Move.IN),
        Event.FAILED: ("told: failed", Move.HERE),
        Event.UNKNOWN: ("told: nobody knows", Move.HERE),
        Event.SETTLED: ("settled", Move.OUT),
        Event.RELEASED: ("given back", Move.OUT),
        Event.SET_ASIDE: ("set aside", Move.OUT),
        Event.STRUCK: ("a fault strikes", Move.STRIKE),
    }.get(kind, (kind.name.lower(), Move.HERE))


def _deaths(history: History, events: Any) -> Iterator[Step]:
    """Who died with it in hand, at the last sign of life; a sender that knew its outcome is of no interest."""
    for index, process in enumerate(history.processes):
        mine = events[(events["process"] == index) & (events["event"] != Event.STRUCK)]
        if process.died is None or not len(mine) or mine[-1]["event"] in _FINISHED:
            continue
        if process.role is Role.SENDER and mine[-1]["event"] != Event.INTENT:
            continue
        last = int(history.events[history.events["process"] == index]["time"].max())
        yield Step(last, index, "its process dies", Move.DEATH)


def _faults(history: History, first: int, last: int) -> Iterator[Step]:
    """Faults that were there between the first and the last step; those that began earlier stand at the top."""
    for window in windows_of(history):
        if window.opened is None:
            continue
        moment = window.healed is None and window.back is None
        opened = round(window.opened * 1e9)
        end = window.back if window.healed is None else window.healed
        ends = None if end is None or math.isinf(end) else round(end * 1e9)
        if opened > last or (moment and opened < first) or (ends is not None and ends < first):
            continue
        since = f" (since {window.opened:.4g} s)" if opened < first else ""
        yield Step(max(opened, first), None, window.name + since, Move.MOMENT if moment else Move.OPENED)
        if ends is not None and ends <= last:
            over = "back again" if window.healed is None else "over"
            yield Step(ends, None, f"{window.name}: {over}", Move.HEALED)


def _never(history: History, operation: int) -> Iterator[Step]:
    """What should have come and did not."""
    import numpy as np

    events = history.events[history.events["operation"] == operation]
    kinds = set(events["event"].tolist())
    if Event.INTENT not in kinds:
        yield Step(None, None, "it was never sent", Move.HERE)
        return
    told = kinds & {Event.ACCEPTED, Event.ANSWERED}
    for group in meant_for(history, operation):
        mine = events[np.isin(events["process"], history.indices(Role.RECEIVER, group))]
        if Event.EFFECT not in mine["event"] and Event.FAILED not in kinds:
            holders = mine[mine["event"] == Event.WORK]["process"].tolist()
            why = ": set aside" if Event.SET_ASIDE in mine["event"] else ": LOST" if told else ""
            yield Step(None, holders[-1] if holders else None, f"done by {group}{why}", Move.LOST)
    if not kinds & {Event.ACCEPTED, Event.ANSWERED, Event.FAILED, Event.UNKNOWN}:
        sender = int(events[events["event"] == Event.INTENT][0]["process"])
        yield Step(None, sender, "told what became of it", Move.SILENCE)


def meant_for(history: History, operation: int) -> tuple[str, ...]:
    """The groups that an operation should have its effect in."""
    message = history.plan.rows["message"][operation - 1]
    return history.groups_of(next(verb for verb in Verb if message in MESSAGES_OF[verb]))


def came_later(name: str) -> bool:
    """Whether a participant came in the place of another one: metering-0_2."""
    return re.search(r"_\d+$", name) is not None
