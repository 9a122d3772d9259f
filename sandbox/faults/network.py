"""Faults of the network: a proxy stands between participants and their medium, and does what networks do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import Fault, Kind, bare
from sandbox.faults.proxy import Proxy, Touch, media
from sandbox.harness.history import Process, Role
from sandbox.harness.stage import Change, Part, Stage

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

_ROLES = {"senders": (Role.SENDER,), "receivers": (Role.RECEIVER,), "both": (Role.SENDER, Role.RECEIVER)}
_NOWHERE = {"file_share": "no network: a folder", "db_share": "no network: a file"}
_WAYS = {"up": "to the medium", "down": "from the medium", "both": "both ways"}
#: touches of the traffic that are kept in words; further ones are only counted
KEPT = 200


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
        return "" if media(bare(channel)) else _NOWHERE.get(channel.style, "no server: nowhere to put a proxy")

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
        self._mended = False
        for medium in media(bare(stage.channel)):
            before = stage.part(self._example).site
            self._proxies.append(proxy := Proxy(stage.session, before, medium, seed=self.number))
            stage.change(self._through(medium, proxy.address))

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        for proxy in self._proxies:
            self.strike(proxy)

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`. Called again it puts what was done on record: at first, that would take time."""
        proxies = getattr(self, "_proxies", [])
        for proxy in proxies:
            proxy.heal()
        if proxies and self._mended:
            self._put_on_record()
        self._mended = True

    def end(self, stage: Stage) -> None:
        """See `Fault.end`."""
        for proxy in getattr(self, "_proxies", []):
            proxy.close()

    def witnesses(self) -> int:
        """See `Fault.witnesses`: what the proxy has really done to the traffic."""
        return sum(proxy.witnesses for proxy in getattr(self, "_proxies", []))

    def _put_on_record(self) -> None:
        """The first `KEPT` touches of all its proxies, and how many came after them."""
        touches = sorted(touch for proxy in self._proxies for touch in proxy.journal())
        self.injected = [(touch.ns, _in_words(touch)) for touch in touches[:KEPT]]
        if more := self.witnesses() - len(self.injected):
            self.injected.append((touches[-1].ns, f"and {more} more"))

    def _through(self, medium: str, address: str) -> Change:
        def change(process: Process, part: Part) -> Part:
            if process.role not in self._roles:
                return part
            return replace(part, site=part.site.with_address(medium, address))

        return change


def _in_words(touch: Touch) -> str:
    size = f", {touch.bytes} bytes" if touch.bytes else ""
    late = f", {1000 * touch.seconds:.1f} ms" if touch.seconds else ""
    return f"connection {touch.connection}, {_WAYS[touch.direction]}: {touch.what}{size}{late}"
