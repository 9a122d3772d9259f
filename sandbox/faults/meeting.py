"""Who has met a fault that touches nobody by itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sandbox.harness.history import Role
from sandbox.harness.journal import Event, read

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

#: what ends an operation for its sender
OUTCOMES = (Event.ACCEPTED, Event.ANSWERED, Event.FAILED, Event.UNKNOWN)


def operations_open(cast: Cast, since: int, until: int) -> int:
    """How many operations were under way, begun and not yet heard of, between two moments (ns of the clock)."""
    begun: dict[int, int] = {}
    heard: dict[int, int] = {}
    for name in cast.of(Role.SENDER):
        path = cast.journals[name]
        for event in read(path) if path.exists() else ():
            kind, operation, time = int(event["event"]), int(event["operation"]), int(event["time"])
            if kind == Event.INTENT:
                begun.setdefault(operation, time)
            elif kind in OUTCOMES:
                heard.setdefault(operation, time)
    return sum(time < until and heard.get(operation, math.inf) > since for operation, time in begun.items())
