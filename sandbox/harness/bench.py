"""The figures this project holds itself to, measured as ratios of one interleaved run.

Noise moves absolute figures by a factor on a small machine; a ratio of two things measured
turn by turn in one run says something. Nothing here is asserted in a test.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.catalogue import find, floors, sound_channels
from sandbox.channel import ASK_GROUP, Channel, Sender, Status
from sandbox.exchange.schema import EXCHANGE, CreateVolume, Operation, VolumeCreated
from sandbox.floor import Driven, Floor, Load
from sandbox.harness.floors import drive_floor, floor_load
from sandbox.harness.history import History
from sandbox.harness.journal import Event
from sandbox.harness.measure import NEVER
from sandbox.harness.participant import Link
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.words import duration, text_table
from sandbox.harness.workload import Workload
from sandbox.null import Null
from sandbox.site import Site

ASKS, TELLS, BATCH = 1000, 4000, 64


def bench(rounds: int, channels: Sequence[str] | None, say: Callable[[str], None]) -> None:
    """Measure everything and say it line by line."""
    chosen = [find(name) for name in channels] if channels else sound_channels()
    with Session() as session:
        for line in _harness_figures(session):
            say(line)
        say("")
        rows = []
        for channel in chosen:
            if channel.title() in floors():
                say(f"{channel.title()} against its floor: {rounds} interleaved rounds ...")
                rows.append(_against_floor(channel, floors()[channel.title()], session, rounds))
        columns = ["channel", "ask p50", "floor", "ratio (<= 1.3)", "tells/s", "floor", "ratio (>= 0.8)", "bare act"]
        say("\n" + text_table(columns, rows))
        say("1 KiB, two processes on a core each (where the system can pin), servers where they like;")
        say("asks one at a time, tells with 64 in flight; medians over the rounds.")


# --- the harness itself ------------------------------------------------------------------------


def _harness_figures(session: Session) -> Iterator[str]:
    yield f"import sandbox: {_import_seconds() * 1e3:.0f} ms (under 200)"
    first = _first_operation(session) * 1e3
    yield f"a participant's first operation: {first:.0f} ms after it was asked for (under 250)"
    yield f"a journal record: {_record_ns(session):.0f} ns (under 2000)"
    flood = run_history(Null(), Workload(operations=60_000, rate=50_000, warmup=0), session)
    intents = flood.of(Event.INTENT)["time"]
    rate = (len(intents) - 1) / ((intents[-1] - intents[0]) / 1e9)
    yield f"offered by one sender through the null channel: {rate:,.0f} operations/s, all on record (at least 20,000)"
    paced = run_history(Null(), Workload(operations=3000, rate=1000, warmup=100), session)
    yield f"pacer's lateness at 1,000/s: p50 {_lateness(paced, 50)}, p99 {_lateness(paced, 99)} (p99 under 20 us)"


def _import_seconds() -> float:
    code = "import time; t = time.perf_counter(); import sandbox; print(time.perf_counter() - t)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    return statistics.median(times)


def _first_operation(session: Session) -> float:
    times = []
    site = session.site()
    for _ in range(5):
        began = time.monotonic()
        member = session.participant("first")
        member.begin(_say_hello, site)
        member.finish(timeout=10)
        times.append(time.monotonic() - began)
        member.close()
    return statistics.median(times)


def _say_hello(link: Link, site: Site) -> None:
    sender = Null().sender(site, EXCHANGE, "first")
    sender.begin(Operation(1, "create_volume", CreateVolume(1, 1, 1)))


def _record_ns(session: Session) -> float:
    member = session.participant("journal")
    member.begin(_write_records, str(session.folder / "bench.journal"))
    cost: float = member.finish(timeout=30)
    member.close()
    return cost


def _write_records(link: Link, path: str) -> float:
    from pathlib import Path

    from sandbox.harness.journal import Journal

    count = 200_000
    journal = Journal(Path(path), count)
    began = time.perf_counter_ns()
    for number in range(count):
        journal.add(Event.INTENT, number, 1)
    return (time.perf_counter_ns() - began) / count


def _lateness(history: History, percent: float) -> str:
    import numpy as np

    intents = history.of(Event.INTENT)
    late = intents["time"] - history.plan.rows["due"][intents["operation"] - 1]
    return duration(float(np.percentile(late[late < NEVER], percent)))


# --- a channel against its floor ---------------------------------------------------------------


@dataclass(frozen=True)
class ThroughContract(Floor):
    """A channel driven by loops as thin as a floor's, so that the two can be compared."""

    through: Channel
    channel = promise = bare_act = ""

    def install(self, site: Site) -> None:
        """See `Floor.install`."""
        self.through.install(site, EXCHANGE)

    def uninstall(self, site: Site) -> None:
        """See `Floor.uninstall`."""
        self.through.uninstall(site)

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """See `Floor.serve`."""
        asked = self.through.receiver(site, EXCHANGE, ASK_GROUP, "server-a")
        told = self.through.receiver(site, EXCHANGE, site.groups[0], "server-t")
        ready()
        done = 0
        while done < load.asks:
            for delivery in asked.take(1.0):
                body = delivery.operation.body
                delivery.reply(VolumeCreated(body.volume, "host-1"))  # type: ignore[attr-defined]
                delivery.settle()
                done += 1
        asked.take(0)
        taken: list[int] = []
        while len(taken) < load.tells:
            for delivery in told.take(1.0, BATCH):
                delivery.settle()
                taken.append(time.monotonic_ns())
        told.take(0)
        asked.close()
        told.close()
        return taken

    def drive(self, site: Site, load: Load) -> Driven:
        """See `Floor.drive`."""
        sender = self.through.sender(site, EXCHANGE, "driver")
        asks = [_ask(sender, Operation(i, "create_volume", load.ask)) for i in range(1, load.asks + 1)]
        told, waiting = [], 0
        for number in range(load.asks + 1, load.asks + load.tells + 1):
            while waiting >= load.window:
                waiting -= len(sender.outcomes(1.0))
            told.append(time.monotonic_ns())
            sender.begin(Operation(number, "image_downloaded", load.tell))
            waiting += 1
        while waiting > 0:
            waiting -= len(sender.outcomes(1.0))
        acknowledged = time.monotonic_ns()
        sender.close()
        return Driven(asks, told, acknowledged)

    def bare(self, site: Site, size: int, count: int) -> list[int]:
        """A channel has no bare act."""
        return []


