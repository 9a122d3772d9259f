"""One direction of one connection: bytes come from a source, wait as the rules have it, and go to a target."""

from __future__ import annotations

import contextlib
import errno
import math
import random
import socket
from collections import deque
from enum import Enum, auto

from sandbox.faults.proxy.rules import Direction, Record, Rules, Shots

#: most bytes that wait in a pipe; then its source is not read, and whoever writes there has to wait
LIMIT = 1 << 18
#: most bytes of one read: a chunk
_CHUNK = 1 << 16
#: with a bandwidth, bytes leave in portions that last this many s
_PORTION = 0.005
#: nobody has taken the bytes, and may do so later (ENOTCONN: macOS, while the connection is being made)
_LATER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOTCONN)


class Fate(Enum):
    """What has become of a pipe."""

    OPEN = auto()
    DONE = auto()  #: the source has ended, and all that came from it has been passed on
    RESET = auto()  #: the whole connection is to break now


class Pipe:
    """See the module's text. Never waits; whoever owns it calls `read` and `write` when there is something to do.

    connection  the connection's number
    size        bytes that wait here
    wake        when `write` will have something to do, in ns of `time.monotonic_ns`; None: not by waiting alone
    blocked     whether the target's kernel takes no more for now
    maimed      whether bytes were lost, so that the rest of the stream means nothing any more
    """

    def __init__(self, connection: int, direction: Direction, rules: Rules, record: Record, seed: int) -> None:
        self.connection, self.direction = connection, direction
        self.size = 0
        self.wake: int | None = None
        self.blocked = self.maimed = self.ended = False
        self.fate = Fate.OPEN
        self._rules, self._record = rules, record
        self._draw = random.Random(f"{seed}/{connection}/{direction}")
        self._source: socket.socket | None = None
        self._target: socket.socket | None = None
        self._queue: deque[tuple[int, bytes]] = deque()  # (when it is due, what); b"": the source has ended
        self._last_due = self._free_at = self._noted = 0
        self._breaks = False
        self._doom: int | None = None
        self._aim: Shots | None = None
        self._budget = 0

    def join(self, source: socket.socket | None, target: socket.socket | None) -> None:
        """Say where bytes come from and go to; None: not yet known."""
        self._source, self._target = source, target

    @property
    def hungry(self) -> bool:
        """Whether more can be read."""
        return self._source is not None and not self.ended and self.size < LIMIT

    def touch(self, what: str, size: int, seconds: float = 0.0) -> None:
        """Note that something was done to this pipe."""
        self._record.add(self.connection, self.direction, what, size, seconds)

    # --- in ---------------------------------------------------------------------------------------

    def read(self, now: int) -> None:
        """Take in what one read gives."""
        if not self.hungry or self._source is None:
            return
        try:
            data = self._source.recv(min(_CHUNK, LIMIT - self.size))
        except OSError as error:
            if error.errno in _LATER:
                return
            self._breaks, data = True, b""
        self.ended = not data
        if self.maimed or self._rules.swallowed:
            self.maimed = True
            self.touch("swallowed", len(data))
        elif self.ended:
            self._enqueue(now + round(self._rules.latency * 1e9), b"")
        elif (lost := self._rules.lost) is not None and lost.may_hit(self.connection):
            lost.left -= 1
            self.maimed, self._doom = True, now + round(lost.wait * 1e9)
            self.touch("answer lost", len(data))
        else:
            self._accept(data, now)

    def _accept(self, data: bytes, now: int) -> None:
        rules = self._rules
        if rules.latency:
            delay = rules.delay(self._draw)
            self.touch("delayed", len(data), delay / 1e9)
            now += delay
        if rules.held:
            self.touch("held", len(data))
        self._enqueue(now, data)

    def _enqueue(self, due: int, data: bytes) -> None:
        self._last_due = max(due, self._last_due)  # a stream keeps its order, however the delays were drawn
        self._queue.append((self._last_due, data))
        self.size += len(data)

    # --- out --------------------------------------------------------------------------------------

    def write(self, now: int) -> None:
        """Pass on what is due, as far as the rules and the target's kernel let it."""
        self.wake, self.blocked = self._doom, False
        if self._doom is not None and now >= self._doom:
            self.fate = Fate.RESET
        queue, rules = self._queue, self._rules
        while queue and self.fate is Fate.OPEN and not rules.held and self._target is not None:
            due, data = queue[0]
            if rules.bandwidth < math.inf:
                due = max(due, self._free_at)
                self._note_slowed(due, now, len(data))
            if due > now:
                self.wake = due if self._doom is None else min(due, self._doom)
                return
            if not data:
                self._end(self._target)
            elif not self._send(self._target, data, now):
                return

    def _note_slowed(self, due: int, now: int, size: int) -> None:
        if now < self._free_at == due != self._noted:  # each wait once, however often somebody looks
            self._noted = due
            self.touch("slowed", size)

    def _end(self, target: socket.socket) -> None:
        self._queue.popleft()
        if self._breaks:
            self.fate = Fate.RESET
            return
        self.fate = Fate.DONE
        with contextlib.suppress(OSError):  # it has gone as well
            target.shutdown(socket.SHUT_WR)

    def _send(self, target: socket.socket, data: bytes, now: int) -> bool:
        """Send the first bytes that wait; whether it makes sense to go on."""
        most = self._most(len(data))
        try:
            sent = target.send(data[:most] if most < len(data) else data) if most else 0
        except OSError as error:
            self.blocked = error.errno in _LATER
            if not self.blocked:
                self._give_up()
            return False
        self._leave(data, sent)
        if self._rules.bandwidth < math.inf:
            self._free_at = max(now, self._free_at) + round(sent / self._rules.bandwidth * 1e9)
        return not self._is_cut(sent)

    def _most(self, size: int) -> int:
        rules = self._rules
        if rules.bandwidth < math.inf:
            size = min(size, max(1, int(rules.bandwidth * _PORTION)))
        if rules.cut is None or not rules.cut.may_hit(self.connection):
            return size
        if self._aim is not rules.cut:  # counted from the moment in which it was switched on
            self._aim, self._budget = rules.cut, rules.cut.after
        return min(size, self._budget)

    def _leave(self, data: bytes, sent: int) -> None:
        due, _ = self._queue[0]
        self.size -= sent
        if sent == len(data):
            self._queue.popleft()
        else:
            self._queue[0] = (due, data[sent:])

    def _is_cut(self, sent: int) -> bool:
        if (cut := self._rules.cut) is None or cut is not self._aim or not cut.may_hit(self.connection):
            return False
        self._budget -= sent
        if self._budget > 0:
            return False
        cut.left -= 1
        self.touch("cut", self.size)
        self.fate = Fate.RESET
        return True

    def _give_up(self) -> None:
        """The target takes nothing any more. What it had said before still goes the other way."""
        self._queue.clear()
        self.size, self.ended, self.fate = 0, True, Fate.DONE
