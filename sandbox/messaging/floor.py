"""The floor under the streams: XADD, XREADGROUP by 64, XACK, with the same fields and JSON.

It trusts its peer and its broker: no claims of others, no dead letters, no lost connections.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import hiredis
import msgspec

from sandbox import floor
from sandbox.errors import ConnectionLost
from sandbox.exchange.schema import CreateVolume, ImageDownloaded, VolumeCreated
from sandbox.floor import Driven, Load, due_times
from sandbox.messaging.connection import Address, connect, open_line, pack
from sandbox.site import Site

_CHUNK = 1 << 18
_MISSING = object()
_BATCH = 64
#: a pacer sleeps until this close (ns) to the due time and spins the rest
_SPIN = 200_000
_encode = msgspec.json.Encoder().encode
_ask = msgspec.json.Decoder(CreateVolume).decode
_tell = msgspec.json.Decoder(ImageDownloaded).decode
_answer = msgspec.json.Decoder(VolumeCreated).decode


@dataclass(frozen=True)
class Floor(floor.Floor):
    """One stream each way. `flush`: on a server that flushes to disk before it answers."""

    flush: bool = False

    channel = "streams"
    needs = ("redis",)
    promise = "at least once, accepted by the broker, settled after the work; one sender, one receiver"
    bare_act = "one PING round trip"

    def __post_init__(self) -> None:
        if self.flush:  # this value needs another server than its class
            object.__setattr__(self, "needs", ("redis_always",))

    def install(self, site: Site) -> None:
        """Make both streams and their group."""
        with closing(open_line(self._address(site), 5.0)) as line:
            for stream in ("asks", "tells"):
                line.call("XGROUP", "CREATE", _key(site, stream), "floor", "0", "MKSTREAM")

    def uninstall(self, site: Site) -> None:
        """Remove the streams."""
        with closing(open_line(self._address(site), 5.0)) as line:
            line.call("UNLINK", *(_key(site, stream) for stream in ("asks", "answers", "tells")))

    def serve(self, site: Site, load: Load, ready: Callable[[], None]) -> list[int]:
        """See `Floor.serve`. An acknowledgement travels with the next read, as the channel's does."""
        asks, answers, tells = (_key(site, stream) for stream in ("asks", "answers", "tells"))
        taken: list[int] = []
        with closing(connect(self._address(site), 5.0)) as peer:
            responses = _Responses(peer)
            ready()
            answered, more = 0, b""
            while answered < load.asks:
                events = responses.read(asks, more)
                more = _settle(asks, [entry for entry, _ in events])
                for _, event in events:
                    result = VolumeCreated(_ask(event[b"payload"]).volume, "h1")
                    more = _event(answers, event[b"event"], event[b"id"], _encode(result)) + more
                answered += len(events)
                responses.skip += len(events) + 1
            while len(taken) < load.tells:
                events = responses.read(tells, more)
                more = _settle(tells, [entry for entry, _ in events])
                for _, event in events:
                    _tell(event[b"payload"])
                    taken.append(time.monotonic_ns())
                responses.skip += 1
            peer.sendall(more)
            responses.next(responses.skip)
        return taken

    def drive(self, site: Site, load: Load) -> Driven:
        """See `Floor.drive`. An ask and the wait for its answer leave in one write."""
        asks, answers = _key(site, "asks"), _key(site, "answers")
        took: list[int] = []
        last: bytes = b"0"
        with closing(connect(self._address(site), 5.0)) as peer:
            responses = _Responses(peer)
            for number in range(load.asks):
                begun = time.monotonic_ns()
                request = _event(asks, b"create_volume", number, _encode(load.ask))
                peer.sendall(request + pack(("XREAD", "COUNT", _BATCH, "BLOCK", 0, "STREAMS", answers, last)))
                _, found = responses.next(2)
                last, fields = found[0][1][0]
                _answer(_fields(fields)[b"payload"])
                took.append(time.monotonic_ns() - begun)
            told = _pour(peer, responses, _key(site, "tells"), load)
            return Driven(took, told, time.monotonic_ns())

    def bare(self, site: Site, size: int, count: int) -> list[int]:
        """See `Floor.bare`: `size` bytes to the broker and back."""
        data, took = b"x" * size, []
        with closing(connect(self._address(site), 5.0)) as peer:
            responses = _Responses(peer)
            for _ in range(count):
                begun = time.monotonic_ns()
                peer.sendall(pack(("PING", data)))
                responses.next(1)
                took.append(time.monotonic_ns() - begun)
        return took

    def _address(self, site: Site) -> Address:
        return Address.parse(site.address(self.needs[0]))


class _Responses:
    """What a broker answers, in order. `skip`: responses that nobody looks at, before the next that counts."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer, self._reader, self.skip = peer, hiredis.Reader(notEnoughData=_MISSING), 0

    def next(self, least: int) -> list[Any]:
        """At least so many responses, and all others that came with them."""
        found: list[Any] = []
        while True:
            while (response := self._reader.gets()) is not _MISSING:
                found.append(response)
            if len(found) >= least:
                return found
            self._reader.feed(self._peer.recv(_CHUNK) or _lost())

    def read(self, stream: str, before: bytes) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Send `before` and a read of the group in one write; the entries that it claims."""
        read = ("XREADGROUP", "GROUP", "floor", "server", "COUNT", _BATCH, "BLOCK", 0, "STREAMS", stream, ">")
        self._peer.sendall(before + pack(read))
        response = self.next(self.skip + 1)[-1]
        self.skip = 0
        return [(entry, _fields(fields)) for entry, fields in response[0][1]]


def _pour(peer: socket.socket, responses: _Responses, stream: str, load: Load) -> list[int]:
    """Send the tells, never more than the window unacknowledged; when each was due (rate given) or begun."""
    told = due_times(load, time.monotonic_ns()) if load.rate else []
    acknowledged = 0
    for number in range(load.tells):
        if number - acknowledged >= load.window:
            acknowledged += len(responses.next(1))
        if load.rate:
            _sleep_until(told[number])
        else:
            told.append(time.monotonic_ns())
        peer.sendall(_event(stream, b"image_downloaded", number, _encode(load.tell)))
    responses.next(load.tells - acknowledged)
    return told


def _event(stream: str, event: bytes, number: int | bytes, payload: bytes) -> bytes:
    fields = ("event", event, "id", number, "sender", "driver", "version", "1.0", "payload", payload)
    return pack(("XADD", stream, "*", *fields))


def _settle(stream: str, entries: list[bytes]) -> bytes:
    return pack(("XACK", stream, "floor", *entries))


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _key(site: Site, stream: str) -> str:
    return f"{site.name}:floor:{stream}"


def _sleep_until(due: int) -> None:
    rest = due - time.monotonic_ns()
    if rest > _SPIN:
        time.sleep((rest - _SPIN) / 1e9)
    while time.monotonic_ns() < due:
        pass


def _lost() -> bytes:
    raise ConnectionLost("the broker closed the connection of the floor")
