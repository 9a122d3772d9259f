"""The row "power cut" of a table of faults: one answer a channel."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.channel import Channel
from sandbox.exchange.schema import Verb
from sandbox.faults.power_cut.judging import PowerCut
from sandbox.faults.power_cut.trial import power_cut
from sandbox.harness.session import Session


def power_cut_row(channels: Iterable[Channel], session: Session | None = None) -> list[PowerCut]:
    """What was seen of each channel, in their order; 1 to 3 s each, one after the other."""
    return [power_cut(channel, session, verb=Verb.TELL) for channel in channels]
