"""dirq: a queue of files that is polled, beside `spool`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from dirq.QueueSimple import QueueSimple

from benchmarks.peer import Peer
from sandbox.exchange.schema import EXCHANGE, CreateVolume, VolumeCreated
from sandbox.floor import Driven, Load
from sandbox.site import Site

#: pause in s between two looks at a queue
POLL = 0.001


class Dirq(Peer):
    """Three queues: asks, answers, tells."""

    package = "dirq"
    channel = "spool"
    promise = "at least once, survives a process"
    settings = "QueueSimple, polled every 1 ms"
    turns = 5
    asks = True

    def install(self, site: Site) -> None:
        """Make the folders."""
        for box in ("asks", "answers", "tells"):
            _open(site, box)

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """See `Floor.serve`."""
        asks, answers, tells = _open(site, "asks"), _open(site, "answers"), _open(site, "tells")
        ready()
        for name, data in _take(asks, load.asks):
            body = EXCHANGE.decode("create_volume", data)
            assert isinstance(body, CreateVolume)
            answers.add(EXCHANGE.encode_answer(VolumeCreated(body.volume, "host-1")))
            asks.remove(name)
        taken: list[int] = []
        for name, data in _take(tells, load.tells):
            EXCHANGE.decode("image_downloaded", data)
            tells.remove(name)
            taken.append(time.monotonic_ns())
        return taken

    def drive(self, site: Site, load: Load) -> Driven:
        """See `Floor.drive`. A tell is acknowledged once its file is in place, so the window never fills."""
        asks, answers, tells = _open(site, "asks"), _open(site, "answers"), _open(site, "tells")
        took: list[int] = []
        for _ in range(load.asks):
            began = time.monotonic_ns()
            asks.add(EXCHANGE.encode(load.ask))
            for name, data in _take(answers, 1):
                EXCHANGE.decode_answer("create_volume", data)
                took.append(time.monotonic_ns() - began)
                answers.remove(name)
        told = []
        for _ in range(load.tells):
            told.append(time.monotonic_ns())
            tells.add(EXCHANGE.encode(load.tell))
        return Driven(took, told, time.monotonic_ns())


def _take(queue: QueueSimple, count: int) -> Iterator[tuple[str, bytes]]:
    """The next `count` elements, locked, with what is in them."""
    while count:
        name = queue.first()
        while name and count:
            if queue.lock(name):
                yield name, queue.get(name)
                count -= 1
            name = count and queue.next()
        if count:
            time.sleep(POLL)


def _open(site: Site, box: str) -> QueueSimple:
    return QueueSimple(f"{site.folder}/dirq/{box}")
