"""From a history to latencies, and from latencies to numbers that may be quoted.

    response    intended start -> answered (ask, read), accepted (write), or worked by every group (tell)
    acceptance  intended start -> the sender was told that its acceptor has it
    wait        intended start -> the (last) receiver started to work on it
    service     start -> end of that work

In a closed loop there is no intended start; there latencies count from the actual one, and say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sandbox.exchange.schema import Verb
from sandbox.harness.history import History, Role
from sandbox.harness.journal import Event
from sandbox.harness.plan import MESSAGES_OF, WRITE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Array = np.ndarray[Any, Any]

#: a percentile is quoted only where at least so many samples lie beyond it
BEYOND = 10
#: the percentiles that tables show
QUOTED = (0.5, 0.9, 0.99)
NEVER = 1 << 62


class Measure(StrEnum):
    """Which latency; see the module's text."""

    RESPONSE = "response"
    ACCEPTANCE = "acceptance"
    WAIT = "wait"
    SERVICE = "service"


@dataclass(frozen=True)
class Samples:
    """Latencies in ns of the measured (not warm-up) operations of a verb, in order of intended start.

    operations  their ids, same order as `ns`
    censored    attempted, but without this latency: no outcome in time. Counted as longer than everything.
    """

    ns: Array
    operations: Array
    censored: int = 0

    @property
    def count(self) -> int:
        """How many operations stand behind a percentile, censored ones included."""
        return len(self.ns) + self.censored


def samples(history: History, verb: Verb, measure: Measure, message: int | None = None) -> Samples:
    """One latency of one verb (of one message of it: the WRITEs or READs of *share*)."""
    import numpy as np

    rows = history.plan.rows
    begun = _first(history, history.of(Event.INTENT))
    kinds = MESSAGES_OF[verb] if message is None else (message,)
    mine = np.isin(rows["message"], kinds) & (rows["warm"] == 0) & (begun < NEVER)
    origin = rows["due"] if history.workload.loop == "open" else begun
    end = _ends(history, verb, measure)
    if measure is Measure.SERVICE:
        origin = _ends(history, verb, Measure.WAIT)
    there = mine & (end < NEVER) & (origin < NEVER)
    failed = _first(history, history.of(Event.FAILED)) < NEVER
    return Samples((end - origin)[there], rows["id"][there], int(np.sum(mine & ~there & ~failed)))


def first(history: History, kind: Event) -> Array:
    """Per row of the plan, warm-up included: ns at which it first had an event of a kind, `NEVER` if it has not."""
    return _first(history, history.of(kind))


def put_aside(history: History, group: str) -> Array:
    """Per row of the plan, warm-up included: whether a receiver of a group has set it aside."""
    import numpy as np

    found = np.zeros(len(history.plan.rows), dtype=bool)
    events = history.of(Event.SET_ASIDE)
    rows = events[np.isin(events["process"], history.indices(Role.RECEIVER, group))]["operation"]
    found[rows[(rows >= 1) & (rows <= len(found))] - 1] = True
    return found


def responses(history: History, verb: Verb) -> Array:
    """Per row of the plan, warm-up included: ns at which its response was there, `NEVER` if it never was.

    Holds for the rows of this verb only. Of *share*, a write's response is its acceptance.
    """
    return _ends(history, verb, Measure.RESPONSE)


def _ends(history: History, verb: Verb, measure: Measure) -> Array:
    """Per row of the plan: when the measured span ended, NEVER if it has not."""
    import numpy as np

    if measure is Measure.ACCEPTANCE:
        return _first(history, history.of(Event.ACCEPTED, Event.ANSWERED))
    if measure in (Measure.WAIT, Measure.SERVICE):
        return _last_group(history, verb, Event.WORK if measure is Measure.WAIT else Event.EFFECT)
    if verb is Verb.TELL:
        return _last_group(history, verb, Event.EFFECT)
    message = history.plan.rows["message"]
    answered = _first(history, history.of(Event.ANSWERED))
    accepted = _first(history, history.of(Event.ACCEPTED))
    return np.where(message == WRITE, accepted, answered)


