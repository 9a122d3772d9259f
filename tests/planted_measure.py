"""Faults in the measuring: from a history to latencies, and from latencies to percentiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from planted import altered, plant

from sandbox.exchange.schema import Verb
from sandbox.harness import measure
from sandbox.harness.history import Role
from sandbox.harness.journal import Event
from sandbox.harness.measure import NEVER, Measure, Samples


def resampled(honest: Any, change: Callable[[Samples], Samples]) -> Callable[..., Samples]:
    """A `samples` that tells something else."""
    return lambda *args: change(honest(*args))


def only(found: Samples, keep: np.ndarray[Any, Any]) -> Samples:
    """Some of the samples."""
    return replace(found, ns=found.ns[keep], operations=found.operations[keep])


# --- which operations -----------------------------------------------------------------------------


@plant(measure, "samples")
def the_slowest_sample_is_dropped(honest):
    return resampled(
        honest, lambda found: only(found, found.ns < max(found.ns, default=0)) if len(found.ns) > 1 else found
    )


@plant(measure, "samples")
def samples_of_no_time_at_all_are_dropped(honest):
    return resampled(honest, lambda found: only(found, found.ns > 0))


@plant(measure, "samples")
def latencies_are_clamped(honest):
    return resampled(honest, lambda found: replace(found, ns=np.minimum(found.ns, 10_000_000_000)))


@plant(measure, "samples")
def the_last_sample_is_dropped(honest):
    return resampled(honest, lambda found: only(found, np.arange(len(found.ns)) < max(1, len(found.ns) - 1)))


@plant(measure, "samples")
def timeouts_are_dropped(honest):
    return resampled(honest, lambda found: replace(found, censored=0))


@plant(measure, "samples")
def the_warm_up_is_measured(honest):
    return lambda history, *args: honest(altered(history, rows={"warm": 0}), *args)


@plant(measure, "samples")
def a_timeout_is_a_success(honest):
    def samples(history, *args):
        events = history.events.copy()
        events["event"][events["event"] == Event.UNKNOWN] = Event.ANSWERED
        return honest(replace(history, events=events), *args)

    return samples


@plant(measure, "samples")
def what_failed_for_certain_is_censored(honest):
    def samples(history, *args):
        return honest(replace(history, events=history.events[history.events["event"] != Event.FAILED]), *args)

    return samples


@plant(measure, "samples")
def a_refusal_is_no_answer(honest):
    def samples(history, *args):
        return honest(replace(history, events=history.events[history.events["status"] == 0]), *args)

    return samples


@plant(measure, "samples")
def reads_and_writes_are_mixed(honest):
    return lambda history, verb, which, message=None: honest(history, verb, which)


# --- which span -------------------------------------------------------------------------------------


@plant(measure, "samples")
def the_actual_start_is_taken_for_the_intended_one(honest):
    return lambda history, *args: honest(replace(history, workload=replace(history.workload, loop="closed")), *args)


@plant(measure, "samples")
def a_closed_loop_is_called_open(honest):
    return lambda history, *args: honest(replace(history, workload=replace(history.workload, loop="open")), *args)


@plant(measure, "_ends")
def the_time_of_the_effect_is_taken_for_that_of_the_work(honest):
    return lambda history, verb, which: honest(history, verb, Measure.SERVICE if which is Measure.WAIT else which)


@plant(measure, "_ends")
def accepted_is_arrived(honest):
    return lambda history, verb, which: honest(history, verb, Measure.ACCEPTANCE)


@plant(measure, "_ends")
def a_write_waits_for_an_answer(honest):
    def ends(history, verb, which):
        if verb is Verb.SHARE:
            return measure._first(history, history.of(Event.ANSWERED))
        return honest(history, verb, which)

    return ends


@plant(measure, "_last_group")
def the_quickest_group_speaks_for_all(honest):
    def last_group(history, verb, kind):
        events = history.of(kind)
        return measure._first(history, events[np.isin(events["process"], history.indices(Role.RECEIVER))])

    return last_group


@plant(measure, "_first")
def the_last_delivery_counts(honest):
    def last(history, events):
        return np.where(honest(history, events) < NEVER, -honest(history, negative(events)), NEVER)

    def negative(events):
        events = events.copy()
        events["time"] *= -1
        return events

    return last


# --- percentiles --------------------------------------------------------------------------------------


@plant(measure, "_rank")
def a_percentile_is_one_too_high(honest):
    return lambda count, q: min(count, honest(count, q) + 1)


@plant(measure, "_rank")
def a_percentile_is_one_too_low(honest):
    return lambda count, q: max(1, honest(count, q) - 1)


@plant(measure, "_pick")
def percentiles_are_interpolated(honest):
    return lambda values, qs: np.quantile(values, qs)


@plant(measure, "_pick")
def the_mean_is_called_the_median(honest):
    return lambda values, qs: np.full(len(qs), values.mean())


@plant(measure, "quantiles")
def censored_samples_are_left_out_of_percentiles(honest):
    return lambda repeats, *args: honest([replace(r, censored=0) for r in repeats], *args)


@plant(measure, "quantiles")
def only_the_first_repeat_is_looked_at(honest):
    return lambda repeats, *args: honest(repeats[:1], *args)


@plant(measure, "BEYOND")
def a_percentile_of_few_is_quoted(honest):
    return 0


@plant(measure, "BEYOND")
def nine_samples_beyond_are_enough(honest):
    return 9


# --- intervals ----------------------------------------------------------------------------------------


@plant(measure, "_redraw")
def the_bootstrap_draws_nothing(honest):
    return lambda repeats, rng: repeats


@plant(measure, "_redraw")
def whole_repeats_are_taken_for_alike(honest):
    return lambda repeats, rng: [honest([repeat], rng)[0] for repeat in repeats]


@plant(measure, "_redraw")
def neighbours_are_taken_for_independent(honest):
    def redraw(repeats, rng):
        chosen = [repeats[i] for i in rng.integers(0, len(repeats), len(repeats))]
        return [rng.choice(values, len(values)) for values in chosen]

    return redraw


@plant(measure, "quantiles")
def an_interval_is_from_the_least_to_the_most(honest):
    def quantiles(repeats, qs, seed, rounds):
        found = honest(repeats, qs, seed, rounds)
        ns = np.concatenate([r.ns for r in repeats]) if repeats else []
        return {q: replace(f, low=min(ns), high=max(ns)) if f.value is not None else f for q, f in found.items()}

    return quantiles


@plant(measure, "quantiles")
def the_seed_seeds_nothing(honest):
    return lambda repeats, qs, seed, rounds: honest(repeats, qs, 1, rounds)


@plant(measure, "Quantile.overlaps")
def a_difference_is_never_a_tie(honest):
    return lambda one, other: False


@plant(measure, "Quantile.overlaps")
def every_difference_is_a_tie(honest):
    return lambda one, other: True
