"""The sending end's connections: one to each receiver that has been found, calls spread over them in turn."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path

from sandbox.channel import Outcome
from sandbox.errors import Malformed
from sandbox.exchange.schema import Schema
from sandbox.rpc.calls import Call
from sandbox.rpc.connection import PATIENT, Connection, wait
from sandbox.rpc.directory import SUFFIX, Transport, reach
from sandbox.rpc.framing import framed, unpack_reply

#: receivers that are new are looked for every so many s
LOOK = 0.1


class Link(Connection):
    """A sender's connection to one receiver.

    calls  number -> call that waits for this receiver, in the order in which they were begun
    """

    def __init__(self, sock: socket.socket, limit: int, group: Group) -> None:
        super().__init__(sock, limit)
        self.group = group
        self.calls: dict[int, Call] = {}
        # of each frame that is not yet wholly with the kernel: where it begins and ends, counted as `flushed` is
        self._queued: deque[tuple[int, int, Call, bool]] = deque()

    def carry(self, call: Call, frame: bytes, cast: bool) -> bool:
        """Send a call; whether the kernel has all of it, by which a cast is accepted. OSError: nothing has left."""
        end = len(self.out)
        taken = self.send(frame)
        if taken == len(frame):
            if cast:
                call.accepted()
            else:
                self.calls[call.number] = call
            return True
        begin = self.flushed + end - taken
        self.calls[call.number] = call
        self._queued.append((begin, begin + len(frame), call, cast))
        return False

    def flushed_casts(self) -> list[Call]:
        """Offer the kernel what is queued; the casts that it has now taken whole. OSError: the connection is lost."""
        self.flush()
        accepted: list[Call] = []
        while self._queued and self._queued[0][1] <= self.flushed:
            _, _, call, cast = self._queued.popleft()
            if cast and self.calls.pop(call.number, None) is not None:
                call.accepted()
                accepted.append(call)
        return accepted

    def lost(self, reason: str) -> list[Call]:
        """It is gone: of calls that have not begun to leave it is certain that they did not happen. All calls on it."""
        self.close()
        kept = {call.number for begin, _, call, _ in self._queued if begin >= self.flushed}
        calls = list(self.calls.values())
        for call in calls:
            if call.number in kept:
                call.failed(f"{reason} before it was sent")
            else:
                call.lost(reason)
        self.calls.clear()
        return calls

    def expired(self, now: float, reason: str) -> list[Call]:
        """The calls whose time is over; this receiver's reply to them will be a late one."""
        over: list[Call] = []
        for call in self.calls.values():
            if call.deadline > now:
                break
            over.append(call)
        for call in over:
            del self.calls[call.number]
            if call.parts:  # else another receiver has been late with it already
                call.expired(reason)
        return over


class Group:
    """The receivers of one group as one sender knows them; `opened` is told of each new connection."""

    def __init__(self, folder: Path, transport: Transport, limit: int, opened: Callable[[Link], None]) -> None:
        self.name = folder.name
        self._folder, self._transport, self._limit, self._opened = folder, transport, limit, opened
        self._links: dict[str, Link] = {}
        self._order: list[Link] = []
        self._turn = 0
        self._look_again = 0.0

    def next(self, now: float) -> Link | None:
        """The receiver whose turn it is; None: nobody listens."""
        if now >= self._look_again or not self._order:
            self.look(now)
            if not self._order:
                return None
        self._turn = turn = (self._turn + 1) % len(self._order)
        return self._order[turn]

    def listens(self, now: float) -> bool:
        """Whether there is a receiver, as far as can be known without sending."""
        if not self._order:
            self.look(now)
        return bool(self._order)

    def look(self, now: float) -> None:
        """Connect to receivers that have come. Also done by `next`, every `LOOK` s while there is one."""
        self._look_again = now + LOOK
        for name in self._announced():
            if name not in self._links and (reached := reach(self._folder / name, self._transport)) is not None:
                self._links[name] = self._connected(*reached)
        self._order = list(self._links.values())

    def forget(self, link: Link) -> None:
        """It is lost; when its receiver lives it will be found again."""
        self._links = {name: known for name, known in self._links.items() if known is not link}
        self._order = list(self._links.values())
        self._look_again = 0.0

    def _announced(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if name.endswith(SUFFIX[self._transport]))
        except OSError:
            return []

    def _connected(self, sock: socket.socket, secret: str) -> Link:
        link = Link(sock, self._limit, self)
        if secret:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):  # a loss shows at the first call
                link.send(framed(secret.encode()))
        self._opened(link)
        return link


