"""The floor under `Socket`: the same frames, JSON and processes, in blocking code that trusts its peer."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import ClassVar, NoReturn

import msgspec
from msgspec import Struct

from sandbox import floor
from sandbox.errors import ConnectionLost
from sandbox.exchange.schema import CreateVolume, ImageDownloaded, VolumeCreated
from sandbox.floor import Driven, Load, due_times
from sandbox.rpc.framing import Frames, pack_done, pack_request, pack_result, unpack_reply, unpack_request
from sandbox.site import Site

_CHUNK = 1 << 16
#: a pacer sleeps until this close (ns) to the due time and spins the rest
_SPIN = 200_000
_ask = msgspec.json.Decoder(CreateVolume).decode
_tell = msgspec.json.Decoder(ImageDownloaded).decode
_answer = msgspec.json.Decoder(VolumeCreated).decode


class Floor(floor.Floor):
    """One blocking Unix socket between one sender and one receiver."""

    channel: ClassVar[str] = "socket"
    promise: ClassVar[str] = "at most once; answered, or acknowledged by the receiver once it has taken it"
    bare_act: ClassVar[str] = "one raw round trip over a Unix socket"

    def install(self, site: Site) -> None:
        """Make the folder of the socket file."""
        (site.folder / "rpc").mkdir(exist_ok=True)

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """Answer each ask; acknowledge together what has arrived together."""
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(str(_path(site)))
            listener.listen()
            ready()
            with closing(listener.accept()[0]) as peer:
                stream = _Stream(peer)
                for _ in range(load.asks):
                    call = unpack_request(stream.frames()[0])
                    result = VolumeCreated(_ask(call.args).volume, "h1")
                    peer.sendall(pack_result(call.id, result))
                return _take(peer, stream, load.tells)

    def drive(self, site: Site, load: Load) -> Driven:
        """One ask after the other, then the tells."""
        with closing(socket.socket(socket.AF_UNIX)) as peer:
            peer.connect(str(_path(site)))
            stream = _Stream(peer)
            asks: list[int] = []
            for number in range(load.asks):
                begun = time.monotonic_ns()
                peer.sendall(_request(number, "create_volume", load.ask))
                _answer(unpack_reply(stream.frames()[0]).result)
                asks.append(time.monotonic_ns() - begun)
            told = _pour(peer, stream, load)
            return Driven(asks, told, time.monotonic_ns())

    def bare(self, site: Site, size: int, count: int) -> list[int]:
        """`size` bytes there and back, with a process of its own that only echoes."""
        near, far = socket.socketpair()
        child = os.fork()
        if child == 0:
            near.close()
            _echo(far)
        far.close()
        try:
            data, back = bytes(size), memoryview(bytearray(size))
            times: list[int] = []
            for _ in range(count):
                begun = time.monotonic_ns()
                near.sendall(data)
                got = 0
                while got < size:
                    got += near.recv_into(back[got:]) or _lost()
                times.append(time.monotonic_ns() - begun)
            return times
        finally:
            near.close()
            os.waitpid(child, 0)


class _Stream:
    """The frames that arrive."""

    def __init__(self, peer: socket.socket) -> None:
        self._receive, self._split = peer.recv, Frames(1 << 30).feed

    def frames(self) -> list[bytes]:
        """At least one frame, and all others that came with it."""
        while not (found := self._split(self._receive(_CHUNK) or _lost())):
            pass
        return found


def _pour(peer: socket.socket, stream: _Stream, load: Load) -> list[int]:
    """Send the tells, never more than the window unacknowledged; when each was due (rate given) or begun."""
    told = due_times(load, time.monotonic_ns()) if load.rate else []
    waiting: set[int] = set()
    for number in range(load.tells):
        while len(waiting) >= load.window:
            _acknowledge(waiting, stream)
        if load.rate:
            _sleep_until(told[number])
        else:
            told.append(time.monotonic_ns())
        waiting.add(number)
        peer.sendall(_request(number, "image_downloaded", load.tell))
    while waiting:
        _acknowledge(waiting, stream)
    return told


def _acknowledge(waiting: set[int], stream: _Stream) -> None:
    for frame in stream.frames():
        waiting.remove(unpack_reply(frame).id)


def _take(peer: socket.socket, stream: _Stream, tells: int) -> list[int]:
    taken: list[int] = []
    while len(taken) < tells:
        acknowledgements: list[bytes] = []
        for frame in stream.frames():
            call = unpack_request(frame)
            _tell(call.args)
            taken.append(time.monotonic_ns())
            acknowledgements.append(pack_done(call.id))
        peer.sendall(b"".join(acknowledgements))
    return taken


def _request(number: int, method: str, body: Struct) -> bytes:
    return pack_request(number, number, method, "1.0", body)


def _sleep_until(due: int) -> None:
    rest = due - time.monotonic_ns()
    if rest > _SPIN:
        time.sleep((rest - _SPIN) / 1e9)
    while time.monotonic_ns() < due:
        pass


def _echo(peer: socket.socket) -> None:
    """The whole life of the child: sends back what comes and leaves without the parent's exit handlers."""
    try:
        while data := peer.recv(_CHUNK):
            peer.sendall(data)
    finally:
        os._exit(0)


def _lost() -> NoReturn:
    raise ConnectionLost("the other side of the floor closed its socket before all had arrived")


def _path(site: Site) -> Path:
    return site.folder / "rpc" / "floor.sock"
