"""Faults of the network: a proxy stands between participants and their medium, and does what networks do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import Fault, Kind, bare
from sandbox.faults.proxy import Proxy, media
from sandbox.harness.history import Process, Role
from sandbox.harness.stage import Change, Part, Stage

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

_ROLES = {"senders": (Role.SENDER,), "receivers": (Role.RECEIVER,), "both": (Role.SENDER, Role.RECEIVER)}
_NOWHERE = {"file_share": "no network: a folder", "db_share": "no network: a file"}


@dataclass
class AtNetwork(Fault):
    """Base of the faults of a network. Override `strike`.

    among  whose connections to the medium: "senders", "receivers" or "both". In rpc only senders connect, so it is
           always theirs
    """

    among: str = field(default="both", kw_only=True)

    kind: ClassVar[Kind] = "network"

    @abstractmethod
    def strike(self, proxy: Proxy) -> None:
        """Switch it on."""

    def why_not(self, channel: Channel) -> str:
        """See `Fault.why_not`."""
        return "" if media(bare(channel)) else _NOWHERE.get(channel.style, "no network in between")

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        if self.among not in _ROLES:
            raise BadArgument("among", expected="one of " + ", ".join(_ROLES), got=self.among)
        self._roles = _ROLES["senders" if "rpc" in media(bare(channel)) else self.among]
        hit = [process for process in processes if process.role in self._roles]
        if not hit:
            raise BadArgument("among", expected="participants that this workload has", got=self.among)
        self._example, self.targets = hit[0], tuple(process.name for process in hit)

    def prepare(self, stage: Stage) -> None:
        """See `Fault.prepare`. A proxy that another fault has put up is passed as well: each has its own."""
        self._proxies: list[Proxy] = []
        for medium in media(bare(stage.channel)):
            before = stage.part(self._example).site
            self._proxies.append(proxy := Proxy(stage.session, before, medium, seed=self.number))
            stage.change(self._through(medium, proxy.address))

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        for proxy in self._proxies:
            self.strike(proxy)

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`."""
        for proxy in getattr(self, "_proxies", []):
            proxy.heal()

    def end(self, stage: Stage) -> None:
        """See `Fault.end`."""
        for proxy in getattr(self, "_proxies", []):
            proxy.close()

    def witnesses(self) -> int:
        """See `Fault.witnesses`: what the proxy has really done to the traffic."""
        return sum(proxy.witnesses for proxy in getattr(self, "_proxies", []))

    def _through(self, medium: str, address: str) -> Change:
        def change(process: Process, part: Part) -> Part:
            if process.role not in self._roles:
                return part
            return replace(part, site=part.site.with_address(medium, address))

        return change
