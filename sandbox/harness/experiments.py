"""Experiments of one line each: the runs, and the chart that they are made for.

    stall()        the same stall, seen by an open and by a closed loop
    durability()   what it costs to be told "accepted" by whom
    staleness()    how old the state is that readers see
    polling()      what a poll interval costs in latency, and what in work for nothing

Each shows progress, returns an `Experiment`, and raises what `run` raises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.catalogue import catalogue, find, sound_channels
from sandbox.channel import ASK_GROUP, Channel
from sandbox.errors import BadArgument
from sandbox.harness.cast import Cast
from sandbox.harness.compare import compare, name_of
from sandbox.harness.progress import Progress
from sandbox.harness.result import Result
from sandbox.harness.run import run_history
from sandbox.harness.session import Session, default_session, end_default_session
from sandbox.harness.tasks import LOOK
from sandbox.harness.workload import Workload

if TYPE_CHECKING:
    import pandas as pd

    from sandbox.charts.chart import Chart

#: seconds of work for each ask of a stall: a closed loop must last long enough to meet it
WORK = 0.002
Show = Callable[[str], None] | bool


@dataclass(frozen=True, eq=False)
class Experiment:
    """What an experiment has shown: a chart, and the runs that it was made from."""

    chart: Chart
    results: tuple[Result, ...]

    def to_frame(self) -> pd.DataFrame:
        """The figures of the chart."""
        return self.chart.to_frame()

    def save(self, folder: str | Path) -> Path:
        """Write the chart and every history into a folder; `sandbox.load` reads the histories again."""
        folder = Path(folder)
        self.chart.save(folder)
        for number, result in enumerate(self.results, start=1):
            result.save(folder / f"{self.chart.name}-{number}.npz")
        return folder

    def __str__(self) -> str:
        return str(self.chart)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.chart._repr_html_()


def stall(
    channel: str | type[Channel] | Channel = "socket",
    *,
    seconds: float = 1.0,
    at: float = 0.5,
    rate: float = 200.0,
    operations: int = 500,
    session: Session | None = None,
    progress: Show = True,
) -> Experiment:
    """Pause the receiver of asks once, under an open loop and under a closed one that offers the same operations.

    channel   a title, a file, a class or a value; its time-outs and leases must be longer than the stall
    seconds   how long the receiver stands still;  at: seconds after the start of the load
    rate      offered in the open loop, operations/s; the closed loop keeps one operation open, as fast as it can

    Each operation takes 2 ms of work, so that the closed loop lasts long enough to meet the stall. About 6 s.
    """
    if (
        not 0 < seconds <= 2
        or not 1 <= rate <= 400
        or not 0 < at <= 0.4 * min(operations / rate, operations * WORK * 2)
    ):
        expected = "a stall of up to 2 s that begins in the first part of the load, at up to 400/s"
        raise BadArgument("stall", expected=expected, got={"seconds": seconds, "at": at, "rate": rate})
    from sandbox.charts.loops import loops

    base = Workload("ask", operations=operations, rate=rate, service=WORK, warmup=0, timeout=10.0)
    show = Progress(2, progress)
    results = []
    for loop in ("open", "closed"):
        show.step(f"{loop} loop, the receiver stands still for {seconds:g} s")
        results.append(_stalled(find(channel), base.but(loop=loop), at, seconds, session))
    show.end()
    return Experiment(loops(*results), tuple(results))


def _stalled(channel: Channel, workload: Workload, at: float, seconds: float, session: Session | None) -> Result:
    name = f"{ASK_GROUP}-0"
    acts = ((at, lambda cast: _pause(cast, name)), (at + seconds, lambda cast: cast[name].resume()))
    history = run_history(channel, workload, session, acts)
    history.facts["stall"] = [at, seconds]
    return Result(history)


def _pause(cast: Cast, name: str) -> None:
    cast[name].pause()


def levels() -> list[Channel]:
    """Every sound channel with the knobs that decide who has accepted a tell: each level that a style can reach."""
    found = []
    for plain in sound_channels():
        found.append(plain)
        for knob in dataclasses.fields(plain):  # type: ignore[arg-type]  # channels are dataclasses
            if isinstance(getattr(plain, knob.name), bool):
                other = find(plain, **{knob.name: not getattr(plain, knob.name)})
                if other.guarantees.tell.accepted_by is not plain.guarantees.tell.accepted_by:
                    found.append(other)
    return found


def durability(
    channels: Sequence[str | type[Channel] | Channel] | None = None,
    *,
    repeats: int = 2,
    session: Session | None = None,
    progress: Show = True,
) -> Experiment:
    """Time until the sender of a tell is told "accepted", level by level; without channels, all of `levels()`.

    About 15 s a repeat, at a rate so low that flushes do not queue.
    A level that no channel shown here reaches in a style is drawn as "does not exist".
    """
    from sandbox.charts.durability import durability as draw

    load = Workload("tell", operations=120, rate=100.0, arrivals="poisson", warmup=10)
    chosen = levels() if channels is None else channels
    found = compare(load, chosen, repeats=repeats, floors=False, session=session, progress=progress)
    return Experiment(draw(found), tuple(found.results))


def staleness(
    channels: Sequence[str | type[Channel] | Channel] | None = None,
    *,
    rate: float = 800.0,
    volumes: int = 2,
    repeats: int = 1,
    session: Session | None = None,
    progress: Show = True,
) -> Experiment:
    """How old is what readers see? Two readers, half of the operations are writes, to few volumes. About 15 s."""
    from sandbox.charts.staleness import staleness as draw

    load = Workload("share", operations=round(1.5 * rate), rate=rate, arrivals="poisson", writes=0.5, volumes=volumes)
    chosen = sound_channels() if channels is None else channels
    found = compare(load.but(readers=2), chosen, repeats=repeats, floors=False, session=session, progress=progress)
    return Experiment(draw(found), tuple(found.results))


def polling(
    intervals: Sequence[float] = (0.001, 0.005, 0.02, 0.05),
    *,
    rate: float = 100.0,
    operations: int = 150,
    session: Session | None = None,
    progress: Show = True,
) -> Experiment:
    """Tells through channels that poll, with these intervals (s), beside siblings that are woken. About 25 s.

    An interval is at most 0.05 s: a receiver of the harness looks that often by itself.
    """
    from sandbox.charts.polling import polling as draw

    if not intervals or not all(0.0002 <= interval <= LOOK for interval in intervals):
        raise BadArgument("intervals", expected=f"some, each from 0.0002 to {LOOK:g} s", got=intervals)
    pollers = [find(name, poll=interval, **more) for interval in intervals for name, more in _POLLERS]
    chosen = [*pollers, *(find(name) for name in _WOKEN if name in catalogue())]
    load = Workload("tell", operations=operations, rate=rate, arrivals="poisson", warmup=10)
    results = _each(chosen, load, session, progress)
    return Experiment(draw(results), tuple(results))


_POLLERS: tuple[tuple[str, dict[str, Any]], ...] = (("spool", {"wake": False}), ("compare_and_swap", {}))
_WOKEN = ("spool", "skip_locked")


def _each(channels: Sequence[Channel], load: Workload, session: Session | None, progress: Show) -> list[Result]:
    show = Progress(len(channels), progress)
    found = []
    try:
        for channel in channels:
            show.step(name_of(channel))
            found.append(Result(run_history(channel, load, session or default_session())))
    except KeyboardInterrupt:
        if session is None:
            end_default_session()
        raise
    show.end()
    return found
