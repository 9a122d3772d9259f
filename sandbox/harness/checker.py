"""Counts what became of every operation, in the field's words, and says whether the counting can be trusted.

    conservation   intended = ok + fail + info + unattempted, for every verb of every run
    delivery       multisets over (operation, group): a duplicate never hides a loss
    verdict        valid / unknown / invalid, with reasons: about the measuring, not the measured

Losses, duplicates and saturation are findings: a run that shows them is a good run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sandbox.exchange.schema import Verb
from sandbox.harness.history import History, Role
from sandbox.harness.journal import Event
from sandbox.harness.measure import Measure, highest_quotable, samples
from sandbox.harness.plan import ASK, MESSAGES_OF, READ

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

UNATTEMPTED, OK, FAIL, INFO = 0, 1, 2, 3


@dataclass(frozen=True)
class Accounts:
    """One verb's operations, warm-up included.

    outcome    intended = ok + fail (certainly did not happen) + info (indeterminate) + unattempted
    delivery   over pairs of operation and group: acknowledged to the sender; delivered (worked at least once);
               lost = acknowledged - delivered; duplicated = deliveries beyond the first; unexpected = delivered,
               never attempted; recovered = delivered though never acknowledged; contradicted = delivered though
               its sender was told that it certainly did not happen; reordered = first deliveries that a receiver
               saw after a later operation of the same sender
    pairs are None for shared state that goes through no receiver: there the reads are the account
    """

    intended: int
    ok: int
    fail: int
    info: int
    unattempted: int
    attempted: int
    acknowledged: int
    delivered: int | None
    lost: int | None
    duplicated: int | None
    unexpected: int | None
    recovered: int | None
    contradicted: int | None
    reordered: int | None

    @property
    def conserved(self) -> bool:
        """Whether every intended operation is in exactly one account."""
        return self.intended == self.ok + self.fail + self.info + self.unattempted


class State(StrEnum):
    """Can the records of this run be believed?"""

    VALID = "valid"
    UNKNOWN = "unknown"  #: something was not measured as it should have been; not a pass
    INVALID = "invalid"  #: the records contradict each other


@dataclass(frozen=True)
class Verdict:
    """`state`, and every reason that it is not `valid`."""

    state: State
    reasons: tuple[str, ...] = ()


def outcomes(history: History) -> Array:
    """Per row of the plan: UNATTEMPTED, OK, FAIL or INFO. No outcome means INFO; so does UNKNOWN."""
    import numpy as np

    count = len(history.plan.rows)
    state = np.full(count, UNATTEMPTED)
    state[_rows(history, Event.INTENT)] = INFO
    answered_kind = np.isin(history.plan.rows["message"], (ASK, READ))
    accepted = _rows(history, Event.ACCEPTED)
    state[accepted[~answered_kind[accepted]]] = OK
    state[_rows(history, Event.ANSWERED)] = OK
    state[_rows(history, Event.FAILED)] = FAIL
    return state


def acknowledged(history: History) -> Array:
    """Per row of the plan: whether its sender was told ACCEPTED or ANSWERED."""
    import numpy as np

    told = np.zeros(len(history.plan.rows), dtype=bool)
    told[_rows(history, Event.ACCEPTED)] = True
    told[_rows(history, Event.ANSWERED)] = True
    return told


def deliveries(history: History, group: str) -> Array:
    """Per row of the plan: how often a receiver of the group has done its work (its effects)."""
    import numpy as np

    effects = _known(history, _in_group(history, history.of(Event.EFFECT), group))
    return np.bincount(effects["operation"] - 1, minlength=len(history.plan.rows))


def account(history: History, verb: Verb) -> Accounts:
    """The accounts of one verb."""
    import numpy as np

    mine = np.isin(history.plan.rows["message"], MESSAGES_OF[verb])
    state = outcomes(history)[mine]
    told = acknowledged(history)[mine]
    tally: dict[str, int | None] = dict.fromkeys(
        ("delivered", "lost", "duplicated", "unexpected", "recovered", "contradicted", "reordered")
    )
    groups = history.groups_of(verb)
    if groups:
        tally = dict.fromkeys(tally, 0)
    for group in groups:
        times = deliveries(history, group)[mine]
        found = {
            "delivered": np.sum(times > 0),
            "lost": np.sum(told & (times == 0)),
            "duplicated": np.sum(np.maximum(times - 1, 0)),
            "unexpected": np.sum(times[state == UNATTEMPTED]) + _strangers(history, group, mine),
            "recovered": np.sum(~told & (times > 0)),
            "contradicted": np.sum((state == FAIL) & (times > 0)),
            "reordered": _reordered(history, group),
        }
        tally = {name: (tally[name] or 0) + int(number) for name, number in found.items()}
    return Accounts(
        intended=int(mine.sum()),
        ok=int(np.sum(state == OK)),
        fail=int(np.sum(state == FAIL)),
        info=int(np.sum(state == INFO)),
        unattempted=int(np.sum(state == UNATTEMPTED)),
        attempted=int(np.sum(state != UNATTEMPTED)),
        acknowledged=int(told.sum()) * max(1, len(groups)),
        **tally,
    )


def all_delivered(history: History) -> bool:
    """Whether nothing is left to wait for: every acknowledged or indeterminate operation has had its effect."""
    import numpy as np

    state = outcomes(history)
    waited_for = (state == OK) | (state == INFO)
    for verb, messages in MESSAGES_OF.items():
        mine = np.isin(history.plan.rows["message"], messages)
        for group in history.groups_of(verb):
            if np.any(mine & waited_for & (deliveries(history, group) == 0)):
                return False
    return True


def judge(history: History) -> Verdict:
    """The verdict on a run's measuring."""
    invalid = tuple(_contradictions(history))
    if invalid:
        return Verdict(State.INVALID, invalid)
    unknown = (*history.notes, *_doubts(history))
    return Verdict(State.UNKNOWN if unknown else State.VALID, unknown)


