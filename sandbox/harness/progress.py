"""Long work says what it is doing and how long it will still take; plain text, so that it shows everywhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


class Progress:
    """`steps` steps in all; None: nobody can say how many.

    show  a function that takes a line, True (standard error; in a notebook, below the cell) or False (silence)
    """

    def __init__(self, steps: int | None, show: Callable[[str], None] | bool = True) -> None:
        self._steps, self._done = steps, 0
        self._began = time.monotonic()
        self._show = show
        self._width = 0

    def step(self, what: str) -> None:
        """The next step begins."""
        elapsed = time.monotonic() - self._began
        known = self._steps is not None and self._done > 0
        left = f", about {elapsed / self._done * ((self._steps or 0) - self._done):.0f} s left" if known else ""
        self._done += 1
        number = f"{self._done}" if self._steps is None else f"{self._done}/{self._steps}"
        self._say(f"[{number}] {what} ({elapsed:.0f} s so far{left})")

    def end(self) -> None:
        """All steps are done."""
        self._say(f"{self._done} steps in {time.monotonic() - self._began:.0f} s", last=True)

    def _say(self, line: str, last: bool = False) -> None:
        in_notebook = "ipykernel" in sys.modules
        if callable(self._show):
            self._show(line)
        elif self._show and (in_notebook or sys.stderr.isatty()):
            stream = sys.stdout if in_notebook else sys.stderr  # a notebook paints standard error as an alarm
            print("\r" + line.ljust(self._width), end="\n" if last else "", file=stream, flush=True)
            self._width = len(line)
        elif self._show:
            print(line, file=sys.stderr, flush=True)
