"""The row "power cut" of a table of faults: one answer a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sandbox.channel import Channel
from sandbox.exchange.schema import Verb
from sandbox.faults.fault import bare
from sandbox.faults.power_cut.judging import PowerCut
from sandbox.faults.power_cut.trial import power_cut
from sandbox.harness.session import Session


def power_cut_row(
    channels: Mapping[str, Channel], session: Session | None = None, verb: Verb | str = Verb.TELL
) -> list[PowerCut]:
    """What was seen of each channel, under the name that it is given, one after the other: up to some 2 s each.

    Left out is one that is wrapped around another: who receives twice, and does it once, stores no other way.
    """
    bares = {name: channel for name, channel in channels.items() if bare(channel) is channel}
    return [replace(power_cut(channel, session, verb=verb), channel=name) for name, channel in bares.items()]
