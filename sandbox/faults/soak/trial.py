"""One run of a soak: what is offered and what breaks, all of it drawn from seed, row and number.

Each participant has a lane of its own, in which one thing after the other happens to it; lanes do not wait for each
other, so a sender dies while its receiver stands still. Servers and networks break in the first part of a run. Whoever
dies meanwhile is brought back after it: that a process cannot start without its server is no finding.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

from sandbox.catalogue import find, sound_channels
from sandbox.channel import OWNER_GROUP, Channel
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.faults.bad_use import load_seconds
from sandbox.faults.catalogue import every_fault
from sandbox.faults.catalogue.kill_receiver import WHEN as WHILE_RECEIVING
from sandbox.faults.catalogue.kill_receiver import KillReceiver
from sandbox.faults.catalogue.kill_sender import WHEN as WHILE_SENDING
from sandbox.faults.catalogue.kill_sender import KillSender
from sandbox.faults.catalogue.kill_server import KillServer
from sandbox.faults.catalogue.pause_receiver import PauseReceiver
from sandbox.faults.catalogue.pause_server import PauseServer
from sandbox.faults.catalogue.slow_receiver import SlowReceiver
from sandbox.faults.fault import Fault, Planned
from sandbox.faults.plan import FaultPlan
from sandbox.faults.soak.kill_now import KillNow
from sandbox.guarantees import Support
from sandbox.harness.cast import usual
from sandbox.harness.history import Process, Role
from sandbox.harness.plan import make_plan
from sandbox.harness.stage import Script
from sandbox.harness.workload import Workload
from sandbox.idempotent import Idempotent

#: knobs with which a channel notices soon what has happened; a soak of 2 s leases would mostly wait
QUICK = {"lease": 0.3, "timeout": 1.5}
#: operations of a run, and how many a second: about 1.5 s of load
OPERATIONS, RATE = 240, 160.0
#: s that a server or a network may need to be back, and whoever comes back after it
_BACK = 0.3
#: s without progress after which a drain is given up; more than any pause, lease or patience here
_PATIENCE = 1.5


@dataclass(frozen=True)
class Trial:
    """One run; `kept` says which of the drawn faults (1, 2, ...) are in it, as `--keep` does."""

    row: str
    channel: Channel
    seed: int
    number: int
    workload: Workload
    planned: tuple[Planned, ...]
    kept: tuple[int, ...]

    def keeping(self, kept: Sequence[int]) -> Trial:
        """With these of its faults only."""
        of = dict(zip(self.kept, self.planned, strict=True))
        for number in kept:
            if number not in of:
                known = ", ".join(map(str, self.kept)) or "none"
                raise BadArgument("--keep", expected=f"some of the faults {known}", got=number)
        return replace(self, planned=tuple(of[number] for number in kept), kept=tuple(kept))

    def sparing_servers(self) -> Trial:
        """Without the faults of servers and of the way to them: one of your own is not broken."""
        numbered = zip(self.kept, self.planned, strict=True)
        return self.keeping([n for n, each in numbered if each.fault.kind not in ("server", "network")])

    def offering(self, operations: int) -> Trial:
        """With fewer operations; the faults stay where they are."""
        return replace(self, workload=self.workload.but(operations=operations))

    def plan(self) -> FaultPlan:
        """A fresh director of its faults."""
        beside = Script(())
        beside.patience = _PATIENCE
        return FaultPlan(self.planned, beside)

    def to_bytes(self) -> bytes:
        """Same seed, same bytes."""
        return json.dumps(self.workload.to_dict(), sort_keys=True).encode() + b"\n" + self.plan().to_bytes()

    @property
    def command(self) -> str:
        """What repeats it."""
        shortened = f" --keep {' '.join(map(str, self.kept)) or '0'} --operations {self.workload.operations}"
        return f"python -m sandbox soak --channels {self.row} --seed {self.seed} --run {self.number}{shortened}"

    def schedule(self) -> list[str]:
        """Its faults in words, in order of time."""
        lines = []
        for number, each in zip(self.kept, self.planned, strict=True):
            knobs = ", ".join(f"{name}={value!r}" for name, value in each.fault.knobs().items())
            lasts = "" if each.lasts is None else f", for {each.lasts:g} s"
            lines.append(f"{number:3}  at {each.at or 0:.3f} s{lasts}: {each.fault.name()}({knobs})")
        return lines


def rows(named: Sequence[str] | None = None) -> dict[str, Channel]:
    """Name of a row -> its channel, with the knobs of a soak.

    Without names: every sound channel, and the spool with idempotent receivers in both of their ways.
    A name is one of those, or what `sandbox.catalogue.find` takes.
    """
    known = {channel.title(): quick(channel) for channel in sound_channels()}
    known["idempotent-spool"] = Idempotent(known["spool"])
    known["idempotent-spool-aside"] = Idempotent(known["spool"], in_doubt="aside")
    if named is None:
        return known
    return {name: known[name] if name in known else quick(find(name)) for name in named}


def quick(channel: Channel) -> Channel:
    """The same channel with those of the `QUICK` knobs that it has."""
    has = {field.name for field in fields(channel)} if is_dataclass(channel) else set[str]()
    return find(channel, **{name: value for name, value in QUICK.items() if name in has})


def draw(row: str, channel: Channel, seed: int, number: int) -> Trial:
    """Run `number` of a row."""
    drawn = random.Random(f"{seed}/{row}/{number}")
    workload = _workload(drawn, channel)
    processes = usual(channel, workload, make_plan(workload))
    planned, begin = _outage(drawn, channel, processes)
    workload = workload.but(operations=OPERATIONS + int(begin * RATE))
    end = 0.9 * (load_seconds(workload) or 0.0)
    for process in processes:
        if process.group != OWNER_GROUP:  # its state is its memory, and nobody promises it beyond that
            planned += _lane(drawn, process, begin, end)
    planned.sort(key=lambda each: each.at or 0.0)
    return Trial(row, channel, seed, number, workload, tuple(planned), tuple(range(1, len(planned) + 1)))


def _workload(drawn: random.Random, channel: Channel) -> Workload:
    offered = [verb for verb in Verb if channel.guarantees.of(verb).support is not Support.ABSENT]
    mixes: list[dict[str, float]] = [{"tell": 1}, {"tell": 2, "ask": 1}, {"ask": 1}]
    mixes += [{"tell": 2, "share": 1}] if not channel.guarantees.share.needs_owner else []
    able = [mix for mix in mixes if all(Verb(verb) in offered for verb in mix)]
    return Workload(
        drawn.choice(able),
        operations=OPERATIONS,
        rate=RATE,
        arrivals="poisson",
        size=200,
        service=drawn.choice((0.002, 0.005, 0.008)),
        service_shape="exponential",
        senders=drawn.choice((1, 2)),
        receivers=2,
        batch=drawn.choice((1, 1, 3)),
        warmup=0,
        timeout=2.0,
        quota_gb=10**6,
        seed=drawn.randrange(1 << 31),
    )


def _outage(drawn: random.Random, channel: Channel, processes: Sequence[Process]) -> tuple[list[Planned], float]:
    """What stands in between is away for a while; and when all that is over. Who dies in it comes back after it."""
    network = [fault for fault in every_fault() if fault.kind == "network" and not fault.why_not(channel)]
    kinds = [*(["server"] if channel.needs else []), *(["network"] if network else [])]
    if not kinds or drawn.random() < 0.4:
        return [], 0.0
    at, lasts = round(drawn.uniform(0.1, 0.3), 3), round(drawn.uniform(0.1, 0.4), 3)
    if drawn.choice(kinds) == "network":
        fault = drawn.choice(network)
        planned = [Planned(fault, at, None if fault.instant else lasts)]
    else:
        kill = drawn.random() < 0.7
        planned = [KillServer(restart=lasts).at(at) if kill else PauseServer().during(at, lasts)]
    for process in processes:
        if process.group != OWNER_GROUP and drawn.random() < 0.3:
            dies = round(at + drawn.uniform(0.01, lasts), 3)
            planned.append(KillNow(process.name, restart=round(at + lasts + _BACK - dies, 3)).at(dies))
    return planned, at + lasts + 2 * _BACK


def _lane(drawn: random.Random, process: Process, begin: float, end: float) -> Iterator[Planned]:
    """What happens to one participant, one thing after the other."""
    at = round(begin + drawn.uniform(0.02, 0.2), 3)
    while at < end:
        restart = round(drawn.uniform(0.0, 0.1), 3)
        fault, lasts = _at_participant(drawn, process, restart)
        if lasts is None or at + lasts < end:
            yield Planned(fault, at, lasts)
        at = round(at + (restart if lasts is None else lasts) + drawn.uniform(0.08, 0.3), 3)


def _at_participant(drawn: random.Random, process: Process, restart: float) -> tuple[Fault, float | None]:
    chance, nth = drawn.random(), drawn.randint(1, 3)
    if chance < 0.2:
        return KillNow(process.name, restart=restart), None
    if process.role is Role.SENDER:
        point = drawn.choice(list(WHILE_SENDING))
        return KillSender(point, nth=nth, restart=restart, who=process.name), None
    if chance < 0.3:
        return PauseReceiver(who=process.name), round(drawn.uniform(0.05, 0.6), 3)
    if chance < 0.35:
        return SlowReceiver(by=0.02, who=process.name), round(drawn.uniform(0.05, 0.2), 3)
    point = drawn.choice(list(WHILE_RECEIVING))
    return KillReceiver(point, nth=nth, restart=restart, who=process.name), None
