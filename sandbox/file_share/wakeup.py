"""How a waiting end learns that a file has appeared in a folder.

    Inotify    Linux: the system says that there is something, and its name
    Kqueue     macOS and BSD: the system says that there is something
    Polling    everywhere: look again after an honest interval

Make the watch first, list the folder second, wait third: then no file can slip in between.
"""

from __future__ import annotations

import os
import select
import struct
import sys
import time
from abc import ABC, abstractmethod

if sys.platform == "linux":
    import inotify_simple

_OVERFLOW = ""  #: the name that inotify gives when its queue was full and events were lost


class Wakeup(ABC):
    """Watches one folder from construction on."""

    @abstractmethod
    def wait(self, timeout: float) -> list[str] | None:
        """Names that appeared since the last call, in order of their appearance; None: list the folder yourself.

        Waits up to `timeout` seconds for the first. An empty list says that nothing appeared; a
        name may come that is gone again, or that a listing has shown before.
        """

    def close(self) -> None:
        """Stop watching."""


class Polling(Wakeup):
    """Costs half an interval per message on average, and a listing per interval while nothing comes."""

    def __init__(self, interval: float) -> None:
        self._interval = interval

    def wait(self, timeout: float) -> None:
        """Sleep for one interval at most, then have the folder listed."""
        if timeout > 0:
            time.sleep(min(timeout, self._interval))


if sys.platform == "linux":
    _EVENT = struct.Struct("iIII")

    def _names(events: bytes) -> list[str]:
        """The names alone: inotify_simple's own parser takes twice as long."""
        names, at = [], 0
        while at < len(events):
            end = at + _EVENT.size + _EVENT.unpack_from(events, at)[3]
            names.append(events[at + _EVENT.size : end].rstrip(b"\0").decode("utf-8", "surrogateescape"))
            at = end
        return names

    class Inotify(Wakeup):
        """Sees renames and links into the folder. The name comes along, so nothing need be listed."""

        def __init__(self, folder: str) -> None:
            self._inotify = inotify_simple.INotify()
            try:
                self._inotify.add_watch(folder, inotify_simple.flags.MOVED_TO | inotify_simple.flags.CREATE)
            except OSError:
                self._inotify.close()
                raise
            self._fd = self._inotify.fileno()
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)

        def wait(self, timeout: float) -> list[str] | None:
            """See `Wakeup.wait`; None after an overflow of the system's queue (16,384 events by default)."""
            if not self._poll.poll(max(timeout, 0) * 1000):
                return []
            names = _names(os.read(self._fd, 1 << 16))
            return None if _OVERFLOW in names else names

        def close(self) -> None:
            """Stop watching."""
            self._inotify.close()


if sys.platform != "linux":

    class Kqueue(Wakeup):
        """Sees that the folder has changed; what is new must be listed."""

        def __init__(self, folder: str) -> None:
            self._folder = os.open(folder, os.O_RDONLY)
            self._queue = select.kqueue()
            change = select.kevent(
                self._folder, select.KQ_FILTER_VNODE, select.KQ_EV_ADD | select.KQ_EV_CLEAR, select.KQ_NOTE_WRITE
            )
            self._queue.control([change], 0)

        def wait(self, timeout: float) -> list[str] | None:
            """See `Wakeup.wait`."""
            return None if self._queue.control(None, 1, max(timeout, 0)) else []

        def close(self) -> None:
            """Stop watching."""
            self._queue.close()
            os.close(self._folder)


def watch(folder: str, *, wake: bool, interval: float) -> Wakeup:
    """The best watch that this system offers; polling when it offers none or `wake` is False.

    The system may also have run out of them: Linux allows a user 128 inotify instances by default.
    """
    if wake:
        try:
            if sys.platform == "linux":
                return Inotify(folder)
            else:  # noqa: RET505 - mypy follows if and else of a platform, not a return
                return Kqueue(folder)
        except (OSError, AttributeError):  # AttributeError: a system that has neither
            pass
    return Polling(interval)
