"""Everything is on its way longer."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.faults.network import AtNetwork
from sandbox.faults.proxy import Proxy


@dataclass
class Latency(AtNetwork):
    """seconds, jitter: s that each chunk takes longer, give or take up to so many s."""

    seconds: float = 0.02
    jitter: float = 0.0

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{1000 * self.seconds:g} ms of latency"

    def strike(self, proxy: Proxy) -> None:
        """See `AtNetwork.strike`."""
        proxy.latency(self.seconds, self.jitter)
