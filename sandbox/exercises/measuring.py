"""Exercise of notebook 06: the 99th percentile of the response time, as it may be quoted.

The check holds histories whose answer is known because it was planted: each is honest in all respects but
one, and around the percentile many operations took equally long, so that no definition of it is preferred.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.exercises.check import UNFINISHED, Exercise, Reason
from sandbox.harness.journal import Event

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from sandbox.harness.result import Result

    Array = np.ndarray[Any, Any]


def per_operation(result: Result) -> pd.DataFrame:
    """A run of *ask* as one row an operation, in order of intended start; times in ms after the run's start.

    intended_ms   when it should have begun, by the plan (in a closed loop there is no plan: NaN)
    actual_ms     when its sender did begin it
    done_ms       when its answer came; NaN: not in time, so that it took longer than anything that was seen
    warmup        whether it is left out of latencies

    Operations that were never begun, or that certainly did not happen, have no response time and no row.
    """
    import numpy as np
    import pandas as pd

    history = result.history
    if list(history.workload.weights) != [Verb.ASK]:
        raise BadArgument("verb of the run", expected="ask alone", got=history.workload.verb)
    rows = history.plan.rows
    planned = rows["due"] / 1e6 if history.workload.loop == "open" else np.full(len(rows), np.nan)
    frame = pd.DataFrame({"intended_ms": planned, "warmup": rows["warm"] == 1}, index=rows["id"])
    for column, kind in (("actual_ms", Event.INTENT), ("done_ms", Event.ANSWERED), ("failed_ms", Event.FAILED)):
        events = pd.DataFrame(history.of(kind)[["operation", "time"]])
        frame[column] = events.groupby("operation")["time"].min() / 1e6
    frame = frame[frame["actual_ms"].notna() & frame["failed_ms"].isna()]
    return frame[["intended_ms", "actual_ms", "done_ms", "warmup"]].rename_axis("operation")


def planted(
    response: Array, *, late: Array | float = 0.0, timeouts: int = 0, warmup: Array | None = None, seed: int = 6
) -> pd.DataFrame:
    """A history with known response times (ms), one operation every 5 ms, shuffled by the seed.

    late      how long after its intended start each was begun;  timeouts: how many more never ended
    warmup    response times of operations before the measured ones
    """
    import numpy as np
    import pandas as pd

    measured = np.concatenate([response, np.full(timeouts, np.nan)])
    began = np.concatenate([np.broadcast_to(late, len(response)), np.zeros(timeouts)])
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(measured))
    before = np.zeros(0) if warmup is None else warmup
    response = np.concatenate([before, measured[order]])
    began = np.concatenate([np.zeros(len(before)), began[order]])
    intended = 5.0 * np.arange(len(response))
    return pd.DataFrame(
        {
            "intended_ms": intended,
            "actual_ms": intended + began,
            "done_ms": intended + response,
            "warmup": np.arange(len(response)) < len(before),
        },
        index=pd.RangeIndex(1, len(response) + 1, name="operation"),
    )


def judge(p99: Any) -> Iterator[Reason]:
    """Histories, each honest in all respects but one; the first that catches the answer ends it."""
    for look in (_at_a_plain_run, _at_a_stall, _at_a_cold_start, _at_timeouts, _at_few_samples):
        why = look(p99)
        if why is not None:
            yield why
            return


def _at_a_plain_run(p99: Any) -> Reason | None:
    import numpy as np

    history = planted(np.repeat([4.0, 6.0, 40.0, 90.0], [1000, 950, 40, 10]))
    got = p99(history)
    if got is None:
        return Reason(UNFINISHED, "p99 returned None for 2,000 operations, of which 20 lie beyond the percentile.")
    if not _is_number(got):
        return Reason("number", f"p99 must return a number of ms (or None), and returned {got!r}.")
    if _same(got, 40.0):
        return None
    if _same(got, float((history["done_ms"] - history["intended_ms"]).mean())):
        return Reason(
            "mean",
            "That is the mean. It says little about the slow ones: here 1,950 of 2,000 operations took 6 ms or less "
            "and 50 took 40 ms or more. p99 is the time within which 99 of 100 were answered: 40 ms.",
        )
    return Reason(
        "percentile",
        f"2,000 operations, 1,950 took at most 6 ms, 40 took 40 ms, 10 took 90 ms: p99 is 40 ms, not {_ms(got)}.",
    )


def _at_a_stall(p99: Any) -> Reason | None:
    import numpy as np

    response = np.repeat([5.0, 300.0], [1900, 100])
    got = p99(planted(response, late=np.where(response > 5, 295.0, 0.0)))
    if _same(got, 300.0):
        return None
    if _same(got, 5.0):
        return Reason(
            "actual start",
            "A stall kept the sender itself, 100 operations of 2,000 began 295 ms late, and you count from when they "
            "did begin: 5 ms. Whoever wanted them at their intended start waited 300 ms (coordinated omission).",
        )
    return _unexpected("a stall during which 100 of 2,000 operations began 295 ms late", 300.0, got)


def _at_a_cold_start(p99: Any) -> Reason | None:
    import numpy as np

    got = p99(planted(np.repeat([5.0, 7.0], [1900, 100]), warmup=np.full(50, 250.0)))
    if _same(got, 7.0):
        return None
    if _same(got, 250.0):
        return Reason(
            "warm-up",
            "Before 2,000 measured operations stand 50 of warm-up that took 250 ms each, while connections opened. "
            "They are marked in the column warmup and are no part of the latencies: p99 is 7 ms, not 250 ms.",
        )
    return _unexpected("50 slow operations of warm-up before 2,000 measured ones", 7.0, got)


def _at_timeouts(p99: Any) -> Reason | None:
    import numpy as np

    got = p99(planted(np.repeat([5.0, 80.0], [1900, 85]), timeouts=15))
    if not _same(got, 80.0):
        return Reason(
            "timeouts",
            "15 of 2,000 operations got no answer in time and 85 took 80 ms. The timeouts took longer than anything "
            f"that was seen, and p99 falls below them: 80 ms, not {_ms(got)}.",
        )
    got = p99(planted(np.repeat([5.0, 80.0], [1900, 20]), timeouts=80))
    if _is_number(got) and got == math.inf:
        return None
    hint = " (Between two timeouts there is nothing to interpolate.)" if _is_number(got) and math.isnan(got) else ""
    return Reason(
        "timeouts",
        "80 of 2,000 operations got no answer in time. They took longer than anything that was seen, and nobody knows "
        f"how long 99 of 100 took: p99 is math.inf (censored), not {_ms(got)}.{hint}",
    )


def _at_few_samples(p99: Any) -> Reason | None:
    import numpy as np

    for response, few in ((np.repeat([5.0, 90.0], [380, 20]), True), (np.repeat([5.0, 90.0], [950, 50]), False)):
        got = p99(planted(response))
        if few and got is not None:
            return Reason(
                "too few",
                f"400 operations leave 4 beyond the 99th percentile: one hiccup of the machine moves it, and "
                f"{_ms(got)} is not a figure to quote. With fewer than ten samples beyond it, return None.",
            )
        if not few and not _same(got, 90.0):
            return Reason(
                "too strict",
                f"1,000 operations leave ten beyond the 99th percentile, which is enough: 90 ms, not {_ms(got)}.",
            )
    return None


def _unexpected(what: str, right: float, got: Any) -> Reason:
    return Reason("wrong", f"For {what} p99 is {right:g} ms, not {_ms(got)}.")


def _is_number(got: Any) -> bool:
    import numbers

    return isinstance(got, numbers.Real) and not isinstance(got, bool)


def _same(got: Any, right: float) -> bool:
    return _is_number(got) and math.isclose(float(got), right, rel_tol=1e-9)


def _ms(got: Any) -> str:
    return f"{got:g} ms" if _is_number(got) else repr(got)


exercise = Exercise(
    name="measuring",
    question=(
        "Write p99(history): the 99th percentile of the response time, in ms, as it may be quoted. A history has one "
        "row an operation: intended_ms, actual_ms, done_ms (NaN: no answer in time) and warmup. Return math.inf where "
        "the percentile falls among operations without an answer, and None where fewer than ten lie beyond it."
    ),
    answer="p99",
    judge=judge,
    parameters=("history",),
)
