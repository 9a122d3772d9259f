"""Interventions at a named moment of a receiver's life, seen in its journal, instead of after so many seconds.

    run("streams", Workload(service=0.02), interventions=[(0.2, at_work("metering-0", Cast.kill))])

What happens then does not depend on the machine's speed, so that a lesson (or a test) shows the same each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sandbox.errors import RunFailed
from sandbox.harness.cast import Cast
from sandbox.harness.journal import Event, read, recorded

#: s for which a paused process must not have written, before it is taken for paused; its signal may be on its way
_STILL = 0.002
#: s after which it is taken for a moment that never comes: another receiver may have got all there was
_PATIENCE = 20.0


def at_work(name: str, then: Callable[[Cast, str], None], effects: int = 0) -> Callable[[Cast], None]:
    """An intervention: ``then(cast, name)`` while the receiver works on a delivery, after `effects` others at least.

    It has begun the work (of `service` time), which has had no effect yet. It is found paused (SIGSTOP), which does
    not matter to one that is killed; resume it otherwise. Waits for the moment, and the run with it;
    `RunFailed` when it has not come within 20 s.
    """

    def act(cast: Cast) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not _paused_at_work(cast, name, effects):
            cast[name].resume()
            if time.monotonic() > deadline:
                raise RunFailed(f"{name} was not at work, after {effects} effects at least, within {_PATIENCE:g} s")
            time.sleep(_STILL)
        then(cast, name)

    return act


def _paused_at_work(cast: Cast, name: str, effects: int) -> bool:
    """Pause it; whether it was at work, and had done so much before."""
    cast[name].pause()
    seen = -1
    while (now := recorded(cast.journals[name])) != seen:
        seen = now
        time.sleep(_STILL)
    events = read(cast.journals[name])["event"].tolist()
    return bool(events) and events[-1] == Event.WORK and events.count(Event.EFFECT) >= effects
