"""The main job: one workload through several channels, repeats interleaved, floors beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sandbox.catalogue import find, sound_channels
from sandbox.channel import Channel
from sandbox.errors import BadArgument, ServerUnavailable
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Support
from sandbox.harness.checker import State
from sandbox.harness.comparison import Cell, Comparison
from sandbox.harness.floors import FloorTimes, measure_floor
from sandbox.harness.progress import Progress
from sandbox.harness.result import Result
from sandbox.harness.run import run_history
from sandbox.harness.session import Session, default_session, end_default_session
from sandbox.harness.words import plural
from sandbox.harness.workload import Workload

#: what `compare` offers when it is not told otherwise; a p99 needs 1000 samples over all repeats,
#: and constant arrivals would fall into step with whatever polls
STANDARD = Workload(operations=400, rate=400.0, arrivals="poisson", warmup=40, writes=0.15)
REPEATS = 3
#: a run whose measuring turned out unknown is run again so often; every one of them is reported
RETRIES = 2
#: `--quick`: enough for a median and a p90
QUICK = STANDARD.but(operations=240)
QUICK_REPEATS = 1


def compare(
    workload: Workload | None = None,
    channels: Sequence[str | type[Channel] | Channel] | None = None,
    *,
    verbs: Sequence[str | Verb] | None = None,
    repeats: int | None = None,
    quick: bool = False,
    floors: bool = True,
    session: Session | None = None,
    progress: Callable[[str], None] | bool = True,
) -> Comparison:
    """The same exchange through every style.

    workload  what is offered; without one, the standard workload with each of the three verbs.
              A run carries one verb at a time, so that none disturbs another's latencies.
    channels  titles, files, classes or values; without any, every sound channel
    verbs     which verbs; by default those of the workload given, or all three
    repeats   runs per channel and verb, interleaved; the more, the narrower the intervals
    quick     a shorter standard workload, once
    floors    measure the floors under the channels in the same rounds

    A run whose measuring turns out `unknown` is run again, at most twice, and the comparison says so. A channel
    whose server cannot be had is left out, and the comparison says so. Raises `BadArgument`.
    """
    base = workload or (QUICK if quick else STANDARD)
    chosen = [find(each) for each in channels] if channels is not None else sound_channels()
    asked = _verbs(workload, verbs)
    rounds = repeats if repeats is not None else (QUICK_REPEATS if quick else REPEATS)
    if not 1 <= rounds <= 100:
        raise BadArgument("repeats", expected="1 to 100", got=rounds)
    own = session is None
    try:
        return _Comparing(base, chosen, asked, rounds, floors, session or default_session(), progress).carry_out()
    except KeyboardInterrupt:
        if own:
            end_default_session()
        raise


def _verbs(workload: Workload | None, verbs: Sequence[str | Verb] | None) -> list[Verb]:
    if verbs is not None:
        known = [str(verb) for verb in Verb]
        for verb in verbs:
            if verb not in known:
                raise BadArgument("verb", expected="one of " + ", ".join(known), got=verb)
        return [Verb(verb) for verb in verbs]
    return list(workload.weights) if workload is not None else list(Verb)


class _Comparing:
    def __init__(
        self,
        base: Workload,
        channels: list[Channel],
        verbs: list[Verb],
        rounds: int,
        floors: bool,
        session: Session,
        progress: Callable[[str], None] | bool,
    ) -> None:
        self._base, self._verbs, self._rounds, self._session = base, verbs, rounds, session
        self._notes: list[str] = []
        self._reruns: list[str] = []
        self._channels = self._available(channels)
        self._pairs = [(c, v) for c in self._channels for v in verbs if self._offers(c, v)]
        self._with_floors = floors
        self._results: dict[tuple[str, Verb], list[Result]] = {(name_of(c), v): [] for c, v in self._pairs}
        self._floors: dict[str, list[FloorTimes]] = {}
        steps = rounds * (len(self._pairs) + (len(self._channels) if floors else 0))
        self._progress = Progress(steps, progress)

    def carry_out(self) -> Comparison:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        for number in range(self._rounds):
            for channel in self._channels:
                if self._with_floors:
                    self._floor(channel, number)
                for verb in self._verbs:
                    if (channel, verb) in self._pairs:
                        self._run(channel, verb, number)
        self._progress.end()
        return self._comparison(started)

    def _available(self, channels: list[Channel]) -> list[Channel]:
        missing = {}
        for channel in channels:
            try:
                for medium in channel.needs:
                    self._session.server(medium)
            except ServerUnavailable as error:
                missing[name_of(channel)] = (channel, error)
        found = [channel for channel in channels if name_of(channel) not in missing]
        for name, (channel, reason) in missing.items():
            others = ", ".join(name_of(other) for other in found if other.style == channel.style)
            self._notes.append(f"{name} was left out{f', {others} takes its place' if others else ''}: {reason}")
        if not found:
            raise BadArgument("channels", expected="at least one that can run here", got="; ".join(self._notes))
        if len({name_of(channel) for channel in found}) != len(found):
            raise BadArgument("channels", expected="all different", got=[name_of(channel) for channel in found])
        return found

    def _offers(self, channel: Channel, verb: Verb) -> bool:
        if channel.guarantees.of(verb).support is not Support.ABSENT:
            return True
        self._notes.append(f"{name_of(channel)} does not offer {verb}: absent in this style")
        return False

    def _floor(self, channel: Channel, number: int) -> None:
        self._progress.step(f"{name_of(channel)}: its floor, round {number + 1} of {self._rounds}")
        size = self._base.size if isinstance(self._base.size, int) else 2450
        rate = self._base.rate
        times = measure_floor(channel, self._session, size, asks=150, tells=round(min(200, rate / 2)), rate=rate)
        if times is not None:
            self._floors.setdefault(name_of(channel), []).append(times)

    def _run(self, channel: Channel, verb: Verb, number: int) -> None:
        what = f"{name_of(channel)}: {verb}, round {number + 1} of {self._rounds}"
        self._progress.step(what)
        workload = self._base.but(verb=str(verb), seed=self._base.seed + number)
        result = Result(run_history(channel, workload, self._session))
        for _ in range(RETRIES):
            if result.verdict.state is not State.UNKNOWN:
                break
            self._reruns.append(f"{what}: {'; '.join(result.verdict.reasons)}")
            result = Result(run_history(channel, workload, self._session))
        self._results[name_of(channel), verb].append(result)

    def _comparison(self, started: str) -> Comparison:
        from sandbox.machine import machine

        facts = {"started": started, "machine": machine(), "repeats": self._rounds, "run_again": self._reruns}
        if self._reruns:
            number = plural(len(self._reruns), "run")
            self._notes.append(
                f"{number} turned out unknown and {'was' if len(self._reruns) == 1 else 'were'} run again."
            )
        cells = [
            Cell(
                name_of(channel),
                verb,
                tuple(self._results[name_of(channel), verb]),
                tuple(self._floors.get(name_of(channel), ())),
            )
            for verb in self._verbs
            for channel in self._channels
            if (channel, verb) in self._pairs
        ]
        return Comparison(self._base, tuple(cells), tuple(self._notes), facts)


def name_of(channel: Channel) -> str:
    """The title, with the knobs that differ from their defaults: `spool(flush=True)`, `idempotent(channel=spool)`."""
    if not dataclasses.is_dataclass(channel):
        return channel.title()
    knobs = {field.name: (getattr(channel, field.name), field.default) for field in dataclasses.fields(channel)}
    changed = [
        f"{name}={name_of(value) if isinstance(value, Channel) else value}"
        for name, (value, default) in knobs.items()
        if value != default
    ]
    return channel.title() + (f"({', '.join(changed)})" if changed else "")
