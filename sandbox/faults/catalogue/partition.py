"""Nothing gets through, in either direction."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.faults.network import AtNetwork
from sandbox.faults.proxy import Proxy


@dataclass
class Partition(AtNetwork):
    """What is sent waits; connections stay open, and go on when it is healed."""

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "network partitioned"

    def strike(self, proxy: Proxy) -> None:
        """See `AtNetwork.strike`."""
        proxy.partition()