def _last_group(history: History, verb: Verb, kind: Event) -> Array:
    """When the last of the groups first had an event of a kind."""
    import numpy as np

    groups = history.groups_of(verb)
    events = history.of(kind)
    last = np.full(len(history.plan.rows), NEVER if not groups else 0)
    for group in groups:
        mine = events[np.isin(events["process"], history.indices(Role.RECEIVER, group))]
        last = np.maximum(last, _first(history, mine))
    return last


def _first(history: History, events: Array) -> Array:
    """Per row of the plan: time of its first event among `events`, NEVER if it has none."""
    import numpy as np

    count = len(history.plan.rows)
    known = events[(events["operation"] >= 1) & (events["operation"] <= count)]
    first = np.full(count, NEVER)
    np.minimum.at(first, known["operation"] - 1, known["time"])
    return first


@dataclass(frozen=True)
class Quantile:
    """A percentile in ns with a 95 % interval and the number of samples behind it.

    value is None where fewer than `BEYOND` samples lie beyond it, and infinite where it falls among
    the censored ones.
    """

    q: float
    value: float | None
    low: float
    high: float
    samples: int

    def overlaps(self, other: Quantile) -> bool:
        """Whether the two intervals overlap: then the difference is called a tie."""
        return self.low <= other.high and other.low <= self.high


def highest_quotable(count: int) -> float:
    """The highest percentile, as a fraction up to 0.99, beyond which `count` samples leave at least `BEYOND`."""
    return min(0.99, max(0.5, 1 - BEYOND / max(1, count)))


def quantile(repeats: Sequence[Samples], q: float, seed: int = 1, rounds: int = 400) -> Quantile:
    """One percentile over the pooled repeats; see `quantiles`."""
    return quantiles(repeats, (q,), seed, rounds)[q]


def quantiles(
    repeats: Sequence[Samples], qs: Sequence[float], seed: int = 1, rounds: int = 400
) -> dict[float, Quantile]:
    """Percentiles over the pooled repeats of a run.

    The intervals come from a bootstrap that draws repeats, and within each of them blocks of
    neighbouring operations: neighbours are not independent, and neither is a whole run.
    """
    import numpy as np

    full = [np.concatenate([r.ns.astype(float), np.full(r.censored, np.inf)]) for r in repeats if r.count]
    pooled = np.concatenate(full) if full else np.array([])
    count = len(pooled)
    nan = float("nan")
    found = {q: Quantile(q, None, nan, nan, count) for q in qs}
    quoted = [q for q in qs if count - _rank(count, q) >= BEYOND and count * q >= 1]
    if not quoted:
        return found
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = np.array([_pick(np.concatenate(_redraw(full, rng)), quoted) for _ in range(rounds)])
    drawn.sort(axis=0)
    low, high = drawn[int(0.025 * rounds)], drawn[int(0.975 * rounds)]
    for q, value, least, most in zip(quoted, _pick(pooled, quoted), low, high, strict=True):
        found[q] = Quantile(q, float(value), float(least), float(most), count)
    return found


def _pick(values: Array, qs: Sequence[float]) -> Array:
    """The order statistics: no interpolation, so that an infinite sample never spoils its neighbours."""
    import numpy as np

    indices = [_rank(len(values), q) - 1 for q in qs]
    picked: Array = np.partition(values, indices)[indices]
    return picked


def _rank(count: int, q: float) -> int:
    """Which of `count` sorted values is the percentile, from 1; rounded first, since 0.07 * 100 is above 7."""
    return min(count, max(1, math.ceil(round(q * count, 6))))


def _redraw(repeats: list[Array], rng: np.random.Generator) -> list[Array]:
    import numpy as np

    drawn = []
    for index in rng.integers(0, len(repeats), len(repeats)):
        values = repeats[index]
        block = max(1, round(len(values) ** 0.5))
        starts = rng.integers(0, len(values), -(-len(values) // block))
        positions = (starts[:, None] + np.arange(block)[None, :]).ravel()[: len(values)] % len(values)
        drawn.append(values[positions])
    return drawn
