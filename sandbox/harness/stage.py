"""What a run hands to each participant, and who directs the run beside its workload.

Part       channel, site, release and hook of one participant
Stage      makes the parts; experiments change them before anybody is on stage
Director   what is done to a run beside its workload; the plain one does nothing
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.channel import Channel
from sandbox.exchange.release import FIRST, Release
from sandbox.harness.history import Process
from sandbox.harness.hook import Hook, Hooks
from sandbox.site import Site

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast, Intervention
    from sandbox.harness.session import Session
    from sandbox.harness.workload import Workload


@dataclass(frozen=True)
class Part:
    """What one participant is given."""

    channel: Channel
    site: Site
    release: Release = FIRST
    hook: Hook | None = None

    def hooked(self, hook: Hook) -> Part:
        """The same part with one more hook."""
        return replace(self, hook=hook if self.hook is None else Hooks(self.hook, hook))


Change = Callable[[Process, Part], Part]


class Stage:
    """Where a run takes place.

    channel, site   as the channel is installed; site.folder is the run's own
    session         gives servers and processes
    """

    def __init__(self, session: Session, channel: Channel, groups: Sequence[str]) -> None:
        self.session, self.channel = session, channel
        self.site = session.site(channel, groups)
        self.release: Release = FIRST  #: whose schema the channel is installed with
        self._changes: list[Change] = []

    def change(self, change: Change) -> None:
        """From now on, whoever comes on stage gets the part that `change(process, part)` returns."""
        self._changes.append(change)

    def part(self, process: Process) -> Part:
        """The part for a participant that comes on stage now."""
        part = Part(self.channel, self.site, self.release)
        for change in self._changes:
            part = change(process, part)
        return part


class Director:
    """Directs a run beside its workload. Every method may be overridden; none needs to be.

    failures_are_findings   a participant that fails does not end the run: the history says so, and goes on
    patience                seconds without progress after which a drain is given up, instead of the usual
    thorough                the drain goes on until the channel is empty: what comes a second time is to be seen
    own_servers             it breaks servers: where no session is given, the run gets one of its own
    """

    failures_are_findings: bool = False
    patience: float | None = None
    thorough: bool = False
    own_servers: bool = False

    def check(self, channel: Channel, workload: Workload) -> None:
        """Before anything is started: `BadArgument` for what cannot be, with what to do instead."""

    def prepare(self, stage: Stage) -> None:
        """Before the channel is installed: change parts, put a proxy in between."""

    def installed(self, stage: Stage) -> None:
        """The channel is installed, nobody is on stage yet."""

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """Who is there from the start, of (and beside) those who usually are."""
        return usual

    def interventions(self) -> Sequence[Intervention]:
        """What is done at which time of the load."""
        return ()

    def watch(self, cast: Cast) -> None:
        """Again and again during the load, every few ms: react to what has happened. Others wait meanwhile."""

    def busy(self, cast: Cast) -> bool:
        """Whether it is in the middle of something that the load has to wait for."""
        return False

    def sent(self, cast: Cast) -> None:
        """The senders are done and the interventions over; the drain comes next."""

    def heal(self, cast: Cast) -> None:
        """Mend all that was broken. Called before the drain, and again when the run ends, however it ends."""

    def end(self, stage: Stage) -> None:
        """Take down what `prepare` and `installed` have put up. The last call, once, however the run ends."""

    def facts(self) -> dict[str, Any]:
        """What the history shall hold of it, ready for JSON."""
        return {}


class Script(Director):
    """A director with nothing but interventions."""

    def __init__(self, interventions: Sequence[Intervention]) -> None:
        self._interventions = interventions

    def interventions(self) -> Sequence[Intervention]:
        """See `Director.interventions`."""
        return self._interventions


#: what is put around the director of every run: how a `with` block reaches the runs that are made within it
AROUND: ContextVar[Callable[[Director], Director]] = ContextVar("AROUND", default=lambda director: director)
