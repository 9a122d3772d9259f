"""The proxy's process: one loop over all sockets and timers. Nothing in it ever waits for one connection alone."""

from __future__ import annotations

import errno
import math
import select
import selectors
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.faults.proxy.addresses import Target
from sandbox.faults.proxy.doors import Door, Mirror, open_door, place_of
from sandbox.faults.proxy.pipes import Fate, Pipe
from sandbox.faults.proxy.rules import Record, Rules
from sandbox.harness.participant import Link

#: s between two looks for receivers that have come or gone
LOOK = 0.004
#: longest wait in ns; systems know different limits
_LONGEST = 3_600_000_000_000
#: s between two attempts to connect to a target whose backlog is full
_AGAIN = 0.005
#: a connection that is closed with this is reset, where its kind knows a reset
_ABORT = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Crossing:
    """One connection through the proxy; `server` is None as long as it is not let through.

    connecting  whether the kernel is still at it
    """

    number: int
    door: Door
    client: socket.socket
    up: Pipe
    down: Pipe
    server: socket.socket | None = None
    connecting: bool = False
    closed: bool = False
    watched: dict[socket.socket, int] = field(default_factory=dict)

    def join(self, server: socket.socket) -> None:
        """It is let through."""
        self.server = server
        self.up.join(self.client, server)
        self.down.join(server, self.client)