def _contradictions(history: History) -> list[str]:
    reasons = []
    for verb in history.workload.weights:
        accounts = account(history, verb)
        if not accounts.conserved:
            reasons.append(f"{verb}: {accounts.intended} intended are not ok + fail + info + unattempted")
    early = _before_intent(history)
    if early:
        reasons.append(f"{early} events stand before the intent of their operation, or without one")
    return reasons


def _doubts(history: History) -> list[str]:
    reasons = []
    missing = sum(account(history, verb).unattempted for verb in history.workload.weights)
    if missing:
        reasons.append(f"{missing} operations of the plan were not offered")
    late, allowed = pacer_lateness(history)
    if late > allowed:
        reasons.append(
            f"the pacer itself was late by {late / 1e6:.2f} ms at the highest percentile that can be quoted, "
            f"where {allowed / 1e6:.2f} ms is allowed; "
            "the machine was busy with something else"
        )
    for fault in history.facts.get("faults", ()):
        if not fault["witnesses"]:
            reasons.append(f"the fault {fault['title']!r} never fired: nothing was touched by it")
    gap = float(history.facts.get("clock_gap", 0.0))
    if abs(gap) > 0.5:
        reasons.append(f"the clock jumped by {gap:.1f} s during the run (suspended or adjusted)")
    return reasons


def pacer_lateness(history: History) -> tuple[float, float]:
    """How late (ns) operations were begun by the pacer's own fault, and what is allowed.

    Taken at the highest percentile that so many operations can carry (`highest_quotable`): a single hiccup
    cannot move any figure that is quoted.

    It is at fault for an operation before which it had nothing else to do, and for those that fell due
    while it was late with that one. What is late because the channel kept the sender is the channel's.

    Allowed is a quarter of the p99 of the response time (of the quickest verb of a mix), at least 1 ms: more
    of it, which is in every latency since those count from the intended start, could carry a conclusion.
    """
    import numpy as np

    if history.workload.loop != "open":
        return 0.0, 1.0
    late = _own_lateness(history)
    if not len(late):
        return 0.0, 1.0
    responses = [samples(history, verb, Measure.RESPONSE).ns for verb in history.workload.weights]
    tails = [float(np.percentile(r, 99)) for r in responses if len(r)]
    return float(np.quantile(late, highest_quotable(len(late)))), max(1e6, 0.25 * min(tails, default=0.0))


def _own_lateness(history: History) -> Array:
    """Per begun operation: ns after its intended start until which its pacer, having been idle, was still late."""
    import numpy as np

    intents = _known(history, history.of(Event.INTENT))
    late = [np.zeros(0)]
    for process in np.unique(intents["process"]):
        mine = intents[intents["process"] == process]
        woken = np.maximum.accumulate(np.where(mine["value"] == 1, mine["time"], np.iinfo(np.int64).min // 2))
        late.append(np.maximum(woken - history.plan.rows["due"][mine["operation"] - 1], 0))
    return np.concatenate(late)


def _rows(history: History, kind: Event) -> Array:
    """Rows of the plan that have an event of a kind at their sender."""
    rows: Array = _known(history, history.of(kind))["operation"] - 1
    return rows


def _known(history: History, events: Array) -> Array:
    known: Array = events[(events["operation"] >= 1) & (events["operation"] <= len(history.plan.rows))]
    return known


def _in_group(history: History, events: Array, group: str) -> Array:
    import numpy as np

    chosen: Array = events[np.isin(events["process"], history.indices(Role.RECEIVER, group))]
    return chosen


def _strangers(history: History, group: str, mine: Array) -> int:
    """Effects in a group of operations that are in no plan, or were not meant for it."""
    effects = _in_group(history, history.of(Event.EFFECT), group)
    return len(effects) - int(deliveries(history, group)[mine].sum())


def _reordered(history: History, group: str) -> int:
    """First deliveries that a receiver saw after a later one of the same sender."""
    import numpy as np

    work = _known(history, _in_group(history, history.of(Event.WORK), group))
    _, first = np.unique(work["operation"], return_index=True)
    work = work[np.sort(first)]
    intents = _known(history, history.of(Event.INTENT))
    work = work[(work["attempt"] <= 1) & np.isin(work["operation"], intents["operation"])]
    sender = history.plan.rows["sender"][work["operation"] - 1]
    begun = np.zeros(len(history.plan.rows), dtype=np.int64)
    begun[intents["operation"] - 1] = intents["time"]
    count = 0
    for pair in set(zip(work["process"].tolist(), sender.tolist(), strict=True)):
        mine = work[(work["process"] == pair[0]) & (sender == pair[1])]
        seen = begun[mine["operation"] - 1]
        count += int(np.sum(seen < np.maximum.accumulate(seen)))
    return count


def _before_intent(history: History) -> int:
    import numpy as np

    begun = np.full(len(history.plan.rows), np.iinfo(np.int64).max)
    intents = _known(history, history.of(Event.INTENT))
    begun[intents["operation"] - 1] = intents["time"]
    later = _known(history, history.of(Event.ACCEPTED, Event.ANSWERED, Event.FAILED, Event.UNKNOWN, Event.EFFECT))
    return int(np.sum(later["time"] < begun[later["operation"] - 1]))
