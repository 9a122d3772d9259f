"""What may happen to a participant at a named point of its life: a fault strikes there, and not by luck.

sender     begin      about to hand over an operation
           begun      it has handed it over
receiver   taken      a delivery is in hand, its work not begun
           working    its work is begun and has had no effect yet
           worked     the effect is on record; neither replied nor settled
           replied    the answer has left (only where there is one); not settled
           settled    `Delivery.settle` has returned; a channel may carry it out lazily, with the next `take`
"""

from __future__ import annotations

import os
import signal

from sandbox.errors import SandboxError
from sandbox.harness.journal import Event, Journal

SENDER_POINTS = ("begin", "begun")
RECEIVER_POINTS = ("taken", "working", "worked", "replied", "settled")


class TryAgain(SandboxError):
    """The work has failed for now: the delivery is released, and comes again where the channel can do that."""


class Hook:
    """A value that travels to a participant. Subclasses override `at`, which may kill, sleep or raise.

    What is raised at "taken" or "working" is an error of the work (`TryAgain`: for now). It must not raise elsewhere.
    """

    def start(self, name: str, journal: Journal) -> None:
        """In the participant, before it opens its end of the channel."""
        self.name, self.journal = name, journal

    def at(self, point: str, operation: int, attempt: int = 0) -> None:
        """The participant is at a point; `attempt` is 0 at a sender."""

    def witness(self, operation: int, value: int = 0) -> None:
        """Put on record that the fault has touched something: it has fired."""
        self.journal.add(Event.STRUCK, operation, value)

    def die(self, operation: int) -> None:
        """SIGKILL this process, with a witness before it."""
        self.witness(operation)
        os.kill(os.getpid(), signal.SIGKILL)


class Hooks(Hook):
    """Several, in order."""

    def __init__(self, *hooks: Hook) -> None:
        self._hooks = hooks

    def start(self, name: str, journal: Journal) -> None:
        """See `Hook.start`."""
        for hook in self._hooks:
            hook.start(name, journal)

    def at(self, point: str, operation: int, attempt: int = 0) -> None:
        """See `Hook.at`."""
        for hook in self._hooks:
            hook.at(point, operation, attempt)