def _ask(sender: Sender, operation: Operation) -> int:
    began = time.monotonic_ns()
    sender.begin(operation)
    while not any(outcome.status is Status.ANSWERED for outcome in sender.outcomes(1.0)):
        pass
    return time.monotonic_ns() - began


def _against_floor(channel: Channel, floor: Floor, session: Session, rounds: int) -> list[str]:
    load = floor_load(1024, ASKS, TELLS)
    asks: dict[bool, list[float]] = {True: [], False: []}
    rates: dict[bool, list[float]] = {True: [], False: []}
    bare: list[int] = []
    for _ in range(rounds):
        for is_floor, driven_one in ((True, floor), (False, ThroughContract(channel))):
            ask, rate = _one_round(driven_one, session, load, session.site(channel))
            asks[is_floor].append(ask)
            rates[is_floor].append(rate)
        bare += _bare_acts(floor, session)
    ask, ask_floor = statistics.median(asks[False]), statistics.median(asks[True])
    rate, rate_floor = statistics.median(rates[False]), statistics.median(rates[True])
    return [
        channel.title(),
        duration(ask),
        duration(ask_floor),
        f"{ask / ask_floor:.2f}",
        f"{rate:,.0f}",
        f"{rate_floor:,.0f}",
        f"{rate / rate_floor:.2f}",
        f"{duration(statistics.median(bare))} ({floor.bare_act})",
    ]


def _one_round(floor: Floor, session: Session, load: Load, site: Site) -> tuple[float, float]:
    """Median ask in ns; tells/s from the first begun until all are both acknowledged and taken."""
    driven, taken = drive_floor(floor, session, load, pinned=True, site=site)
    end = max(driven.acknowledged, taken[-1])
    return statistics.median(driven.asks[len(driven.asks) // 10 :]), load.tells / ((end - driven.told[0]) / 1e9)


def _bare_acts(floor: Floor, session: Session) -> list[int]:
    site = session.site(floor)
    member = session.participant("bare")
    try:
        member.begin(_bare, floor, site)
        acts: list[int] = member.finish(timeout=60)
    finally:
        member.close()
        floor.uninstall(site)
    return acts


def _bare(link: Any, floor: Floor, site: Site) -> list[int]:
    floor.install(site)
    return floor.bare(site, 1024, 500)