class Links:
    """All connections of one sender, whatever the group.

    late       replies to calls of which nobody waits any more
    concluded  outcomes that have become known since the owner last took this list
    """

    def __init__(self, schema: Schema, max_queued: int) -> None:
        self.late = 0
        self.concluded: list[Outcome] = []
        self._schema, self._max_queued = schema, max_queued
        self._poll = select.poll()
        self._links: dict[int, Link] = {}

    def opened(self, link: Link) -> None:
        """Watch a connection."""
        self._poll.register(link.fileno, select.POLLIN)
        self._links[link.fileno] = link

    def carry(self, group: Group, call: Call, frame: bytes, cast: bool, now: float) -> None:
        """To the receiver whose turn it is; to the next one where nothing of it could leave."""
        while (link := group.next(now)) is not None:
            if link.out and len(link.out) > self._max_queued:
                call.failed(f"a receiver of {group.name} does not read: {len(link.out)} bytes are queued for it")
                return
            try:
                if not link.carry(call, frame, cast):
                    self._poll.modify(link.fileno, select.POLLIN | select.POLLOUT)
                return
            except OSError as error:
                while self._read(link):  # what it had said before
                    pass
                if not link.ended:
                    self._lose(link, f"the connection broke ({error.strerror})")
        call.failed(f"nobody listens in {group.name}; certainly not sent")

    def attend(self, timeout: float) -> None:
        """Send what is queued and read what has come, waiting up to `timeout` s for the first to do."""
        if timeout >= PATIENT and (link := self._expected()) is not None:
            if self._read(link, patient=True):
                return
            timeout = 0
        for descriptor, event in wait(self._poll, self._links, timeout):
            link = self._links[descriptor]
            if event & select.POLLOUT:
                self._flush(link)
            if event & ~select.POLLOUT:
                self._read(link)

    def _expected(self) -> Link | None:
        """The one connection from which something is expected, if it is one and nothing waits to be sent."""
        busy = [link for link in self._links.values() if link.calls or link.out]
        return busy[0] if len(busy) == 1 and not busy[0].out else None

    def expire(self, now: float, reason: str) -> float:
        """Conclude the calls whose time is over; when the next one's will be."""
        expiry = math.inf
        for link in self._links.values():
            self._conclude(link.expired(now, reason))
            if link.calls:
                expiry = min(expiry, next(iter(link.calls.values())).deadline)
        return expiry

    def close(self) -> None:
        """Close all connections."""
        for link in self._links.values():
            link.close()
        self._links.clear()

    def _conclude(self, calls: list[Call]) -> None:
        self.concluded += [call.outcome() for call in calls if not call.parts]

    def _flush(self, link: Link) -> None:
        try:
            self._conclude(link.flushed_casts())
        except OSError:
            return  # reading it tells why
        if not link.out:
            self._poll.modify(link.fileno, select.POLLIN)

    def _read(self, link: Link, patient: bool = False) -> bool:
        frames = link.receive(patient)
        for frame in frames:
            try:
                reply = unpack_reply(frame)
            except Malformed as error:
                link.ended = str(error)
                break
            call = link.calls.pop(reply.id, None)
            if call is None:
                self.late += 1
            elif (outcome := call.replied(reply, self._schema)) is not None:
                self.concluded.append(outcome)
        if link.ended:
            self._lose(link, link.ended)
        return bool(frames)

    def _lose(self, link: Link, reason: str) -> None:
        self._poll.unregister(link.fileno)
        del self._links[link.fileno]
        link.group.forget(link)
        self._conclude(link.lost(reason))
