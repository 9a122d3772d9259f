"""A half-open connection: what is sent arrives, and nothing comes back."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.faults.network import AtNetwork
from sandbox.faults.proxy import Proxy


@dataclass
class OneWayPartition(AtNetwork):
    """The medium hears its clients, and they do not hear it, until it is healed."""

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "nothing comes back"

    def strike(self, proxy: Proxy) -> None:
        """See `AtNetwork.strike`."""
        proxy.partition("down")
