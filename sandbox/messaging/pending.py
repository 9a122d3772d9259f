"""Claims that have lapsed or were given back, and what lies in the streams.

The broker remembers every claim (who, since when, how often) until it is settled, but never ends one
by itself: a receiver looks for claims that have been idle for the whole lease, and takes them over.
An operation that was given back belongs to the consumer `LATER`, which nobody is. The broker's clock
says when it may be taken: its idle time is set so that it reaches `HORIZON` when the delay is over.
"""

from __future__ import annotations

from typing import Any

from sandbox.channel import ASK_GROUP, Backlog
from sandbox.errors import RunFailed
from sandbox.messaging.connection import Line, Word
from sandbox.messaging.entries import Keys
from sandbox.site import Site

LATER = "~later"
#: idle time, in ms, at which something given back may be taken: more than any lease
HORIZON = 2 * 86_400_000
#: longest lease and longest delay, in s
LONGEST = 86_400.0
_PAGE = 128


def give_back(stream: str, group: str, entry: bytes, delay: float) -> tuple[Word, ...]:
    """The command that gives a claim back for `delay` s; it is not counted as a delivery."""
    return ("XCLAIM", stream, group, LATER, 0, entry, "IDLE", HORIZON - round(delay * 1000), "JUSTID")


class Scan:
    """Looks through the claims of a group for those that may be taken over, one page at a time."""

    def __init__(self, stream: str, group: str, consumer: str, lease: float) -> None:
        self._stream, self._group, self._consumer = stream, group, consumer
        self._lease = round(lease * 1000)
        self._start: bytes = b"-"

    def command(self) -> tuple[Word, ...]:
        """Asks for the next page of claims that are idle for the lease at least."""
        return ("XPENDING", self._stream, self._group, "IDLE", self._lease, self._start, "+", _PAGE)

    def found(self, page: list[Any], limit: int) -> tuple[dict[bytes, int], bool]:
        """Entry id and earlier deliveries of up to `limit` that may be taken; whether there is more to look at."""
        free = {
            entry: deliveries
            for entry, consumer, idle, deliveries in page
            if consumer != LATER.encode() or idle >= HORIZON
        }
        chosen = dict(list(free.items())[:limit])
        last = list(chosen)[-1] if len(chosen) < len(free) else page[-1][0] if len(page) == _PAGE else None
        self._start = b"-" if last is None else b"(" + last
        return chosen, last is not None

    def take_over(self, chosen: dict[bytes, int]) -> tuple[Word, ...]:
        """Claims them. Of several receivers that try, one succeeds: a claim just made is not idle any more."""
        return ("XCLAIM", self._stream, self._group, self._consumer, self._lease, *chosen)


def count(line: Line, site: Site, keys: Keys, lease: float) -> Backlog:
    """What lies in the streams of a run."""
    ready = claimed = 0
    remaining = 0.0
    for stream, group in [*((keys.tells, group) for group in site.groups), (keys.asks, ASK_GROUP)]:
        ready += _unread(line, stream, group)
        for _, consumer, idle, _ in _claims(line, stream, group):
            if consumer == LATER.encode():
                ready += 1
            else:
                claimed += 1
                remaining = max(remaining, lease - idle / 1000)
    return Backlog(ready, claimed, remaining, int(line.call("XLEN", keys.dead)))


def _unread(line: Line, stream: str, group: str) -> int:
    for flat in line.call("XINFO", "GROUPS", stream):
        about = dict(zip(flat[::2], flat[1::2], strict=True))
        if about[b"name"] == group.encode():
            lag = about.get(b"lag")
            return lag if isinstance(lag, int) else _counted(line, stream, about[b"last-delivered-id"])
    raise RunFailed(f"the stream {stream} has no group {group}: was the channel installed?")


def _counted(line: Line, stream: str, last: bytes) -> int:
    """Entries after `last`, one page at a time: the broker loses count when entries are deleted by hand."""
    total = 0
    while page := line.call("XRANGE", stream, b"(" + last, "+", "COUNT", 1000):
        total += len(page)
        last = page[-1][0]
    return total


def _claims(line: Line, stream: str, group: str) -> list[Any]:
    claims: list[Any] = []
    start: bytes = b"-"
    while page := line.call("XPENDING", stream, group, start, "+", 1000):
        claims += page
        start = b"(" + page[-1][0]
    return claims
