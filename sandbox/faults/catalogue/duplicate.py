"""The sender hands an operation over twice: a retry whose first attempt had arrived after all."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from sandbox.channel import Outcome
from sandbox.channel import Sender as End
from sandbox.errors import Definite
from sandbox.exchange.schema import Operation
from sandbox.faults.bad_use import at_least
from sandbox.faults.fault import AtSender, Kind
from sandbox.faults.meddling import Meddling, Sender
from sandbox.faults.switch import Within

#: s that the second hand-over may take after the last operation
_PATIENCE = 1.0


@dataclass
class Duplicate(AtSender, Meddling):
    """The first `times` operations of the window leave once more, over a connection of their own."""

    times: int = 1

    kind: ClassVar[Kind] = "message"
    repeats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(0, times=self.times)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.whom} hands over twice"

    def meddle(self, hook: Within, inner: End, another: Callable[[], End]) -> Sender:
        """See `Meddling.meddle`."""
        return _Twice(hook, inner, another(), self.times)


class _Twice(Sender):
    def __init__(self, hook: Within, inner: End, another: End, times: int) -> None:
        super().__init__(hook, inner)
        self._another, self._left, self._open = another, times, 0

    def begin(self, operation: Operation) -> None:
        self.inner.begin(operation)
        if self._left and self.hook.switch.on:
            self._left -= 1
            with suppress(Definite):
                self._another.begin(operation)
                self.hook.strike(operation.id)
                self._open += 1

    def outcomes(self, timeout: float) -> list[Outcome]:
        if self._open:
            self._open -= len(self._another.outcomes(0))  # some channels send only when they are asked
        return self.inner.outcomes(timeout)

    def close(self) -> None:
        until = time.monotonic() + _PATIENCE
        while self._open > 0 and time.monotonic() < until:
            self._open -= len(self._another.outcomes(0.01))
        self._another.close()
        self.inner.close()
