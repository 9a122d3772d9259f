"""The faults of one run: opened and healed at their times, mended whatever happens, and put on record.

The history's facts then hold

    faults     one entry a fault: name, title, kind, knobs, planned [at, until], opened, healed (s after the run's
               start, None for what never was), what else `Fault` says of it, witnesses
    injected   what was really done, in order of time: [ns after the run's start, name of the fault, in words]
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.channel import Channel
from sandbox.faults.bad_use import check, load_seconds, planned
from sandbox.faults.fault import Fault, Planned
from sandbox.harness.history import Process
from sandbox.harness.journal import Event, read
from sandbox.harness.stage import Director, Script, Stage
from sandbox.harness.workload import Workload

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast, Intervention

#: before the start of every load: what is there from the start is there before anybody sends
_BEFORE = -1.0


class Entry:
    """One fault in one run; times in ns of the monotonic clock, 0: not yet."""

    def __init__(self, planned: Planned, number: int) -> None:
        self.fault = planned.fault.copy(number)
        self.at, self.lasts = planned.at, 0.0 if planned.fault.instant else planned.lasts
        self.opened = self.healed = 0

    def is_under_way(self, cast: Cast) -> bool:
        """Whether it is broken now, or somebody has still to come back after it."""
        return self.opened > 0 and (not self.healed or self.fault.busy(cast))

    def open(self, cast: Cast) -> None:
        """Break it."""
        self.opened = time.monotonic_ns()
        self.fault.open(cast)

    def heal(self, cast: Cast) -> None:
        """Mend it; noted the first time only."""
        self.fault.heal(cast)
        if self.opened and not self.healed:
            self.healed = time.monotonic_ns()

    def interventions(self) -> list[Intervention]:
        """When it is opened, and when it is healed, if that is before the load ends."""
        found: list[Intervention] = [(_BEFORE if self.at is None else self.at, self.open)]
        if self.lasts is not None and not self.fault.instant:
            found.append(((self.at or 0.0) + self.lasts, self.heal))
        return found

    def report(self, start: int, load: float | None) -> dict[str, Any]:
        """What the history holds of it."""
        fault, at = self.fault, self.at or 0.0
        opened, healed = self.opened, self.healed
        if fault.instant:  # it was armed at its time; it happened when it struck, and is over when all is back
            opened, healed = (fault.injected[0][0] if fault.injected else opened), 0
        healed = fault.ended or healed
        return {
            "name": fault.name(),
            "title": fault.title,
            "kind": fault.kind,
            "knobs": fault.knobs(),
            "planned": [at, load if self.lasts is None else at + self.lasts],
            "opened": max(0.0, (opened - start) / 1e9) if opened else None,
            "healed": max(0.0, (healed - start) / 1e9) if healed else None,
            "instant": fault.instant,
            "repeats": fault.repeats,
            "power_cut": fault.power_cut,
            "witnesses": fault.witnesses(),
        }


class FaultPlan(Director):
    """Faults with their times, for one run. Whoever fails in it is a finding.

    faults   planned ones; a bare fault is there all the load long
    beside   what else is done to the run
    """

    failures_are_findings = True
    thorough = True

    def __init__(self, faults: Sequence[Fault | Planned], beside: Director | None = None) -> None:
        self.planned = planned(faults)
        self.beside = beside or Script(())
        self.patience = self.beside.patience
        self._entries = [Entry(each, number) for number, each in enumerate(self.planned, start=1)]
        self._cast: Cast | None = None
        self._load: float | None = None
        self._prepared: list[Entry] = []

    @classmethod
    def around(cls, director: Director, faults: Sequence[Planned]) -> FaultPlan:
        """These faults and what another director does."""
        if isinstance(director, FaultPlan):
            return cls((*faults, *director.planned), director.beside)
        return cls(faults, director)

    @property
    def faults(self) -> list[Fault]:
        """This run's own copies."""
        return [entry.fault for entry in self._entries]

    @property
    def own_servers(self) -> bool:  # type: ignore[override]  # settled when it is known what the faults aim at
        """See `Director`."""
        return self.beside.own_servers or any(fault.own_servers for fault in self.faults)

    def to_bytes(self) -> bytes:
        """The schedule: same seed, same bytes."""
        rows = [[each.fault.name(), each.fault.knobs(), each.at, each.lasts] for each in self.planned]
        return json.dumps(rows, sort_keys=True).encode()

    # --- what a run asks of its director ------------------------------------------------------------

    def check(self, channel: Channel, workload: Workload) -> None:
        """See `Director.check`, and `bad_use`."""
        self.beside.check(channel, workload)
        check([(entry.fault, entry.at, entry.lasts) for entry in self._entries], channel, workload)
        self._load = load_seconds(workload)

    def prepare(self, stage: Stage) -> None:
        """See `Director.prepare`."""
        self.beside.prepare(stage)
        for entry in self._entries:
            self._prepared.append(entry)
            entry.fault.prepare(stage)

    def installed(self, stage: Stage) -> None:
        """See `Director.installed`."""
        self.beside.installed(stage)

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """See `Director.on_stage`."""
        return self.beside.on_stage(usual)

    def interventions(self) -> Sequence[Intervention]:
        """See `Director.interventions`."""
        mine = [each for entry in self._entries for each in entry.interventions()]
        return [*self.beside.interventions(), *mine]

    def watch(self, cast: Cast) -> None:
        """See `Director.watch`."""
        self.beside.watch(cast)
        for entry in self._entries:
            if entry.is_under_way(cast):
                entry.fault.watch(cast)

    def busy(self, cast: Cast) -> bool:
        """See `Director.busy`."""
        return self.beside.busy(cast) or any(entry.opened and entry.fault.busy(cast) for entry in self._entries)

    def sent(self, cast: Cast) -> None:
        """See `Director.sent`."""
        self.beside.sent(cast)

    def heal(self, cast: Cast) -> None:
        """See `Director.heal`: last opened, first healed; one that cannot be healed keeps no other from it."""
        self._cast = cast
        _each([partial(entry.heal, cast) for entry in reversed(self._prepared)])
        self.beside.heal(cast)

    def end(self, stage: Stage) -> None:
        """See `Director.end`."""
        _each([partial(entry.fault.end, stage) for entry in reversed(self._prepared)])
        self.beside.end(stage)

    def facts(self) -> dict[str, Any]:
        """See `Director.facts`."""
        assert self._cast is not None, "facts are asked for when all is healed"
        start = self._cast.start
        self._take_in_strikes(self._cast)
        injected = [(when - start, fault.name(), what) for fault in self.faults for when, what in fault.injected]
        return {
            **self.beside.facts(),
            "faults": [entry.report(start, self._load) for entry in self._entries],
            "injected": [list(each) for each in sorted(injected)],
        }

    def _take_in_strikes(self, cast: Cast) -> None:
        """What the hooks in the participants have put on record, each under its fault's number."""
        by_number = {fault.number: fault for fault in self.faults}
        for name, path in cast.journals.items():
            if not path.exists():
                continue
            events = read(path)
            for event in events[events["event"] == Event.STRUCK]:
                fault = by_number.get(int(event["value"]))
                if fault is not None:
                    what = f"{name}, operation {event['operation']}" if event["operation"] else name
                    fault.injected.append((int(event["time"]), what))
        for fault in self.faults:
            fault.injected.sort()


def _each(acts: Sequence[Callable[[], None]]) -> None:
    """All of them; then the first error, if there was one."""
    errors = []
    for act in acts:
        try:
            act()
        except Exception as error:  # what is healed next must not stay broken for it
            errors.append(error)
    if errors:
        raise errors[0]
