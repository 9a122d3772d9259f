"""A stream socket that carries frames and never waits, and the one place where an end waits for several of them."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterable

from sandbox.rpc.framing import Frames

#: most bytes that one read takes
CHUNK = 1 << 16
#: An end that expects something from one connection only, and has this many s, waits in `recv` itself: whoever waits
#: in `poll` is woken up to 10 us later.
PATIENT = 0.02
#: s (and as the kernel wants it) of such a wait, after which the end looks at everything else
SLICE = 0.005
_SLICE = struct.pack("@ll", 0, round(SLICE * 1e6))
#: flag of a send or a receive that must not wait
NOW = socket.MSG_DONTWAIT


class Connection:
    """One connected peer.

    out      bytes that the kernel has not taken yet, in order; whoever adds to it calls `flush`, once for many
    flushed  how many bytes that were in `out` the kernel has taken since
    offer    `send` of the socket itself
    ended    why nothing more will come, once that is so
    broken   whether it ended in the middle of a frame, or with one that nobody should send
    """

    def __init__(self, sock: socket.socket, limit: int) -> None:
        sock.setblocking(True)  # what must not wait says so; a `receive` that may wait does so for `SLICE`
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _SLICE)
        self.fileno = sock.fileno()
        self.out = bytearray()
        self.flushed = 0
        self.ended = ""
        self.broken = False
        self._sock = sock
        self._frames = Frames(limit)
        self.offer, self._take = sock.send, sock.recv  # looked up once and not for every frame

    def send(self, frame: bytes) -> int:
        """Give a frame; how many bytes of it the kernel took at once. The rest stays in `out`. OSError: none."""
        if self.out:
            taken = 0
        else:
            try:
                taken = self.offer(frame, NOW)
            except BlockingIOError:
                taken = 0
            if taken == len(frame):
                return taken
        self.out += frame[taken:]
        return taken

    def flush(self) -> None:
        """Offer the kernel what is in `out`. OSError: the connection is lost."""
        try:
            while self.out:
                taken = self.offer(self.out, NOW)
                self.flushed += taken
                del self.out[:taken]
        except BlockingIOError:
            pass

    def flush_within(self, timeout: float) -> None:
        """The same, but waiting up to `timeout` s for a peer that is slow to read. For farewells only."""
        self._sock.settimeout(timeout)
        try:
            self._sock.sendall(self.out)
        except OSError:  # TimeoutError among them: whoever does not read does not get told
            return

    def receive(self, patient: bool = False) -> list[bytes]:
        """The frames that one read completes; `patient` waits up to `SLICE` for it. `ended` when it was the last."""
        try:
            data = self._take(CHUNK, 0 if patient else NOW)
        except BlockingIOError:
            return []
        except OSError as error:
            self.ended = f"the connection broke ({error.strerror})"
            return []
        if not data:
            return self._closed()
        frames = self._frames.feed(data)
        if self._frames.broken:
            self.ended, self.broken = self._frames.broken, True
        return frames

    def give_up(self) -> None:
        """Tell the peer that it will hear nothing more, and go on reading what it has sent."""
        self.out.clear()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def _closed(self) -> list[bytes]:
        self.ended = "the other side closed the connection"
        if unfinished := self._frames.unfinished:
            self.ended += f" after {unfinished} bytes of a frame"
            self.broken = True
        return []

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()


def wait(poll: select.poll, watched: Iterable[int], timeout: float) -> list[tuple[int, int]]:
    """Descriptors of `watched` (registered with `poll`) that are ready, waiting up to `timeout` s for the first.

    `poll` counts whole milliseconds and rounds up, which would make a pacer late: the last fraction is waited
    for with `select`, which counts microseconds but would take a list to be built on each call.
    """
    whole = int(timeout * 1000)
    if whole == 0:
        if timeout > 0:
            _wait_fraction(watched, timeout)
        return poll.poll(0)
    end = time.monotonic() + timeout
    found = poll.poll(whole)
    if not found and (left := end - time.monotonic()) > 0:
        _wait_fraction(watched, left)
        found = poll.poll(0)
    return found


def _wait_fraction(watched: Iterable[int], timeout: float) -> None:
    try:
        select.select(list(watched), (), (), timeout)
    except ValueError:  # a descriptor beyond what select can hold
        time.sleep(timeout)
