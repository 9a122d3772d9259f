"""Response time against offered load, and the knee: a series of short open-loop runs that finds its own rates.

    unloaded   a run at a rate so low that no operation meets another: what the exchange costs by itself
    series     the offered rate doubles until it is too much, then the gap is halved; see `knee`

Every run is open loop with Poisson arrivals and counts from the intended start, so what is offered does not wait for
what is slow. The achieved rate counts between the first tenth and the last tenth of the operations that were done:
the start and the end of a run, when the channel fills and empties, tell nothing about what it can sustain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox.catalogue import find
from sandbox.channel import Channel
from sandbox.errors import BadArgument, RunFailed
from sandbox.exchange.schema import Verb
from sandbox.harness.checker import State
from sandbox.harness.compare import name_of
from sandbox.harness.knee import PRECISION, Point, find_knee, limit_of
from sandbox.harness.measure import Measure, samples
from sandbox.harness.progress import Progress
from sandbox.harness.result import Result
from sandbox.harness.run import run_history
from sandbox.harness.session import Session, default_session, end_default_session
from sandbox.harness.sweep_result import TIMES, Sweep, load_sweep
from sandbox.harness.workload import Workload, check_offered

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Sweep", "load_sweep", "point_of", "sweep"]

LOWEST, HIGHEST = 200.0, 20_000.0
#: seconds of load and fewest operations of one run: a p90 needs 100 samples
SECONDS, LEAST = 0.5, 110
QUICK_SECONDS, QUICK_LEAST = 0.3, 110
QUICK_PRECISION = 1.5
#: seconds after the last intended start until open operations count as censored
PATIENCE = 1.0


def sweep(
    channel: str | type[Channel] | Channel,
    verb: str | Verb = "tell",
    *,
    workload: Workload | None = None,
    low: float | None = None,
    high: float = HIGHEST,
    times: float = TIMES,
    quick: bool = False,
    session: Session | None = None,
    progress: Callable[[str], None] | bool = True,
    **knobs: Any,
) -> Sweep:
    """Offer a channel more and more until it is too much; find the knee.

    channel    a title, a file, a class or a value; `knobs` are the channel's
    verb       what is offered; of *share*, rates count reads and writes, latencies only reads
    workload   everything else about the load, e.g. ``Workload(service=0.002)`` (then 500/s is the most that one
               receiver can do); its verb, rate, loop, arrivals, number of operations and warm-up are set by the sweep
    low, high  the lowest and the highest rate that are offered, operations/s; low is 200 by default, and less where
               the service time asks for it
    times      a sustained rate's p90 is at most so many times the unloaded one (or 2 ms, where that is more)
    quick      shorter runs and a coarser knee

    Raises what `run` raises. Takes about 10 s; `quick` about 5 s.
    """
    chosen, base = find(channel, **knobs), (workload or Workload()).but(verb=str(verb), loop="open")
    check_offered(chosen, base)
    low = low if low is not None else _lowest(base)
    if not 1 <= low < high <= 100_000:
        raise BadArgument("low, high", expected="1 <= low < high <= 100000", got=(low, high))
    if not times > 1:
        raise BadArgument("times", expected="more than 1", got=times)
    own = session is None
    try:
        sweeping = _Sweeping(chosen, base, session or default_session(), quick, Progress(None, progress))
        return sweeping.carry_out(low, high, times)
    except KeyboardInterrupt:
        if own:
            end_default_session()
        raise


def _lowest(workload: Workload) -> float:
    """A rate at which receivers are busy a fifth of the time, if their work is what limits them."""
    return max(1.0, min(LOWEST, 0.2 * workload.receivers / workload.service)) if workload.service else LOWEST


class _Sweeping:
    def __init__(self, channel: Channel, base: Workload, session: Session, quick: bool, progress: Progress) -> None:
        self._channel, self._base, self._session, self._progress = channel, base, session, progress
        self._verb = next(iter(base.weights))
        self._quick = quick
        self._seconds, least = (QUICK_SECONDS, QUICK_LEAST) if quick else (SECONDS, LEAST)
        quoted = 1 - base.writes if self._verb is Verb.SHARE else 1.0  # of shared state, only reads have latencies
        self._fewest = min(10 * least, math.ceil(least / max(quoted, 0.01) * 1.05))

    def carry_out(self, low: float, high: float, times: float) -> Sweep:
        from sandbox.machine import machine

        started = datetime.now(UTC).isoformat(timespec="seconds")
        tries = [self._unloaded() for _ in range(1 if self._quick else 2)]
        unloaded = min(tries, key=lambda point: math.inf if point.p90 is None else point.p90)  # noise only adds
        if unloaded.p90 is None or math.isinf(unloaded.p90):
            raise RunFailed("without load, too few operations were done in time: there is nothing to compare with")
        precision = QUICK_PRECISION if self._quick else PRECISION
        search = find_knee(self._at, limit_of(unloaded.p90, times), low, high, precision)
        self._progress.end()
        return Sweep(
            channel=name_of(self._channel),
            style=self._channel.style,
            verb=str(self._verb),
            workload=self._base.to_dict(),
            unloaded=unloaded,
            points=tuple(search.points),
            knee=search.knee,
            beyond=search.beyond,
            times=times,
            facts={"started": started, "machine": machine()},
        )

    def _unloaded(self) -> Point:
        """Constant arrivals, so far apart that no operation meets another, and in step with nothing that polls."""
        rate = min(97.3, 0.25 / self._base.service) if self._base.service else 97.3
        self._progress.step(f"{self._channel.title()}: without load")
        return self._run(self._base.but(rate=rate, arrivals="constant", operations=self._fewest))

    def _at(self, rate: float) -> Point:
        self._progress.step(f"{self._channel.title()}: {rate:,.0f}/s")
        count = max(self._fewest, round(self._seconds * rate))
        return self._run(self._base.but(rate=rate, arrivals="poisson", operations=count))

    def _run(self, workload: Workload) -> Point:
        warm = max(10, workload.operations // 20)
        result = Result(run_history(self._channel, workload.but(warmup=warm, timeout=PATIENCE), self._session))
        return point_of(result, workload.rate)


def point_of(result: Result, nominal: float) -> Point:
    """What an open-loop run of one verb says about the rate that it offered."""
    [verb] = result.history.workload.weights
    done = result.samples(verb)
    if verb is Verb.SHARE:  # writes count towards the rate, too
        done = samples(result.history, verb, Measure.RESPONSE)
    rows = result.history.plan.rows
    offered = _rate(rows["due"][rows["warm"] == 0])
    achieved = _rate(rows["due"][done.operations - 1] + done.ns)
    p50, p90 = (result.quantile(verb, q) for q in (0.5, 0.9))
    notes = () if result.verdict.state is State.VALID else result.verdict.reasons
    return Point(nominal, offered, achieved, p50.value, p90.value, p50.samples, done.censored, notes)


def _rate(times: Array) -> float:
    """Events per second between the first and the last tenth of their times (ns)."""
    import numpy as np

    times = np.sort(times)
    first, last = len(times) // 10, len(times) - 1 - len(times) // 10
    if last <= first or times[last] == times[first]:
        return 0.0  # next to nothing was done
    return float((last - first) / (times[last] - times[first]) * 1e9)
