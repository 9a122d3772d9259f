"""Run the floors: the same promise in the thinnest code, in two processes like the channels."""

from __future__ import annotations

import os
import statistics
import sys
from dataclasses import dataclass

from sandbox.catalogue import floors
from sandbox.channel import Channel
from sandbox.exchange.schema import EXCHANGE, CreateVolume, ImageDownloaded
from sandbox.floor import Driven, Floor, Load
from sandbox.harness.participant import Link
from sandbox.harness.session import Session
from sandbox.site import Site


@dataclass(frozen=True)
class FloorTimes:
    """What a floor took, all in ns.

    asks  durations of sequential asks;  tells  intended start -> taken, of paced tells
    bare  durations of single acts of the bare medium, each of which is a `bare_act`
    """

    promise: str
    bare_act: str
    asks: tuple[int, ...]
    tells: tuple[int, ...]
    bare: tuple[int, ...]

    def median(self, verb: str) -> float | None:
        """Median for "tell" or "ask", in ns; None where no floor was measured (share)."""
        found = {"ask": self.asks, "tell": self.tells}.get(verb, ())
        return statistics.median(found) if found else None


def floor_load(size: int, asks: int, tells: int, rate: float | None = None, window: int = 64) -> Load:
    """A load of bodies of `size` encoded bytes."""
    ask, tell = CreateVolume(1, 1, 10), ImageDownloaded(1, 1, 10**6)
    pad = [size - len(EXCHANGE.encode(body)) for body in (ask, tell)]
    ask = CreateVolume(1, 1, 10, "x" * max(0, pad[0]))
    tell = ImageDownloaded(1, 1, 10**6, "x" * max(0, pad[1]))
    return Load(ask, tell, asks, tells, rate, window)


def measure_floor(
    channel: Channel, session: Session, size: int, asks: int, tells: int, rate: float
) -> FloorTimes | None:
    """Run the floor under a channel once; None when the channel has none (one of your own)."""
    floor = floors().get(channel.title())
    if floor is None:
        return None
    driven, taken = drive_floor(floor, session, floor_load(size, asks, tells, rate))
    skip = tells // 10
    spans = [done - due for done, due in zip(taken, driven.told, strict=True)][skip:]
    site = session.site(floor)
    bare = session.participant("bare")
    try:
        bare.begin(_bare, floor, site, size, 200)
        acts = bare.finish(timeout=60)
    finally:
        bare.close()
        floor.uninstall(site)
    return FloorTimes(floor.promise, floor.bare_act, tuple(driven.asks[asks // 10 :]), tuple(spans), tuple(acts))


def drive_floor(
    floor: Floor, session: Session, load: Load, pinned: bool = False, site: Site | None = None
) -> tuple[Driven, list[int]]:
    """Run a floor's two loops; what the driver saw, and when each tell was taken (ns).

    pinned  each process on a core of its own, where the system can: core placement alone moves a
            round trip by a factor of four, so a benchmark must not leave it to chance
    """
    site = site or session.site(floor)
    server, driver = session.participant("floor-server"), session.participant("floor-driver")
    try:
        floor.install(site)
        server.begin(_serve, floor, site, load, 1 if pinned else None)
        server.receive(timeout=30)
        driver.begin(_drive, floor, site, load, 0 if pinned else None)
        return driver.finish(timeout=60), server.finish(timeout=60)
    finally:
        server.close()
        driver.close()
        floor.uninstall(site)


def _serve(link: Link, floor: Floor, site: Site, load: Load, core: int | None) -> list[int]:
    _stay_on(core)
    return floor.serve(site, load, lambda: link.send("ready"))


def _drive(link: Link, floor: Floor, site: Site, load: Load, core: int | None) -> Driven:
    _stay_on(core)
    return floor.drive(site, load)


def _bare(link: Link, floor: Floor, site: Site, size: int, count: int) -> list[int]:
    floor.install(site)
    return floor.bare(site, size, count)


def _stay_on(core: int | None) -> None:
    if core is not None and sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})
