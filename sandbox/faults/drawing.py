"""Random faults from a seed: the same seed gives the same schedule, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sandbox.catalogue import find
from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.bad_use import check, load_seconds
from sandbox.faults.catalogue import every_fault
from sandbox.faults.fault import Fault, Planned
from sandbox.faults.plan import FaultPlan
from sandbox.harness.workload import Workload

#: attempts to find a place for one more fault beside those that are there
_ATTEMPTS = 50


def schedule(
    seed: int, channel: str | type[Channel] | Channel, workload: Workload, n: int, among: Sequence[Fault] | None = None
) -> FaultPlan:
    """A plan of `n` faults that the channel can have, none in the way of another; fewer when there is no room.

    among   the faults to draw from, with their knobs; all that there are unless given

    Raises `BadArgument` for a closed loop, whose end nobody knows before, and when no fault applies.
    """
    channel, end = find(channel), load_seconds(workload)
    if not isinstance(n, int) or n < 0:
        raise BadArgument("n", expected="how many faults, 0 or more", got=n)
    if end is None:
        raise BadArgument("workload", expected="an open loop, which has an end", got=workload.loop)
    drawn = random.Random(seed)
    able = [fault for fault in among or every_fault() if not fault.why_not(channel)]
    if not able:
        raise BadArgument("faults", expected=f"one that {channel.title()} can have", got=among)
    plan: list[Planned] = []
    for _ in range(n):
        for _ in range(_ATTEMPTS):
            more = sorted([*plan, _draw(drawn, able, end)], key=lambda planned: planned.at or 0.0)
            if _possible(more, channel, workload):
                plan = more
                break
    return FaultPlan(plan)


def _draw(drawn: random.Random, able: Sequence[Fault], end: float) -> Planned:
    fault = drawn.choice(able)
    at = round(drawn.uniform(0.0, 0.8 * end), 3)
    lasts = round(drawn.uniform(0.05 * end, 0.4 * end), 3)
    return Planned(fault, at, None if fault.instant else min(lasts, round(0.95 * end - at, 3)))


def _possible(plan: Sequence[Planned], channel: Channel, workload: Workload) -> bool:
    try:
        check([(planned.fault.copy(0), planned.at, planned.lasts) for planned in plan], channel, workload)
    except BadArgument:
        return False
    return True
