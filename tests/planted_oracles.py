"""Faults in the business's own accounts: bills, volumes, states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from planted import plant

from sandbox.exchange import oracles
from sandbox.harness.history import History
from sandbox.harness.journal import REFUSALS, Event
from sandbox.harness.plan import READ


def told(honest: Any, **changes: Callable[[Any], Any]) -> Callable[..., Any]:
    """An oracle that states other numbers."""

    def oracle(*args: Any) -> Any:
        found = honest(*args)
        return replace(found, **{name: change(found) for name, change in changes.items()})

    return oracle


def as_planned(history: History, column: str, planned: str) -> History:
    """A history in which every effect is about what was planned."""
    events = history.events.copy()
    known = (events["event"] == Event.EFFECT) & (events["operation"] >= 1)
    known &= events["operation"] <= len(history.plan.rows)
    events[column][known] = history.plan.rows[planned][events["operation"][known] - 1]
    return replace(history, events=events)


# --- bills ----------------------------------------------------------------------------------------


@plant(oracles, "Bill.right")
def a_right_sum_is_a_right_bill(honest):
    return property(lambda bill: bill.billed == bill.meant)


@plant(oracles, "bill")
def a_double_bill_is_billed_once(honest):
    return told(honest, billed=lambda b: b.billed - b.doubled, doubled=lambda b: 0)


@plant(oracles, "bill")
def a_double_bill_makes_up_for_an_unbilled_one(honest):
    return told(
        honest, doubled=lambda b: max(0, b.doubled - b.unbilled), unbilled=lambda b: max(0, b.unbilled - b.doubled)
    )


@plant(oracles, "_in_group")
def the_bills_of_all_groups_are_one(honest):
    return lambda history, group: history.of(Event.EFFECT)


@plant(oracles, "_in_group")
def what_is_in_no_plan_is_not_billed(honest):
    def in_group(history, group):
        effects = honest(history, group)
        return effects[effects["operation"] <= len(history.plan.rows)]

    return in_group


@plant(oracles, "bill")
def another_amount_is_believed(honest):
    return lambda history, group: honest(as_planned(history, "value", "value"), group)


@plant(oracles, "bill")
def another_project_may_pay(honest):
    return lambda history, group: honest(as_planned(history, "detail", "project"), group)


@plant(oracles, "Bill.right")
def bills_that_are_right_in_sum_are_right(honest):
    return property(lambda bill: not (bill.wrong_projects or bill.unbilled or bill.doubled))


@plant(oracles, "bill")
def what_is_billed_to_another_project_is_no_wrong_amount(honest):
    def billed(history, group):
        found = honest(history, group)
        return replace(found, wrong=honest(as_planned(history, "detail", "project"), group).wrong)

    return billed


@plant(oracles, "_per_project")
def one_bill_stands_for_all_projects(honest):
    return lambda table, project: {0: int(table["value"].sum())}


@plant(oracles, "acknowledged")
def everything_planned_is_meant(honest):
    return lambda history: np.ones(len(history.plan.rows), dtype=bool)


# --- volumes ----------------------------------------------------------------------------------------


@plant(oracles, "volumes")
def a_quota_is_never_exceeded(honest):
    return told(honest, over_quota=lambda v: 0)


@plant(oracles, "volumes")
def a_full_quota_is_an_exceeded_one(honest):
    def volumes(history):
        workload = history.workload.but(quota_gb=history.workload.quota_gb - 1)
        return honest(replace(history, workload=workload))

    return volumes


@plant(oracles, "volumes")
def a_refusal_is_always_right(honest):
    return told(honest, wrongly_refused=lambda v: 0)


@plant(oracles, "volumes")
def a_volume_created_twice_is_one(honest):
    return told(honest, created=lambda v: v.created - v.created_twice, created_twice=lambda v: 0)


@plant(oracles, "volumes")
def another_size_is_as_good(honest):
    return lambda history: honest(as_planned(history, "value", "value"))


@plant(oracles, "volumes")
def an_answer_to_another_question_is_an_answer(honest):
    return told(honest, mismatched=lambda v: 0)


@plant(oracles, "volumes")
def a_created_volume_is_believed_without_looking(honest):
    return told(honest, unfounded=lambda v: 0)


@plant(oracles, "volumes")
def a_denial_is_believed_without_looking(honest):
    return told(honest, denied=lambda v: 0)


@plant(oracles, "Volumes.right")
def the_answers_do_not_matter_if_the_books_are_right(honest):
    return property(lambda v: not (v.created_twice or v.wrong or v.over_quota or v.wrongly_refused))


# --- states -----------------------------------------------------------------------------------------


@plant(oracles, "states")
def no_read_is_stale(honest):
    return told(honest, stale=lambda s: 0, staleness=lambda s: ())


@plant(oracles, "states")
def every_stale_read_is_as_far_behind_as_the_stalest(honest):
    return told(honest, behind=lambda s: (s.versions,) * s.stale)


@plant(oracles, "states")
def how_far_behind_does_not_say_which_read(honest):
    return told(honest, behind=lambda s: tuple(sorted(s.behind)))


@plant(oracles, "_Writes.accepted_after")
def what_was_never_accepted_counts_too(honest):
    def accepted_after(writes, volume, version, moment):
        begun = {v: time for (of, v), time in writes._begun.items() if of == volume}
        times = begun | writes._accepted.get(volume, {})
        return sorted(time for later, time in times.items() if later > version and time < moment)

    return accepted_after


@plant(oracles, "States.right")
def staleness_is_an_error(honest):
    return property(lambda s: honest.fget(s) and not s.stale)


@plant(oracles, "states")
def a_read_begins_when_it_is_answered(honest):
    def states(history):
        events = history.events.copy()
        reads = np.flatnonzero(history.plan.rows["message"] == READ) + 1
        for intent in np.flatnonzero((events["event"] == Event.INTENT) & np.isin(events["operation"], reads)):
            same = (events["operation"] == events["operation"][intent]) & (events["event"] == Event.ANSWERED)
            events["time"][intent] = events["time"][same][0] if same.any() else events["time"][intent]
        return honest(replace(history, events=events))

    return states


@plant(oracles, "_Writes.accepted_after")
def staleness_counts_from_the_newest_version(honest):
    return lambda writes, volume, version, moment: honest(writes, volume, version, moment)[::-1]


@plant(oracles, "_Writes.accepted_after")
def a_version_counts_from_when_its_writing_was_begun(honest):
    def begun_after(writes, volume, version, moment):
        begun = [(v, time) for (of, v), time in writes._begun.items() if of == volume]
        return sorted(time for later, time in begun if later > version and time < moment)

    return begun_after


@plant(oracles, "states")
def no_reader_goes_back(honest):
    return told(honest, backwards=lambda s: 0)


@plant(oracles, "states")
def all_readers_are_one(honest):
    def states(history):
        events = history.events.copy()
        events["process"] = 0
        return honest(replace(history, events=events))

    return states


@plant(oracles, "_Seen.newest")
def reads_that_overlap_have_an_order(honest):
    return lambda seen, reader, by: honest(seen, reader, 1 << 62)


@plant(oracles, "_Writes.impossible")
def any_state_can_be(honest):
    return lambda *args: False


@plant(oracles, "_Writes.impossible")
def a_version_that_is_being_written_cannot_be_read(honest):
    def impossible(writes, volume, version, state, answered):
        accepted = writes._accepted.get(volume, {}).get(version, 0)
        return accepted > answered or honest(writes, volume, version, state, answered)

    return impossible


@plant(oracles, "_answers")
def an_error_is_a_state(honest):
    def answers(history, message):
        found = honest(history, message).copy()
        found["status"][found["status"] == REFUSALS["RemoteError"]] = 0
        return found

    return answers


@plant(oracles, "_answers")
def a_volume_without_a_state_is_no_read(honest):
    def answers(history, message):
        found = honest(history, message)
        return found[found["status"] != REFUSALS["NoSuchVolume"]]

    return answers
