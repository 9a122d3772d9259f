"""The floor under the file channels: write, rename, read, remove - and the system wakes the reader.

One sender and one receiver need no claim: a file that is removed after the work is delivered again
when the receiver dies before. So this promises what the spool promises, for two.
"""
# Plain strings all through: a Path costs as much as the system call it is for.
# ruff: noqa: PTH104, PTH108

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from sandbox import floor
from sandbox.channel import Envelope
from sandbox.exchange.schema import EXCHANGE, CreateVolume, VolumeCreated
from sandbox.floor import Driven, Load, due_times
from sandbox.site import Site

try:
    import inotify_simple
except ImportError:  # not Linux
    inotify_simple = None

_decode = msgspec.json.Decoder(Envelope).decode
_encode = msgspec.json.Encoder().encode
_BOXES = ("asks", "answers", "tells")
_POLL = 0.001
#: time.sleep is some 80 us late, so the last stretch before a due time is spun
_SPIN = 200_000


@dataclass(frozen=True)
class Floor(floor.Floor):
    """Floor of the spool. `flush`: file and folder are flushed to disk before a send is acknowledged."""

    flush: bool = False

    channel = "spool"
    promise = "at least once, survives either process; one sender, one receiver"
    bare_act = "write, rename and remove one file"

    def install(self, site: Site) -> None:
        """Make the folders."""
        for box in ("new", *_BOXES):
            (site.folder / "floor" / box).mkdir(parents=True, exist_ok=True)

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """See `Floor.serve`."""
        root = f"{site.folder}/floor"
        taken: list[int] = []
        with _Arrivals(f"{root}/asks") as asks, _Arrivals(f"{root}/tells") as tells:
            ready()
            for path, ask in asks.first(load.asks):
                body = EXCHANGE.decode(ask.message, ask.body)
                assert isinstance(body, CreateVolume)
                answer = EXCHANGE.encode_answer(VolumeCreated(body.volume, "host1"))
                self._publish(root, "answers", ask.id, ask.message, answer)
                os.unlink(path)
            for path, tell in tells.first(load.tells):
                EXCHANGE.decode(tell.message, tell.body)
                taken.append(time.monotonic_ns())
                os.unlink(path)
        return taken

    def drive(self, site: Site, load: Load) -> Driven:
        """See `Floor.drive`. A tell is acknowledged as soon as its file is in place, so the window never fills."""
        root = f"{site.folder}/floor"
        asks: list[int] = []
        with _Arrivals(f"{root}/answers") as answers:
            for number in range(load.asks):
                start = time.monotonic_ns()
                self._publish(root, "asks", number, "create_volume", EXCHANGE.encode(load.ask))
                for path, answer in answers.first(1):
                    EXCHANGE.decode_answer(answer.message, answer.body)
                    asks.append(time.monotonic_ns() - start)
                    os.unlink(path)
        due = due_times(load, time.monotonic_ns()) if load.rate else None
        told: list[int] = []
        for number in range(load.tells):
            told.append(_wait_until(due[number]) if due else time.monotonic_ns())
            self._publish(root, "tells", number, "image_downloaded", EXCHANGE.encode(load.tell))
        return Driven(asks, told, time.monotonic_ns())

    def bare(self, site: Site, size: int, count: int) -> list[int]:
        """See `Floor.bare`."""
        root, data, took = f"{site.folder}/floor", b"x" * size, []
        for number in range(count):
            start = time.monotonic_ns()
            self._put(root, "tells", f"bare{number}", data)
            os.unlink(f"{root}/tells/bare{number}")
            took.append(time.monotonic_ns() - start)
        return took

    def _publish(self, root: str, box: str, number: int, message: str, body: bytes) -> None:
        self._put(root, box, f"{number:012d}", _encode(Envelope(number, message, msgspec.Raw(body))))

    def _put(self, root: str, box: str, name: str, data: bytes) -> None:
        new = f"{root}/new/{box}{name}"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, data)
        if self.flush:
            os.fsync(fd)
        os.close(fd)
        os.rename(new, f"{root}/{box}/{name}")
        if self.flush:
            folder = os.open(f"{root}/{box}", os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)


class _Arrivals:
    """Paths of the files that appear in a folder, in order; watched from construction on.

    Woken by inotify; where there is none, listed every `_POLL` seconds.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._paths: deque[str] = deque()
        self._inotify = _watch(folder)

    def __enter__(self) -> _Arrivals:
        return self

    def __exit__(self, *_: object) -> None:
        if self._inotify:
            self._inotify.close()

    def first(self, count: int) -> Iterator[tuple[str, Envelope]]:
        """The next `count` files, with what is in them."""
        while count:
            while not self._paths:
                self._wait()
            path = self._paths.popleft()
            try:
                fd = os.open(path, os.O_RDONLY)
            except FileNotFoundError:  # listed and announced: it was here before
                continue
            data = os.read(fd, os.fstat(fd).st_size)
            os.close(fd)
            yield path, _decode(data)
            count -= 1

    def _wait(self) -> None:
        if self._inotify is None:
            time.sleep(_POLL)
            names = sorted(os.listdir(self._folder))
        else:
            events = inotify_simple.parse_events(os.read(self._inotify.fd, 1 << 16))
            names = [event.name for event in events]
            if "" in names:  # the system's queue of events has overflowed: some were lost
                names = sorted(os.listdir(self._folder))
        self._paths.extend(f"{self._folder}/{name}" for name in names)


def _watch(folder: str) -> inotify_simple.INotify | None:
    if inotify_simple is None:
        return None
    try:
        inotify = inotify_simple.INotify()
    except OSError:  # the system's limit on watchers is reached
        return None
    inotify.add_watch(folder, inotify_simple.flags.MOVED_TO)
    return inotify


def _wait_until(due: int) -> int:
    while (left := due - time.monotonic_ns()) > 0:
        if left > _SPIN:
            time.sleep((left - _SPIN) / 1e9)
    return due
