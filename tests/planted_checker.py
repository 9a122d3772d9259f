"""Faults in the counting and in the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from planted import altered, plant

from sandbox.exchange.schema import Verb
from sandbox.harness import checker
from sandbox.harness.checker import FAIL, INFO, OK, UNATTEMPTED, Accounts, State, Verdict
from sandbox.harness.history import History, Role
from sandbox.harness.journal import Event
from sandbox.harness.plan import MESSAGES_OF


def recount(honest: Any, **changes: Callable[[Any], int]) -> Callable[[History, Verb], Accounts]:
    """An `account` that states other numbers."""

    def account(history: History, verb: Verb) -> Accounts:
        found = honest(history, verb)
        return replace(found, **{n: c(found) for n, c in changes.items() if getattr(found, n) is not None})

    return account


# --- delivery -------------------------------------------------------------------------------------


@plant(checker, "account")
def a_duplicate_is_ignored(honest):
    return recount(honest, duplicated=lambda a: 0)


@plant(checker, "account")
def a_duplicate_hides_a_loss(honest):
    return recount(honest, lost=lambda a: max(0, a.lost - a.duplicated))


@plant(checker, "account")
def only_totals_are_counted(honest):
    def balance(a: Accounts) -> int:
        return a.acknowledged - a.delivered - a.duplicated

    return recount(honest, lost=lambda a: max(0, balance(a)), duplicated=lambda a: max(0, -balance(a)))


@plant(checker, "account")
def whatever_was_sent_and_not_delivered_is_lost(honest):
    return recount(honest, lost=lambda a: max(0, a.attempted - a.delivered))


@plant(checker, "account")
def nothing_is_recovered(honest):
    return recount(honest, recovered=lambda a: 0)


@plant(checker, "account")
def a_contradiction_is_only_a_recovery(honest):
    return recount(honest, contradicted=lambda a: 0)


@plant(checker, "deliveries")
def groups_are_mixed(honest):
    def deliveries(history, group):
        groups = {p.group for p in history.processes if p.role is Role.RECEIVER}
        return sum(honest(history, each) for each in groups)

    return deliveries


@plant(checker, "deliveries")
def the_first_receiver_speaks_for_its_group(honest):
    def deliveries(history, group):
        first = history.indices(Role.RECEIVER, group)[0]
        return honest(replace(history, events=history.events[history.events["process"] <= first]), group)

    return deliveries


@plant(checker, "deliveries")
def work_begun_is_work_done(honest):
    def deliveries(history, group):
        events = history.events.copy()
        events["event"] = np.where(events["event"] == Event.WORK, Event.EFFECT, Event.WORK)
        return honest(replace(history, events=events), group)

    return deliveries


@plant(checker, "_strangers")
def strangers_are_overlooked(honest):
    return lambda history, group, mine: 0


@plant(checker, "account")
def what_was_never_attempted_is_expected(honest):
    def account(history, verb):
        found = honest(history, verb)
        never = checker.outcomes(history) == UNATTEMPTED
        times = sum(checker.deliveries(history, g)[never].sum() for g in history.groups_of(verb))
        return found if found.unexpected is None else replace(found, unexpected=found.unexpected - int(times))

    return account


@plant(checker, "account")
def the_warm_up_is_not_accounted_for(honest):
    def account(history, verb):
        found = honest(history, verb)
        rows = history.plan.rows
        warm = int(rows["warm"][np.isin(rows["message"], MESSAGES_OF[verb])].sum())
        return replace(found, intended=found.intended - warm, ok=found.ok - warm)

    return account


# --- order ----------------------------------------------------------------------------------------


@plant(checker, "_reordered")
def order_is_not_looked_at(honest):
    return lambda history, group: 0


@plant(checker, "_reordered")
def order_is_compared_across_senders(honest):
    return lambda history, group: honest(altered(history, rows={"sender": 0}), group)


@plant(checker, "_reordered")
def order_is_compared_across_competitors(honest):
    def reordered(history, group):
        events, members = history.events.copy(), history.indices(Role.RECEIVER, group)
        events["process"][np.isin(events["process"], members)] = members[0]
        return honest(replace(history, events=events), group)

    return reordered


@plant(checker, "_reordered")
def the_last_delivery_decides_the_order(honest):
    def reordered(history, group):
        events = history.events
        work = np.flatnonzero(events["event"] == Event.WORK)[::-1]
        _, last = np.unique(events["operation"][work], return_index=True)
        chosen = events[np.sort(np.concatenate([work[last], np.flatnonzero(events["event"] != Event.WORK)]))].copy()
        chosen["attempt"] = 1
        return honest(replace(history, events=chosen), group)

    return reordered


@plant(checker, "_reordered")
def a_redelivery_is_out_of_order(honest):
    def reordered(history, group):
        events = history.events.copy()
        events["attempt"] = 1
        return honest(replace(history, events=events), group)

    return reordered


# --- outcomes ---------------------------------------------------------------------------------------


@plant(checker, "outcomes")
def a_timeout_is_a_success(honest):
    return lambda history: np.where(honest(history) == INFO, OK, honest(history))


@plant(checker, "outcomes")
def silence_is_failure(honest):
    return lambda history: np.where(honest(history) == INFO, FAIL, honest(history))


@plant(checker, "outcomes")
def a_failure_is_indeterminate(honest):
    return lambda history: np.where(honest(history) == FAIL, INFO, honest(history))


@plant(checker, "outcomes")
def a_request_that_was_accepted_is_answered(honest):
    return lambda history: np.where(checker.acknowledged(history), OK, honest(history))


@plant(checker, "account")
def indeterminate_operations_are_left_out(honest):
    return recount(honest, intended=lambda a: a.intended - a.info, info=lambda a: 0)


@plant(checker, "acknowledged")
def an_answer_is_no_acknowledgement(honest):
    def acknowledged(history):
        return honest(replace(history, events=history.events[history.events["event"] != Event.ANSWERED]))

    return acknowledged


@plant(checker, "acknowledged")
def whatever_was_attempted_is_acknowledged(honest):
    return lambda history: checker.outcomes(history) != UNATTEMPTED


@plant(checker, "Accounts.conserved")
def the_books_always_balance(honest):
    return property(lambda accounts: True)


# --- drained ----------------------------------------------------------------------------------------


@plant(checker, "all_delivered")
def only_the_acknowledged_are_waited_for(honest):
    return lambda history: not any(checker.account(history, verb).lost for verb in history.workload.weights)


@plant(checker, "all_delivered")
def one_group_that_is_done_is_enough(honest):
    def all_delivered(history):
        return honest(replace(history, workload=history.workload.but(groups=history.workload.groups[-1:])))

    return all_delivered


# --- the verdict --------------------------------------------------------------------------------------


@plant(checker, "judge")
def notes_of_the_run_are_not_read(honest):
    return lambda history: honest(replace(history, notes=()))


@plant(checker, "judge")
def unknown_is_a_pass(honest):
    def judge(history):
        found = honest(history)
        return Verdict(State.VALID) if found.state is State.UNKNOWN else found

    return judge


@plant(checker, "judge")
def a_loss_makes_the_measuring_invalid(honest):
    def judge(history):
        lost = any(checker.account(history, verb).lost for verb in history.workload.weights)
        return Verdict(State.INVALID, ("lost",)) if lost else honest(history)

    return judge


@plant(checker, "_doubts")
def slots_that_were_not_offered_do_not_matter(honest):
    return lambda history: [reason for reason in honest(history) if "not offered" not in reason]


@plant(checker, "judge")
def a_clock_never_jumps_back(honest):
    def judge(history):
        gap = max(0.0, history.facts.get("clock_gap", 0.0))
        return honest(replace(history, facts={**history.facts, "clock_gap": gap}))

    return judge


@plant(checker, "_before_intent")
def records_before_their_intent_are_believed(honest):
    return lambda history: 0


@plant(checker, "pacer_lateness")
def a_pacer_is_never_late(honest):
    return lambda history: (0.0, 1.0)


@plant(checker, "_own_lateness")
def a_pacer_is_charged_for_what_the_channel_kept(honest):
    def own_lateness(history):
        events = history.events.copy()
        events["value"][events["event"] == Event.INTENT] = 1
        return honest(replace(history, events=events))

    return own_lateness


@plant(checker, "_own_lateness")
def what_falls_due_while_the_pacer_is_late_is_not_its_fault(honest):
    return lambda history: honest(history) * (history.of(Event.INTENT)["value"] == 1)


@plant(checker, "pacer_lateness")
def a_closed_loop_has_a_late_pacer(honest):
    return lambda history: honest(replace(history, workload=replace(history.workload, loop="open")))
