"""What a process has spent: seconds of CPU, and how often it went to sleep (a poller does after each empty look)."""

from __future__ import annotations

import resource
import time


class Effort:
    """Counts from its construction on, for the whole process."""

    def __init__(self) -> None:
        self._cpu, self._wall, self._sleeps = _now()

    def spent(self) -> dict[str, float]:
        """Seconds of CPU and of time, and voluntary sleeps, since the construction; ready for JSON."""
        cpu, wall, sleeps = _now()
        return {"cpu": cpu - self._cpu, "wall": wall - self._wall, "sleeps": sleeps - self._sleeps}


def _now() -> tuple[float, float, int]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.monotonic(), used.ru_nvcsw
