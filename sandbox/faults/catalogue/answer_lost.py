"""The work is done, and its answer gets lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sandbox.faults.bad_use import at_least
from sandbox.faults.network import AtNetwork
from sandbox.faults.proxy import Proxy


@dataclass
class AnswerLost(AtNetwork):
    """times: how many connections lose one at most, and are then reset."""

    times: int = 1

    verb: ClassVar[str] = "ask"

    def __post_init__(self) -> None:
        at_least(0, times=self.times)

    @property
    def title(self) -> str:
        """See `Fault.title`."""
        return "answer lost"

    def strike(self, proxy: Proxy) -> None:
        """See `AtNetwork.strike`."""
        proxy.lose_answers(times=self.times)
