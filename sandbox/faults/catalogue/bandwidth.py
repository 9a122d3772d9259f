"""A narrow line."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.errors import BadArgument
from sandbox.faults.bad_use import at_least
from sandbox.faults.network import AtNetwork
from sandbox.faults.proxy import Proxy


@dataclass
class Bandwidth(AtNetwork):
    """rate: bytes/s that each connection carries in one direction."""

    rate: float = 50_000.0

    def __post_init__(self) -> None:
        at_least(0, rate=self.rate)
        if not self.rate:
            raise BadArgument("rate", expected="more than 0", got=self.rate, hint="For no byte at all: Partition().")

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return f"{self.rate / 1000:g} kB/s of bandwidth"

    def strike(self, proxy: Proxy) -> None:
        """See `AtNetwork.strike`."""
        proxy.bandwidth(self.rate)
