"""Make a crash map: learn the effects of a channel, kill at each of them, and let the oracles judge."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sandbox.catalogue import catalogue, find
from sandbox.channel import ASK_GROUP, Channel
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.faults.crash.judging import Fate, Verdict, judge
from sandbox.faults.crash.load import SENDER, impatient
from sandbox.faults.crash.load import verbs as offered
from sandbox.faults.crash.points import Kill, kills
from sandbox.faults.crash.result import CrashMap, Point
from sandbox.faults.crash.source import Names, Own, own_source
from sandbox.faults.crash.trial import Ending, Trial
from sandbox.faults.crash.watching import Seen, Strike, Watching, noted
from sandbox.harness.hook import Hook
from sandbox.harness.progress import Progress
from sandbox.harness.session import Session, default_session, end_default_session

#: trials that run at the same time: most of one is waiting for a lease
TOGETHER = 8
#: runs in which nobody is killed: what goes wrong in those is not the kill's doing
UNHARMED = 6

T = TypeVar("T")


def crash_map(
    channel: str | type[Channel] | Channel,
    *,
    verbs: Sequence[str] | None = None,
    settle: str = "after",
    only: str | None = None,
    session: Session | None = None,
    progress: Callable[[str], None] | bool = True,
    **knobs: Any,
) -> CrashMap:
    """Kill a channel just before and just after each of its outside effects; where is it safe, where does it hurt?

    channel   a title ("spool"), a file ("mine.py"), a class or a value, also one that is written in a notebook
    verbs     which are said, such as ["tell"]; None: all that it offers
    settle    "after" the work or "before" it, as in `Workload`
    only      points whose id begins so; None: all of them
    knobs     of the channel
    session   whose processes and servers are used; None: the default one

    One run per point, several at a time; 20 to 90 s in all. Leases and timeouts are shortened for it.
    Stopping it ends all that was started. Errors: `BadArgument`, `ServerUnavailable`.
    """
    found = find(channel, **knobs)
    if settle not in ("before", "after"):
        raise BadArgument("settle", expected="before or after", got=settle)
    own = session is None
    mapped = _mapped(found, verbs)
    named = channel if isinstance(channel, str) else _title(found)
    maker = _Maker(found, named, mapped, settle, session or default_session())
    try:
        return maker.make(only, progress)
    except KeyboardInterrupt:
        if own:
            end_default_session()
        raise


@dataclass(frozen=True)
class _Learned:
    plain: Mapping[str, Sequence[Seen]]
    recovering: Mapping[str, Sequence[Seen]]
    unharmed: tuple[Verdict, ...]


class _Maker:
    def __init__(self, channel: Channel, named: str, mapped: tuple[Verb, ...], settle: str, session: Session) -> None:
        self._meant, self._named, self._mapped = channel, named, mapped
        self._channel, self._settle, self._session = impatient(channel), settle, session
        self._own: Own = own_source(channel)
        self._parts = [SENDER]
        self._parts += ["metering-0"] if Verb.TELL in mapped else []
        self._parts += [f"{ASK_GROUP}-0"] if Verb.ASK in mapped else []
        self._stop = threading.Event()

    def make(self, only: str | None, show: Callable[[str], None] | bool) -> CrashMap:
        learned, names = self._learn(), Names()
        if all(Fate.STUCK in verdict.fates for verdict in learned.unharmed):  # to kill it would tell nothing
            return self._map(learned, names, [], [])
        chosen = kills(learned.plain, learned.recovering, names)
        if only is not None:
            chosen = _chosen(chosen, only)
        progress = Progress(len(chosen), show)
        calls = [partial(self._point, kill) for kill in chosen]
        points = self._side_by_side(calls, lambda number: progress.step(chosen[number].id))
        progress.end()
        return self._map(learned, names, chosen, points)

    def _map(self, learned: _Learned, names: Names, chosen: Sequence[Kill], points: Sequence[Point | None]) -> CrashMap:
        pairs = list(zip(chosen, points, strict=True))
        return CrashMap(
            channel=self._meant,
            named=self._named,
            verbs=self._mapped,
            settle=self._settle,
            unharmed=learned.unharmed,
            points=tuple(point for point in points if point is not None),
            missed=tuple(kill for kill, point in pairs if point is None and not kill.again),
            names=names,
        )

    def _side_by_side(
        self, calls: Sequence[Callable[[], T]], done: Callable[[int], None] = lambda number: None
    ) -> list[T]:
        """The results, in order; `done` is called with the number of each as it comes. The first error ends all."""
        with ThreadPoolExecutor(TOGETHER) as pool:
            futures = {pool.submit(call): number for number, call in enumerate(calls)}
            try:
                for future in as_completed(futures):
                    future.result()
                    done(futures[future])
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return [future.result() for future in futures]

    # --- learning ----------------------------------------------------------------------------------

    def _learn(self) -> _Learned:
        with tempfile.TemporaryDirectory() as folder:
            logs = {name: Path(folder) / name for part in self._parts for name in (part, f"{part}_2")}
            plain: dict[str, Hook] = {part: Watching(self._own, logs[part]) for part in self._parts}
            recovering: dict[str, Hook] = {part: self._killed_at_work(part) for part in self._parts}
            recovering |= {f"{part}_2": Watching(self._own, logs[f"{part}_2"]) for part in self._parts}
            watched: dict[str, Hook] = {part: Watching(self._own) for part in self._parts}
            hooks = [recovering, plain, *[watched] * (UNHARMED - 1)]
            _, *unharmed = self._side_by_side([partial(self._try, each) for each in hooks])
            return _Learned(
                {part: noted(logs[part]) for part in self._parts},
                {part: noted(logs[f"{part}_2"]) for part in self._parts},
                tuple(judge(ending) for ending in unharmed),
            )

    def _killed_at_work(self, part: str, log: Path | None = None) -> Watching:
        ends = ("begin", 1) if part == SENDER else ("worked", 1)
        return Watching(self._own, log, ends=ends)

    # --- one point -----------------------------------------------------------------------------------

    def _point(self, kill: Kill) -> Point | None:
        """None: it did not come to that, as nothing was left to do for whoever would take the place of the killed."""
        wanted = 1 + kill.successor + kill.again
        for strike in [kill.strike] if kill.again else kill.strike.relaxed():
            ending = self._try(self._hooks(replace(kill, strike=strike)))
            if len(ending.struck) == wanted:
                return Point(kill, judge(ending), ending)
        return None

    def _hooks(self, kill: Kill) -> dict[str, Hook]:
        name, hooks = kill.who, dict[str, Hook]()
        if kill.successor:
            hooks[name] = self._killed_at_work(name)
            name = f"{kill.who}_2"
        hooks[name] = Watching(self._own, strike=kill.strike)
        if kill.again:
            number = 3 if kill.successor else 2
            hooks[f"{kill.who}_{number}"] = Watching(self._own, strike=Strike(kill.spot, kill.strike.after))
        return hooks

    def _try(self, hooks: Mapping[str, Hook]) -> Ending:
        return Trial(self._session, self._channel, self._mapped, self._settle, hooks, self._stop).carry_out()


def _example(kills: Sequence[Kill]) -> str:
    return f"One is {kills[0].id}." if kills else "This channel has no effect that could be seen."


def _mapped(channel: Channel, verbs: Sequence[str] | None) -> tuple[Verb, ...]:
    able = offered(channel)
    if verbs is None:
        return able
    if isinstance(verbs, str) or not verbs or not set(verbs) <= set(able):
        hint = "State that an owner keeps in its memory cannot be mapped." if Verb.SHARE not in able else ""
        raise BadArgument("verbs", expected=f"some of {', '.join(able)}, as a list", got=verbs, hint=hint)
    return tuple(verb for verb in able if verb in verbs)


def _title(channel: Channel) -> str:
    """Its title, if that is enough to find it again."""
    title = channel.title()
    return title if catalogue().get(title) is type(channel) else ""


def _chosen(kills: Sequence[Kill], only: str) -> list[Kill]:
    found = [kill for kill in kills if kill.id == only] or [kill for kill in kills if kill.id.startswith(only)]
    if not found:
        raise BadArgument("point", expected="the id of a point, or how it begins", got=only, hint=_example(kills))
    return found
