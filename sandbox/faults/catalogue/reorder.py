"""An operation is overtaken: its sender holds it back until later ones are on their way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sandbox.channel import Outcome, Status
from sandbox.channel import Sender as End
from sandbox.errors import Definite
from sandbox.exchange.schema import Operation
from sandbox.faults.bad_use import at_least
from sandbox.faults.fault import AtSender, Kind
from sandbox.faults.meddling import Meddling, Sender
from sandbox.faults.switch import Within

#: s after which it is let go at the latest
_LONGEST = 0.5


@dataclass
class Reorder(AtSender, Meddling):
    """The first operation of the window leaves behind the next `behind` ones."""

    behind: int = 3

    kind: ClassVar[Kind] = "message"

    def __post_init__(self) -> None:
        at_least(0, behind=self.behind)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.whom} sends one behind {self.behind} later ones"

    def meddle(self, hook: Within, inner: End, another: Callable[[], End]) -> Sender:
        """See `Meddling.meddle`."""
        return _HeldBack(hook, inner, self.behind)


class _HeldBack(Sender):
    def __init__(self, hook: Within, inner: End, behind: int) -> None:
        super().__init__(hook, inner)
        self._left, self._held, self._since = behind, list[Operation](), 0.0
        self._failed: list[Outcome] = []

    def begin(self, operation: Operation) -> None:
        if self._left and self.hook.switch.on and not (self._held or self.hook.switch.strikes):
            self.hook.strike(operation.id)
            self._held, self._since = [operation], time.monotonic()
            return
        self.inner.begin(operation)
        if self._held:
            self._left -= 1
            self._let_go(self._left <= 0)

    def outcomes(self, timeout: float) -> list[Outcome]:
        self._let_go(time.monotonic() > self._since + _LONGEST)
        failed, self._failed = self._failed, []
        return failed + self.inner.outcomes(0 if failed else timeout)

    def close(self) -> None:
        self._let_go(True)
        self.inner.close()

    def _let_go(self, now: bool) -> None:
        if not self._held or not (now or not self.hook.switch.on):
            return
        held = self._held.pop()
        try:
            self.inner.begin(held)
        except Definite as error:
            self._failed.append(Outcome(held.id, Status.FAILED, reason=str(error)))
