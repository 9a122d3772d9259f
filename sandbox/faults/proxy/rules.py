"""What is being done to the traffic, and the record of what was really touched."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

#: "up" is from the client to the server, "down" from the server to the client
Direction = Literal["up", "down", "both"]
#: touches that the record holds; further ones are only counted
CAPACITY = 20_000


class Touch(NamedTuple):
    """One thing that was really done to a connection.

    ns          when, in ns of `time.monotonic_ns`
    connection  number of the connection, from 1 in order of their coming
    what        "delayed" (by latency), "slowed" (by bandwidth), "held" (by partition), "swallowed" (by swallow, and
                what follows on a lost answer), "answer lost" (by lose_answers), "cut" (by reset_after) or "reset" (by
                reset, and by heal where bytes had been swallowed)
    bytes       how many bytes it was done to; 0 where it was done to the connection itself
    seconds     by how much it was delayed
    """

    ns: int
    connection: int
    direction: Direction
    what: str
    bytes: int
    seconds: float = 0.0


@dataclass
class Record:
    """Every touch is counted; the first `CAPACITY` of them are kept as well."""

    counts: Counter[str] = field(default_factory=Counter)
    touches: list[Touch] = field(default_factory=list)

    def add(self, connection: int, direction: Direction, what: str, size: int, seconds: float = 0.0) -> None:
        """Note one touch."""
        self.counts[what] += 1
        if len(self.touches) < CAPACITY:
            self.touches.append(Touch(time.monotonic_ns(), connection, direction, what, size, seconds))


@dataclass
class Shots:
    """A fault that ends the connection it hits.

    after    bytes that still get through before it does
    wait     s between the loss of an answer and the end of its connection
    left     how many connections it may still hit
    up_to    number of the last connection that it may hit
    """

    after: int = 0
    wait: float = 0.0
    left: float = math.inf
    up_to: float = math.inf

    def may_hit(self, connection: int) -> bool:
        """Whether this connection is one of those meant, and the number of them is not used up."""
        return self.left > 0 and connection <= self.up_to


@dataclass
class Rules:
    """What is done to the bytes of one direction, on every connection. As it stands here: nothing.

    latency    s that every chunk is on its way longer, give or take `jitter` s
    bandwidth  bytes/s of each connection
    held       nothing gets through; it waits here, and when the buffer is full at its sender
    swallowed  nothing gets through, and it is lost
    cut        the connection is reset in the middle of what it carries
    lost       the next bytes are lost, and then the connection is reset
    """

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float = math.inf
    held: bool = False
    swallowed: bool = False
    cut: Shots | None = None
    lost: Shots | None = None

    def delay(self, draw: random.Random) -> int:
        """How long the next chunk is on its way longer, in ns."""
        spread = draw.uniform(-self.jitter, self.jitter) if self.jitter else 0.0
        return round((self.latency + spread) * 1e9)
