"""Everything is on its way longer."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.errors import BadArgument
from sandbox.faults.bad_use import at_least
from sandbox.faults.network import AtNetwork
from sandbox.faults.proxy import Proxy


@dataclass
class Latency(AtNetwork):
    """seconds, jitter: s that each chunk takes longer, give or take up to so many s."""

    seconds: float = 0.02
    jitter: float = 0.0

    def __post_init__(self) -> None:
        at_least(0, seconds=self.seconds, jitter=self.jitter)
        if self.jitter > self.seconds:
            raise BadArgument("jitter", expected=f"at most the latency ({self.seconds:g} s)", got=self.jitter)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{1000 * self.seconds:g} ms of latency"

    def strike(self, proxy: Proxy) -> None:
        """See `AtNetwork.strike`."""
        proxy.latency(self.seconds, self.jitter)
