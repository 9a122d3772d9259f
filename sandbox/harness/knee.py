"""Where a growing load becomes too much: doubling until it does, then halving the gap. Knows nothing of runs.

A rate is *sustained* when two things hold, both stated as numbers that can be argued about:

    it keeps up       at least `KEEPS_UP` of what is offered is done in the same time
    it stays quick    its p90 is at most `times` the p90 without load, or `LEAST` where that is more

The **knee** is the largest rate found that is sustained, where a slightly higher one is not. Noise only ever makes
a run slower, so a rate counts as too much only when it fails three times, or falls short by far. A failure in a run
that was not valid says less, as it may be the machine's: it takes five of those.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

#: a run of half a second on a busy machine may lose a few percent of it to a single pause
KEEPS_UP = 0.95
#: ns; below that a machine's own hiccups weigh more than any queue
LEAST = 2_000_000.0
#: how much failing a rate may do before it is given up, and what a failure costs of it
PATIENCE, VALID, DOUBTFUL = 5, 2, 1
#: no pause of the machine explains that little
HOPELESS = 0.8
#: the knee lies within this factor below a rate that is too much
PRECISION = 1.2


@dataclass(frozen=True)
class Point:
    """One offered rate. Rates in operations/s, latencies in ns (None: not to be quoted; infinite: censored).

    offered    by the plan, as its arrivals were drawn
    achieved   operations done per second, from the first tenth of those done to the last
    nominal    the rate that was asked for
    notes      what the checker says of the run, if it was not valid
    """

    nominal: float
    offered: float
    achieved: float
    p50: float | None
    p90: float | None
    samples: int = 0
    censored: int = 0
    notes: tuple[str, ...] = ()

    def keeps_up(self) -> bool:
        """Whether what is offered is done in the same time."""
        return self.achieved >= KEEPS_UP * self.offered

    def sustained(self, limit: float) -> bool:
        """Whether it keeps up, and its p90 is at most `limit` ns."""
        return self.keeps_up() and self.p90 is not None and self.p90 <= limit

    def why_not(self, limit: float) -> str:
        """In which of the two ways it is too much; "" when it is sustained."""
        if self.sustained(limit):
            return ""
        return "its p90 exceeds the limit" if self.keeps_up() else "it does not keep up with what is offered"


def limit_of(unloaded: float, times: float) -> float:
    """What the p90 of a sustained rate may reach, by the p90 without load; ns."""
    return max(times * unloaded, LEAST)


@dataclass
class Search:
    """What a search has found so far.

    limit    ns that the p90 of a sustained rate may reach
    points   every run, in the order in which they were made
    knee     the best point that is sustained; None: not even the lowest rate is
    beyond   the lowest point that is too much; None: the highest rate that was tried is still sustained
    """

    limit: float
    points: list[Point] = field(default_factory=list)
    knee: Point | None = None
    beyond: Point | None = None


def find_knee(
    measure: Callable[[float], Point], limit: float, low: float, high: float, precision: float = PRECISION
) -> Search:
    """Double the rate from `low` until it is too much or `high` is reached, then halve the gap down to `precision`."""
    search = Search(limit)
    rate = low
    while _try(search, measure, rate) and rate < high:
        rate = min(2 * rate, high)
    while search.knee and search.beyond and search.beyond.nominal > precision * search.knee.nominal:
        _try(search, measure, math.sqrt(search.knee.nominal * search.beyond.nominal))  # half-way as a factor
    return search


def _try(search: Search, measure: Callable[[float], Point], rate: float) -> bool:
    """Measure a rate, again if it fails, and note on which side of the knee it lies."""
    patience = PATIENCE
    while patience > 0:
        point = measure(rate)
        search.points.append(point)
        if point.sustained(search.limit):
            search.knee = point
            return True
        if point.achieved < HOPELESS * point.offered:
            break
        patience -= DOUBTFUL if point.notes else VALID
    search.beyond = point
    return False