class Relay:
    """All connections of one proxy, and what is done to them.

    rules      "up" and "down" -> what is done in that direction
    crossings  the open connections, by number
    """

    def __init__(self, link: Link, seed: int) -> None:
        self.rules = {"up": Rules(), "down": Rules()}
        self.record = Record()
        self.crossings: dict[int, Crossing] = {}
        self.opened = 0
        self._link, self._seed = link, seed
        self._selector = selectors.DefaultSelector()
        self._wakes: dict[Pipe | Crossing, tuple[int, Crossing]] = {}
        self._mirror: Mirror | None = None

    def listen(self, target: Target | Path, file: Path) -> Any:
        """Begin; where it listens, to be told to clients. `file`: of a socket, or the folder of many."""
        if isinstance(target, Path):
            self._mirror = Mirror(target, file)
            self.look()
            return str(file)
        door = open_door(target, file)
        self._admit(door)
        return place_of(door)

    def serve(self, requests: Callable[[str, dict[str, Any]], Any]) -> None:
        """Carry bytes and answer requests, until the session closes its link."""
        self._selector.register(self._link, selectors.EVENT_READ, self._hear)
        self._requests = requests
        looked = 0.0
        while True:
            if self._mirror is not None and time.monotonic() > looked + LOOK:
                self.look()
                looked = time.monotonic()
            for key, mask in self._ready():
                key.data(mask)
            now = time.monotonic_ns()
            for wake, crossing in list(self._wakes.values()):
                if wake <= now:
                    self.go_on(crossing)

    def look(self) -> None:
        """Look now for receivers that have come or gone."""
        if self._mirror is not None:
            new, closed = self._mirror.look()
            for door in closed:
                self._selector.unregister(door.listener)
            for door in new:
                self._admit(door)

    def closed_to_newcomers(self) -> bool:
        """Whether a connection cannot be made now: that takes both directions."""
        return any(rules.held or rules.swallowed for rules in self.rules.values())

    def go_on(self, crossing: Crossing) -> None:
        """Do for a connection what can be done now, and see when and why it is to be looked at again."""
        if crossing.closed:  # by an event before this one
            return
        now = time.monotonic_ns()
        self._wakes.pop(crossing, None)
        if crossing.server is None and not self.closed_to_newcomers():
            self._connect(crossing)
        if not crossing.closed and not crossing.connecting:
            crossing.up.write(now)
            crossing.down.write(now)
        self._watch(crossing)

    def end(self, crossing: Crossing, reset: bool) -> None:
        """Close both sides of a connection; `reset`: so that both learn of a break, where their kind knows one."""
        if crossing.closed:
            return
        crossing.closed = True
        for sock in (crossing.client, crossing.server):
            if sock is not None:
                self._want(crossing, sock, 0)
                if reset and sock.family != socket.AF_UNIX:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                sock.close()
        for part in (crossing, crossing.up, crossing.down):
            self._wakes.pop(part, None)
        del self.crossings[crossing.number]

    # --- what happens on sockets ------------------------------------------------------------------

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What there is to do on sockets, waiting until the next timer.

        By `select` on the selector itself: a timeout is then exact to a microsecond, not rounded up to a millisecond.
        """
        until = min((wake for wake, _ in self._wakes.values()), default=math.inf)
        timeout = min(until - time.monotonic_ns(), _LONGEST) / 1e9 if self._wakes else math.inf
        if self._mirror is not None:
            timeout = min(timeout, LOOK)
        if timeout == math.inf:
            return self._selector.select()
        if timeout > 0:
            select.select([self._selector], [], [], timeout)
        return self._selector.select(0)

    def _hear(self, _: int) -> None:
        number, name, arguments = self._link.recv()  # EOFError: the session has closed it, and so this process ends
        self.look()
        try:
            answer = (number, True, self._requests(name, arguments))
        except Exception as error:  # the session says it to whoever has asked
            answer = (number, False, f"{type(error).__name__}: {error}")
        self._link.send(answer)

    def _admit(self, door: Door) -> None:
        self._selector.register(door.listener, selectors.EVENT_READ, partial(self._accept, door))

    def _accept(self, door: Door, _: int) -> None:
        try:
            client, _address = door.listener.accept()
        except OSError:  # it has gone again
            return
        client.setblocking(False)
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened += 1
        up, down = (Pipe(self.opened, way, self.rules[way], self.record, self._seed) for way in ("up", "down"))
        crossing = self.crossings[self.opened] = Crossing(self.opened, door, client, up, down)
        up.join(client, None)
        if self.closed_to_newcomers():
            self.record.add(self.opened, "both", "held", 0)
        self.go_on(crossing)

    def _connect(self, crossing: Crossing) -> None:
        server, failure = crossing.door.connect()
        if server is not None:
            crossing.connecting = failure == errno.EINPROGRESS
            crossing.join(server)
        elif failure == errno.EAGAIN:
            self._wakes[crossing] = (time.monotonic_ns() + round(_AGAIN * 1e9), crossing)
        else:
            self._check(crossing.door)
            self.end(crossing, reset=True)

    def _check(self, door: Door) -> None:
        """Withdraw the announcement of a receiver that is not there any more, before its senders look again."""
        if self._mirror is not None and door in self._mirror.doors.values() and door.leads_nowhere():
            self._selector.unregister(door.listener)
            self._mirror.withdraw(door)

    def _on_client(self, crossing: Crossing, mask: int) -> None:
        if mask & selectors.EVENT_READ and not crossing.closed:
            crossing.up.read(time.monotonic_ns())
        self.go_on(crossing)

    def _on_server(self, crossing: Crossing, mask: int) -> None:
        if crossing.connecting and crossing.server is not None and not crossing.closed:
            if crossing.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._check(crossing.door)
                self.end(crossing, reset=True)
                return
            crossing.connecting = False
        if mask & selectors.EVENT_READ and not crossing.closed:
            crossing.down.read(time.monotonic_ns())
            if crossing.down.ended:
                self._check(crossing.door)
        self.go_on(crossing)

    # --- what is waited for -----------------------------------------------------------------------

    def _watch(self, crossing: Crossing) -> None:
        if crossing.closed:
            return
        up, down, server = crossing.up, crossing.down, crossing.server
        if Fate.RESET in (up.fate, down.fate) or (up.fate is Fate.DONE and down.fate is Fate.DONE):
            self.end(crossing, reset=Fate.RESET in (up.fate, down.fate))
            return
        read, write = selectors.EVENT_READ, selectors.EVENT_WRITE
        self._want(crossing, crossing.client, read * up.hungry | write * down.blocked)
        if server is not None:
            wanted = write if crossing.connecting else read * down.hungry | write * up.blocked
            self._want(crossing, server, wanted)
        for pipe in (up, down):
            if pipe.wake is not None:
                self._wakes[pipe] = (pipe.wake, crossing)
            else:
                self._wakes.pop(pipe, None)

    def _want(self, crossing: Crossing, sock: socket.socket, events: int) -> None:
        """Be told of these events; of none: not even of a hang-up, of which a selector tells again and again."""
        known = crossing.watched.get(sock, 0)
        if events == known:
            return
        if not events:
            self._selector.unregister(sock)
        elif known:
            self._selector.modify(sock, events, self._selector.get_key(sock).data)
        else:
            on_event = self._on_client if sock is crossing.client else self._on_server
            self._selector.register(sock, events, partial(on_event, crossing))
        crossing.watched[sock] = events
