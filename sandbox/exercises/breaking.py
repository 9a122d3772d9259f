"""Exercise of notebook 08: a fault that shows a declared weakness, and nothing else, with a witness.

The channel is a spool, which promises at least once, so that a download may be billed twice. Each look is at one real
run under the student's fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.errors import BadArgument, RunFailed
from sandbox.exercises.check import RAISED, UNFINISHED, Exercise, Reason
from sandbox.faults.fault import Fault
from sandbox.harness.journal import Event

if TYPE_CHECKING:
    from sandbox.harness.history import History

OPERATIONS = 30


def judge(kind: type[Fault]) -> Iterator[Reason]:
    """The first look that finds something ends it: what else is wrong may follow from that."""
    from sandbox.api import run
    from sandbox.file_share.spool import Spool
    from sandbox.harness.workload import Workload

    workload = Workload("tell", operations=OPERATIONS, rate=300, warmup=0, service=0.002, receivers=2)
    try:
        history = run(Spool(lease=0.3), workload, faults=[kind().at(0.0)]).history
    except RunFailed as error:
        yield _raised(str(error))
        return
    except BadArgument as error:
        yield Reason("refused", f"The run was refused before it began: {error}")
        return
    found = _failed(history) or _never_fired(history) or _more_than_that(history) or _not_shown(history)
    if found:
        yield found


def _raised(text: str) -> Reason:
    if "NotImplementedError" in text:
        return Reason(UNFINISHED, "A method still raises NotImplementedError: write its body.")
    return Reason(RAISED, f"Your fault raised an error: {text.strip().splitlines()[-1]}")


def _failed(history: History) -> Reason | None:
    failed = history.facts.get("failed", {})
    if not failed:
        return None
    name, text = next(iter(failed.items()))
    if "NotImplementedError" in text:
        return _raised(text)
    what = f"{name} ended with an error: {text.strip().splitlines()[-1]}"
    return Reason(RAISED, f"{what}\nThat is a mistake in a program, and none in the world: kill, or stand still.")


def _never_fired(history: History) -> Reason | None:
    (fault,) = history.facts["faults"]
    if fault["witnesses"]:
        return None
    if _twice(history) or _missing(history) or history.notes:
        why = "Something was broken, and there is no witness. Nobody who reads this run will know what did it."
        return Reason("no witness", f"{why} hook.die(operation) and hook.strike(operation) put it on record.")
    return Reason("never fired", f"All {OPERATIONS} were billed, and your fault touched nobody: that shows nothing.")


def _more_than_that(history: History) -> Reason | None:
    missing, twice = _missing(history), _twice(history)
    if missing:
        struck = history.facts["faults"][0]["witnesses"]
        why = f"{len(missing)} downloads were never billed: it struck {struck} times, and nobody was left to work."
        return Reason("breaks more", f"{why} The spool cannot be blamed for that. Once is enough.")
    if len(twice) > 1:
        return Reason("too often", f"{len(twice)} downloads were billed twice. One is enough: strike once.")
    return None


def _not_shown(history: History) -> Reason | None:
    twice, events = _twice(history), history.events
    if twice:
        mine = events[(events["event"] == Event.EFFECT) & (events["operation"] == twice[0])]
        if mine["attempt"].max() > 1:
            return None
        why = f"Download {twice[0]} was billed twice, each time as attempt 1: it was given to the spool twice."
        return Reason("told twice", f"{why} Then it has to come out twice. That is no weakness of the spool.")
    struck = events[events["event"] == Event.STRUCK]
    process, number = int(struck["process"][0]), int(struck["operation"][0])
    mine = events[
        (events["process"] == process) & (events["operation"] == number) & (events["time"] < struck["time"][0])
    ]
    before = mine["event"].tolist()
    where = f"All were billed once. It struck {history.processes[process].name}"
    if Event.SETTLED in before:
        return Reason("too late", f"{where} when it had settled {number}: the spool was told, and that was that.")
    if Event.WORK in before and Event.EFFECT not in before:
        return Reason(
            "too early", f"{where} when {number} had no effect yet: another one billed it, for the first time."
        )
    if Event.EFFECT in before:
        return Reason(
            "not long", f"{where} in the right moment, and {number} was settled all the same, before its lease."
        )
    return Reason("elsewhere", f"{where}, which had nothing in hand that could be billed again.")


def _times(history: History) -> list[tuple[int, int]]:
    from sandbox.harness.checker import deliveries

    return list(zip(history.plan.rows["id"].tolist(), deliveries(history, "metering").tolist(), strict=True))


def _missing(history: History) -> list[int]:
    return [number for number, times in _times(history) if not times]


def _twice(history: History) -> list[int]:
    return [number for number, times in _times(history) if times > 1]


exercise = Exercise(
    name="breaking",
    question=(
        "A spool promises at least once. Write class Mine(HookedFault), a fault under which it shows what that allows: "
        "of 30 downloads, told once each to two processes of metering, exactly one is billed twice, and all others "
        "once. meet(hook, point, operation, attempt) is called in each of them at taken, working, worked and settled. "
        "hook.strike(operation) puts on record that it strikes, hook.die(operation) does and kills the process; "
        "hook.switch.strikes says how often it has struck so far, in all processes."
    ),
    answer="Mine",
    judge=judge,
    base=Fault,
)
