"""How the ends of `skip_locked` learn that there is something for them: by a notification, or by looking again."""

from __future__ import annotations

import time
from collections.abc import Iterable

from sandbox.db_share.pipeline import Pipeline
from sandbox.db_share.postgres import NOTIFY, bell, params
from sandbox.db_share.tables import Step
from sandbox.site import Site


class Waking:
    """Wakes others, and waits to be woken.

    notify  False: nobody wakes anybody, everybody looks
    every   seconds after which this end looks although nothing has rung
    """

    def __init__(self, pipe: Pipeline, site: Site, every: float, *, notify: bool) -> None:
        self._pipe, self._site, self._every, self._notify = pipe, site, every, notify
        self._look_at = 0.0

    def call(self, names: Iterable[str | None]) -> list[Step]:
        """What to send with the work so that these groups or senders wake up (None: nobody); nothing if they poll."""
        called = [name for name in names if name is not None] if self._notify else []
        return [(NOTIFY, params([bell(self._site, name)])) for name in called]

    def sleep(self, until: float) -> None:
        """Until the bell rings, or until it is time to look."""
        end = min(until, time.monotonic() + self._every)
        while not self._pipe.rung and (left := end - time.monotonic()) > 0:
            self._pipe.wait(left)

    def until_look(self, wait: float) -> float:
        """How much of `wait` seconds may pass before a look is due; when it is, the bell rings by itself."""
        now = time.monotonic()
        if self._notify:
            return wait
        if now >= self._look_at:
            self._look_at, self._pipe.rung = now + self._every, True
            return 0.0
        return min(wait, self._look_at - now)
