"""What is there to be read in one folder: from the system's announcements, or from listings."""

from __future__ import annotations

import os
import time
from collections import deque

from sandbox.file_share.folders import MESSAGE
from sandbox.file_share.wakeup import Wakeup

#: How often a folder is listed although the system has announced nothing (s).
LOOK_AGAIN = 0.5


class Inbox:
    """The names in one folder, each sender's in the order in which it published them. Names may come twice."""

    def __init__(self, folder: str, wakeup: Wakeup) -> None:
        self.names: deque[str] = deque()
        self._folder, self._wakeup = folder, wakeup
        self._look_at = 0.0
        self._young: set[str] = set()

    def fill(self, timeout: float) -> None:
        """If there are no names, wait up to `timeout` seconds for some."""
        if self.names:
            return
        now = time.monotonic()
        if now >= self._look_at:
            self._list()
            if self.names:
                return
        arrived = self._wakeup.wait(min(timeout, self._look_at - now))
        if arrived is None:
            self._list()
        else:
            self.names.extend(arrived)

    def close(self) -> None:
        """Stop watching."""
        self._wakeup.close()

    def _list(self) -> None:
        """All that is there, except what came while we looked.

        A folder may change during a listing, which then may show a file and not its predecessor.
        But a stamp is older than its file's place in the folder, and younger than the places of all
        that its sender published before. So of files stamped before we began to look, no predecessor
        is missing; the others wait for the next listing, which must then show their predecessors.
        """
        began = f"{time.monotonic_ns():020d}"
        found = os.listdir(self._folder)
        young = {name for name in found if name > began and name not in self._young and MESSAGE.fullmatch(name)}
        self.names.extend(sorted(name for name in found if name not in young))
        self._young = young
        self._look_at = time.monotonic() + (0.0 if young else LOOK_AGAIN)
