"""What became of every single operation, when, and how that is drawn: nothing is left out, warm-up included."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sandbox.errors import BadArgument
from sandbox.harness import checker
from sandbox.harness.history import History
from sandbox.harness.journal import Event
from sandbox.harness.measure import NEVER, first, put_aside, responses
from sandbox.harness.plan import MESSAGES_OF
from sandbox.harness.result import Result

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Fate(StrEnum):
    """What became of an operation; where several hold, the last of them."""

    UNATTEMPTED = "unattempted"  #: never offered
    OK = "ok"
    INFO = "info"  #: indeterminate: no outcome, or "unknown"
    FAIL = "fail"  #: its sender was told that it certainly did not happen
    ASIDE = "set aside"  #: a receiver has given up on it, and put it where it is not lost; without effect in that group
    TWICE = "done twice"  #: its work had its effect more than once in some group
    LOST = "lost"  #: acknowledged to its sender, without effect in some group, and not set aside


FATES = tuple(Fate)
#: fate -> marker, colour, size in points: shape and colour say the same
MARKS: dict[Fate, tuple[str, str, float]] = {
    Fate.OK: ("o", "#4C7796", 4.5),
    Fate.FAIL: ("v", "#A65E00", 7.5),
    Fate.INFO: ("D", "#7A5C00", 6.5),
    Fate.ASIDE: ("s", "#2F6B4F", 7.5),
    Fate.LOST: ("X", "#C4200B", 10.0),
    Fate.TWICE: ("P", "#8E3B8E", 9.5),
    Fate.UNATTEMPTED: ("|", "#595959", 9.0),
}


def mark(fate: Fate) -> dict[str, Any]:
    """Keywords of `Axes.plot` for the marks of a fate; indeterminate ones are hollow."""
    marker, colour, size = MARKS[fate]
    hollow = {"markerfacecolor": "white", "markeredgewidth": 1.8} if fate is Fate.INFO else {}
    edge = {"markeredgewidth": 2.0} if fate is Fate.UNATTEMPTED else {"markeredgewidth": 0.8}
    return {"linestyle": "none", "marker": marker, "markersize": size, "color": colour, **edge, **hollow}


@dataclass(frozen=True)
class Lives:
    """Per row of the plan, in s after the start of the run, not-a-number where there is none.

    fate    index into `FATES`
    start   intended start; actual start in a closed loop, which knows no other
    end     response, or when its sender was told that it failed
    done    response: what counts as completed
    """

    fate: Array
    start: Array
    end: Array
    done: Array

    def count(self, fate: Fate) -> int:
        """How many operations have a fate."""
        return int((self.fate == FATES.index(fate)).sum())

    def censored(self, fate: Fate) -> Array:
        """Which operations of a fate have no end."""
        import numpy as np

        ended: Array = (self.fate == FATES.index(fate)) & np.isnan(self.end)
        return ended


def history_of(run: History | Result) -> History:
    """The history of a run, of which a notebook has the result. `BadArgument` for anything else."""
    if isinstance(run, Result):
        return run.history
    if isinstance(run, History):
        return run
    raise BadArgument("history", expected="the history of a run, or its result", got=type(run).__name__)


def lives(history: History) -> Lives:
    """What became of every operation of a history. `BadArgument` for one without operations."""
    import numpy as np

    rows = history.plan.rows
    if not len(rows):
        raise BadArgument("history", expected="one with operations", got=history.channel)
    begun = first(history, Event.INTENT)
    done = np.full(len(rows), NEVER)
    for verb, messages in MESSAGES_OF.items():
        mine = np.isin(rows["message"], messages)
        if mine.any():
            done[mine] = responses(history, verb)[mine]
    done[begun == NEVER] = NEVER  # of what was never offered, nothing can have come
    fate = _fates(history)
    failed = first(history, Event.FAILED)
    end = np.where((done == NEVER) | (fate == FATES.index(Fate.FAIL)), failed, done)
    start = rows["due"] if history.workload.loop == "open" else begun
    return Lives(fate, *(_seconds(each) for each in (start, end, done)))


def _fates(history: History) -> Array:
    import numpy as np

    rows = history.plan.rows
    state, told = checker.outcomes(history), checker.acknowledged(history)
    fate = np.full(len(rows), FATES.index(Fate.UNATTEMPTED))
    for code, name in ((checker.OK, Fate.OK), (checker.INFO, Fate.INFO), (checker.FAIL, Fate.FAIL)):
        fate[state == code] = FATES.index(name)
    for verb, messages in MESSAGES_OF.items():
        mine = np.isin(rows["message"], messages)
        for group in history.groups_of(verb) if mine.any() else ():
            effects, aside = checker.deliveries(history, group), put_aside(history, group)
            for name, which in (
                (Fate.ASIDE, aside & (effects == 0)),
                (Fate.TWICE, effects > 1),
                (Fate.LOST, told & (effects == 0) & ~aside),
            ):
                fate[mine & which & (fate < FATES.index(name))] = FATES.index(name)
    return fate


def _seconds(ns: Array) -> Array:
    import numpy as np

    return np.where(ns == NEVER, np.nan, ns / 1e9)
