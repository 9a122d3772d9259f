"""A volume service that plays a script: what becomes of each attempt to call it is written down beforehand."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum

from sandbox.errors import ConnectionLost, Definite, OverQuota, SandboxError, TimedOut


class Then(StrEnum):
    """What becomes of one attempt."""

    ANSWERED = "answered"
    AWAY = "nobody listens (Definite)"
    REQUEST_LOST = "the request is lost on the way (TimedOut)"
    ANSWER_LOST = "the work is done and its answer is lost (ConnectionLost)"
    LATE = "the request is still on its way and worked later (TimedOut)"
    REFUSED = "refused (OverQuota)"


_ERRORS: dict[Then, tuple[type[SandboxError], str]] = {
    Then.AWAY: (Definite, "nobody listens"),
    Then.REQUEST_LOST: (TimedOut, "no answer within 0.2 s"),
    Then.ANSWER_LOST: (ConnectionLost, "the other side closed the connection"),
    Then.LATE: (TimedOut, "no answer within 0.2 s"),
    Then.REFUSED: (OverQuota, "project 4 uses 995 of 1000 GB; 10 more do not fit"),
}


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    project: int = 4
    size_gb: int = 10


@dataclass(frozen=True)
class Volume:
    """What has been created, and is the answer."""

    number: int
    project: int
    size_gb: int


@dataclass
class Service:
    """A volume service that remembers its keys, at the end of a line that does to each attempt what is in its script.

    script   what becomes of the first attempt, the second, ...; the last one stands for all further ones
    limit    attempts after which `send` does not return: whoever calls so often would not stop by itself
    created  the volumes;  keys: of each attempt;  pauses: after how many attempts, and s
    over     set when the call has ended, or the limit was reached
    """

    script: tuple[Then, ...]
    limit: int
    created: list[Volume] = field(default_factory=list)
    keys: list[Hashable] = field(default_factory=list)
    pauses: list[tuple[int, float]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _done: dict[Hashable, Volume] = field(default_factory=dict)
    _on_the_way: list[tuple[Request, Hashable]] = field(default_factory=list)

    def send(self, request: Request, key: Hashable = None) -> Volume:
        """One attempt: the volume, or an error."""
        then = self.script[min(len(self.keys), len(self.script) - 1)]
        self.keys.append(key)
        if len(self.keys) > self.limit:
            self._never_return()
        if then is Then.LATE:
            self._on_the_way.append((request, key))
        elif then in (Then.ANSWERED, Then.ANSWER_LOST):
            volume = self._work(request, key)
            self.deliver()
            if then is Then.ANSWERED:
                return volume
        kind, text = _ERRORS[then]
        raise kind(text)

    def sleep(self, seconds: float) -> None:
        """Note the pause; nobody waits."""
        self.pauses.append((len(self.keys), seconds))

    def deliver(self) -> None:
        """What is on its way arrives."""
        while self._on_the_way:
            self._work(*self._on_the_way.pop())

    def told(self) -> str:
        """What became of the attempts, for whoever has to find the mistake."""
        fates = (self.script[min(i, len(self.script) - 1)] for i in range(min(len(self.keys), 4)))
        return "; ".join(f"attempt {number}: {fate}" for number, fate in enumerate(fates, 1)) + "."

    def _work(self, request: Request, key: Hashable) -> Volume:
        if key is not None and key in self._done:
            return self._done[key]
        volume = Volume(len(self.created) + 1, request.project, request.size_gb)
        self.created.append(volume)
        self._done[key] = volume
        return volume

    def _never_return(self) -> None:
        """An error would not do: it may be caught, and then this is called once more."""
        self.over.set()
        threading.Event().wait()
