"""All connections break at once; new ones are let through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sandbox.faults.network import AtNetwork
from sandbox.faults.proxy import Proxy


@dataclass
class Reset(AtNetwork):
    """A moment, not a window."""

    instant: ClassVar[bool] = True

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "connections reset"

    def strike(self, proxy: Proxy) -> None:
        """See `AtNetwork.strike`."""
        proxy.reset()
