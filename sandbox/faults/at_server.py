"""Faults of the server that a medium has. The run gets servers of its own, and has them back when it is healed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import Fault, Kind
from sandbox.harness.history import Process
from sandbox.harness.stage import Stage
from sandbox.servers import Server

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


@dataclass
class AtServer(Fault):
    """Base of the faults of a server; `targets` are its media."""

    kind: ClassVar[Kind] = "server"
    exclusive = True

    @property
    def whom(self) -> str:
        """For titles."""
        return "database" if "postgres" in self.targets else "broker" if self.targets else "server"

    def why_not(self, channel: Channel) -> str:
        """See `Fault.why_not`."""
        return "" if channel.needs else "no server stands in between"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets, self.own_servers = channel.needs, bool(channel.needs)

    def prepare(self, stage: Stage) -> None:
        """See `Fault.prepare`. Nobody breaks what is not the sandbox's own."""
        for server in map(stage.session.server, self.targets):
            if server.external:
                hint = "Unset the variable that names it, and the session starts one of its own."
                raise BadArgument(f"server of {self.name()}", expected="one started here", got=server.label, hint=hint)

    def servers(self, cast: Cast) -> Iterable[Server]:
        """Those that it acts on."""
        return [cast.session.server(medium) for medium in self.targets]
