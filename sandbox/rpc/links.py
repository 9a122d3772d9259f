"""The sending end's connections: one to each receiver that has been found, calls spread over them in turn."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
from collections import deque
from pathlib import Path

from sandbox.channel import Outcome
from sandbox.exchange.schema import UNREADABLE, Schema
from sandbox.rpc.calls import Call
from sandbox.rpc.connection import NOW, PATIENT, Connection, wait
from sandbox.rpc.directory import SUFFIX, Transport, reach
from sandbox.rpc.framing import framed, readers

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
        self._queued: deque[tuple[int, int, Call]] = deque()

    def keep(self, call: Call, frame: bytes, taken: int) -> None:
        """Queue what the kernel did not take of a call."""
        begin = self.flushed + len(self.out) - taken
        self.calls[call.number] = call
        self.out += frame[taken:]
        self._queued.append((begin, begin + len(frame), call))

    def flushed_casts(self) -> list[Call]:
        """Offer the kernel what is queued; the casts that it has now taken whole. OSError: the connection is lost."""
        self.flush()
        accepted: list[Call] = []
        while self._queued and self._queued[0][1] <= self.flushed:
            _, _, call = self._queued.popleft()
            if call.cast and self.calls.pop(call.number, None) is not None:
                call.accepted()
                accepted.append(call)
        return accepted

    def lost(self, reason: str) -> list[Call]:
        """It is gone: of calls that have not begun to leave it is certain that they did not happen. All calls on it."""
        self.close()
        kept = {call.number for begin, _, call in self._queued if begin >= self.flushed}
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
    """The receivers of one group as one sender knows them; `owner` watches the connections to them."""

    def __init__(self, folder: Path, transport: Transport, limit: int, owner: Links) -> None:
        self.name = folder.name
        self._folder, self._transport, self._limit, self._owner = folder, transport, limit, owner
        self._links: dict[str, Link] = {}
        self._order: list[Link] = []
        self._turn = 0
        self._look_again = 0.0

    def carry(self, call: Call, frame: bytes, now: float) -> None:
        """To the receiver whose turn it is; to the next one where nothing of it could leave.

        A call that the kernel has taken whole waits for its reply; a cast is accepted by that.
        """
        while True:
            if now >= self._look_again:
                self.look(now)
            if not self._order:
                call.failed(f"nobody listens in {self.name}; certainly not sent")
                return
            self._turn = turn = (self._turn + 1) % len(self._order)
            link = self._order[turn]
            if link.out:
                self._queue(link, call, frame, 0)
                return
            try:
                taken = link.offer(frame, NOW)
            except BlockingIOError:
                taken = 0
            except OSError as error:
                self._owner.broken(link, error)
                continue
            if taken < len(frame):
                self._queue(link, call, frame, taken)
            elif call.cast:
                call.accepted()
            else:
                link.calls[call.number] = call
            return

    def _queue(self, link: Link, call: Call, frame: bytes, taken: int) -> None:
        if len(link.out) > self._owner.max_queued:
            call.failed(f"a receiver of {self.name} does not read: {len(link.out)} bytes are queued for it")
            return
        link.keep(call, frame, taken)
        self._owner.queued(link)

    def listens(self, now: float) -> bool:
        """Whether there is a receiver, as far as can be known without sending."""
        if not self._order:
            self.look(now)
        return bool(self._order)

    def look(self, now: float) -> None:
        """Connect to receivers that have come. Also done by `carry`: every `LOOK` s, always while there is none."""
        self._look_again = now + LOOK
        for name in self._announced():
            if name not in self._links and (reached := reach(self._folder / name, self._transport)) is not None:
                self._links[name] = self._connected(*reached)
        self._order = list(self._links.values())
        if not self._order:
            self._look_again = 0.0

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
        self._owner.opened(link)
        return link


def all_listen(groups: list[Group], call: Call, now: float) -> bool:
    """Asked before anything is sent: a tell that one group has already could not be called failed."""
    away = [group.name for group in groups if not group.listens(now)]
    if away or not groups:
        call.failed(f"nobody listens in {', '.join(away) or 'any group'}; certainly not sent")
        call.parts = 0
    return call.parts > 0


class Links:
    """All connections of one sender, whatever the group.

    late        replies to calls of which nobody waits any more
    concluded   outcomes that have become known since the owner last took this list
    max_queued  no more is queued for a receiver for which this many bytes wait
    """

    def __init__(self, schema: Schema, max_queued: int) -> None:
        self.late = 0
        self.concluded: list[Outcome] = []
        self._schema, self.max_queued = schema, max_queued
        self._decode = readers(schema.codec).reply
        self._poll = select.poll()
        self._links: dict[int, Link] = {}

    def opened(self, link: Link) -> None:
        """Watch a connection."""
        self._poll.register(link.fileno, select.POLLIN)
        self._links[link.fileno] = link

    def queued(self, link: Link) -> None:
        """Be told when a connection takes what is queued for it."""
        self._poll.modify(link.fileno, select.POLLIN | select.POLLOUT)

    def broken(self, link: Link, error: OSError) -> None:
        """Nothing can be sent over a connection any more; what its receiver had said before still counts."""
        while self._read(link):
            pass
        if not link.ended:
            self._lose(link, f"the connection broke ({error.strerror})")

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
        waiting, schema, conclude = link.calls.pop, self._schema, self.concluded.append
        decode = self._decode
        try:
            for frame in frames:
                reply = decode(frame)
                call = waiting(reply.id, None)
                if call is None:
                    self.late += 1
                elif (outcome := call.replied(reply, schema)) is not None:
                    conclude(outcome)
        except UNREADABLE as error:
            link.ended = f"not a reply: {str(error)[:200]}"
        if link.ended:
            self._lose(link, link.ended)
        return bool(frames)

    def _lose(self, link: Link, reason: str) -> None:
        self._poll.unregister(link.fileno)
        del self._links[link.fileno]
        link.group.forget(link)
        self._conclude(link.lost(reason))
