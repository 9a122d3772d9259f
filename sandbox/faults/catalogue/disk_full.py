"""No byte more can be written."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sandbox.channel import Channel, Outcome, Status
from sandbox.channel import Sender as End
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Operation
from sandbox.faults.fault import AtSender, Kind
from sandbox.faults.meddling import Meddling, Sender
from sandbox.faults.meeting import operations_open
from sandbox.faults.switch import Within
from sandbox.harness.history import Process
from sandbox.harness.stage import Stage
from sandbox.servers.process import group_is_alive

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


@dataclass
class DiskFull(AtSender, Meddling):
    """A limit on the size of files (RLIMIT_FSIZE), which needs no root: of the sender, or of the medium's server.

    Whoever writes is told "file too large" where a full disk would say "no space left"; both are errors of `write`.
    A server that has not survived it is started again when it is healed.
    """

    kind: ClassVar[Kind] = "disk"
    exclusive = True

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "disk full"

    def why_not(self, channel: Channel) -> str:
        """See `Fault.why_not`."""
        if channel.style == "rpc" or not channel.guarantees.tell.receiver_may_be_away:
            return "nothing is written"
        return "setting a server's limit takes Linux" if channel.needs and sys.platform != "linux" else ""

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        super().aim(channel, processes)
        self._media, self.own_servers = channel.needs, bool(channel.needs)
        self._since = self._met = 0
        if self._media:
            self.targets = self._media

    def prepare(self, stage: Stage) -> None:
        """See `Fault.prepare`."""
        super().prepare(stage)
        if any(stage.session.server(medium).external for medium in self._media):
            raise BadArgument(self.name(), expected="a server started here", got="one of your own")

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        super().open(cast)
        for medium in self._media:
            for pid in cast.session.server(medium).processes():
                _limit(pid, full=True)
            self._since = time.monotonic_ns()
            self.touch(f"{medium} cannot write")

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`."""
        super().heal(cast)
        if not self._since:
            return
        self._met, self._since = operations_open(cast, self._since, time.monotonic_ns()), 0
        for server in map(cast.session.server, self._media):
            for pid in server.processes():
                _limit(pid, full=False)
            if server.pid is None or not group_is_alive(server.pid):
                server.restart()

    def witnesses(self) -> int:
        """See `Fault.witnesses`: what the sender was refused; of a server, what it was sent meanwhile."""
        return self._met if self._media else super().witnesses()

    def meddle(self, hook: Within, inner: End, another: Callable[[], End]) -> Sender:
        """See `Meddling.meddle`."""
        return _Full(hook, inner)


class _Full(Sender):
    def begin(self, operation: Operation) -> None:
        with _full(self.hook):
            self.inner.begin(operation)

    def outcomes(self, timeout: float) -> list[Outcome]:
        with _full(self.hook) as full:
            found = super().outcomes(timeout)
        for outcome in found if full else ():
            if outcome.status in (Status.FAILED, Status.UNKNOWN):
                self.hook.strike(outcome.operation)
        return found


@contextmanager
def _full(hook: Within) -> Iterator[bool]:
    """For the time of one call only: nothing can be left behind."""
    if not hook.switch.on:
        yield False
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield True
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _limit(pid: int, full: bool) -> None:
    if sys.platform == "linux":
        with suppress(ProcessLookupError):  # a child that has ended meanwhile
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if full else most, most))
