"""The participants of a run, and what may be done to them while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import BadArgument
from sandbox.harness.history import Process, Role
from sandbox.harness.journal import recorded
from sandbox.harness.participant import Participant
from sandbox.harness.session import Session
from sandbox.site import Site


@dataclass
class Cast:
    """The participants of a run by name, for interventions: ``cast["sender-0"].kill()``."""

    session: Session
    site: Site
    members: dict[str, Participant] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    journals: dict[str, Path] = field(default_factory=dict)
    #: names that an intervention has ended on purpose
    expected_deaths: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> Participant:
        try:
            return self.members[name]
        except KeyError:
            raise BadArgument("participant", expected="one of " + ", ".join(self.members), got=name) from None

    def kill(self, name: str) -> None:
        """SIGKILL a participant on purpose: its death is a finding, not a doubt."""
        self.expected_deaths.add(name)
        self[name].kill()

    def of(self, role: Role) -> list[str]:
        """Names of the participants with a role."""
        return [name for name, process in self.processes.items() if process.role is role]


#: seconds after the start of the load, and what to do then
Intervention = tuple[float, Callable[[Cast], None]]


class Watch:
    """How many events the participants have on record, and since when there are no more of them."""

    def __init__(self, journals: Mapping[str, Path]) -> None:
        self._journals = journals
        self._events, self._moved = -1, time.monotonic()

    def events(self) -> int:
        """How many there are now."""
        events = sum(recorded(path) for path in self._journals.values() if path.exists())
        if events != self._events:
            self._events, self._moved = events, time.monotonic()
        return events

    def stood_still_for(self) -> float:
        """Seconds since the last look that found more than the one before."""
        self.events()
        return time.monotonic() - self._moved
