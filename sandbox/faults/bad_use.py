"""Plans that cannot be carried out are refused before anything is started, with what to write instead."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import Fault, Planned
from sandbox.harness.cast import usual
from sandbox.harness.plan import make_plan
from sandbox.harness.workload import Workload

#: a fault, s after the run's start (None: from the start), s that it lasts (None: until the load ends)
Row = tuple[Fault, float | None, float | None]


def at_least(least: float, **knobs: float | None) -> None:
    """Refuse knobs that are no number or too small, when the fault is made. None is for its class to allow."""
    for name, value in knobs.items():
        if not isinstance(value, int | float) or not value >= least:
            raise BadArgument(name, expected=f"a number, {least:g} or more", got=value)


def planned(faults: object) -> tuple[Planned, ...]:
    """Faults with their times, from what a user has given; one without a time is there all the load long."""
    hint = "Write faults=[PauseReceiver().during(0.2, lasts=0.3)]; `find_fault` makes one of a name or a file."
    if not isinstance(faults, Sequence) or isinstance(faults, str):
        raise BadArgument("faults", expected="a list of faults", got=faults, hint=hint)
    for each in faults:
        if not isinstance(each, Fault | Planned):
            raise BadArgument("faults", expected="faults, with a time or without", got=each, hint=hint)
    return tuple(each if isinstance(each, Planned) else Planned(each) for each in faults)


def check(rows: Sequence[Row], channel: Channel, workload: Workload) -> None:
    """Raise `BadArgument` for faults that the channel cannot have, that come too late, or that exclude each other.

    Aims each fault: from then on its `targets` are known.
    """
    processes = usual(channel, workload, make_plan(workload)) if rows else []
    for fault, at, lasts in rows:
        if reason := fault.why_not(channel):
            raise BadArgument(
                "fault",
                expected=f"one that {channel.title()} can have",
                got=fault.name(),
                hint=f"It does not apply: {reason}. `sandbox.faults.applicable({channel.title()!r})` says which do.",
            )
        fault.settle = workload.settle
        fault.aim(channel, processes)
        _check_times(fault, at, lasts, workload)
    _check_order(rows)


def load_seconds(workload: Workload) -> float | None:
    """When the last operation is due, in s after the run's start; None in a closed loop: nobody knows before."""
    if workload.loop != "open":
        return None
    return float(make_plan(workload).rows["due"].max()) / 1e9


def _check_times(fault: Fault, at: float | None, lasts: float | None, workload: Workload) -> None:
    for what, seconds in (("time", at), ("length", lasts)):
        if seconds is not None and not isinstance(seconds, int | float):
            raise BadArgument(f"{what} of {fault.name()}", expected="a number of seconds", got=seconds)
    begins, length = at or 0.0, lasts or 0.0
    if not begins >= 0:
        raise BadArgument(f"time of {fault.name()}", expected="0 or more seconds after the run's start", got=at)
    if lasts is not None and not (lasts > 0 or fault.instant):
        raise BadArgument(f"length of {fault.name()}", expected="more than 0 seconds", got=lasts)
    end = load_seconds(workload)
    if end is not None and begins + length > end:
        window = f"{begins:g} s" if fault.instant or not length else f"{begins:g} s to {begins + length:g} s"
        enough = int((begins + length) * workload.rate) + 2
        raise BadArgument(
            f"time of {fault.name()}",
            expected=f"within the load, whose last operation is due at {end:.3g} s",
            got=window,
            hint=f"Set it earlier, or have Workload(operations={enough}) or more.",
        )


def _check_order(rows: Sequence[Row]) -> None:
    """One target after the other: nothing happens to the dead, and no two things at once."""
    last: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row[1] or 0.0):
        fault, at, _ = row
        for target in fault.targets if fault.exclusive else ():
            before = last.get(target)
            if _revives(fault):
                if before is None or not before[0].leaves_dead:
                    hint = f"Kill it first: [KillReceiver(restart=None).at({max(0.0, (at or 0.0) - 0.1):g}), ...]."
                    raise BadArgument(fault.name(), expected="what was killed before", got=target, hint=hint)
            elif before is not None:
                _check_pair(before, row, target)
            last[target] = row


def _check_pair(before: Row, row: Row, target: str) -> None:
    fault, at, _ = row
    earlier, begun, lasts = before
    if earlier.leaves_dead:
        hint = f"Have it restarted in between: {type(earlier).__name__}(restart=0.2)."
        raise BadArgument(
            fault.name(), expected=f"{target} to be alive then", got=f"{target}, killed before", hint=hint
        )
    length = getattr(earlier, "restart", 0.0) if earlier.instant else lasts
    if length is None or begun is None or at is None or at < begun + length:
        raise BadArgument(
            fault.name(),
            expected=f"{target} to be left alone by other faults at that time",
            got=f"{earlier.name()} at the same time",
            hint="Give both a time: .during(at, lasts), one after the other.",
        )


def _revives(fault: Fault) -> bool:
    return bool(getattr(fault, "revives", False))
