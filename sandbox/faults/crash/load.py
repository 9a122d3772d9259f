"""The small workload of a crash map: a few operations of every verb that the channel offers, one at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sandbox.channel import Channel
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Support
from sandbox.harness.plan import ASK, DTYPE, READ, TELL, WRITE, Plan
from sandbox.harness.workload import Workload

SENDER, PROBES = "sender-0", ("probe-0", "probe-1")
#: how often the sender says each of its messages
ROUNDS = 2
SIZE = 1024
#: knobs that make a run wait, and what they are set to where they are longer, in s. Whatever waits for more than
#: `_FOR_EVER` is not meant to end: it is left as it is
SHORTER = {"lease": 0.4, "timeout": 1.0, "patience": 0.15, "repoll": 0.1}
_FOR_EVER = 60.0
#: s for which a sender waits for the outcome of one operation
PATIENCE = 1.2


def impatient(channel: Channel) -> Channel:
    """The same channel with shorter leases and timeouts: a map waits for hundreds of them."""
    if not dataclasses.is_dataclass(channel):
        return channel
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(channel):
        value = getattr(channel, field.name)
        if isinstance(value, Channel):
            changes[field.name] = impatient(value)
        elif field.name in SHORTER and isinstance(value, int | float) and SHORTER[field.name] < value <= _FOR_EVER:
            changes[field.name] = SHORTER[field.name]
    return dataclasses.replace(channel, **changes) if changes else channel


def verbs(channel: Channel) -> tuple[Verb, ...]:
    """The verbs that can be mapped: those that it offers. Not state that an owner keeps in its memory."""
    offered = [verb for verb in Verb if channel.guarantees.of(verb).support is not Support.ABSENT]
    share = channel.guarantees.share
    return tuple(verb for verb in offered if verb is not Verb.SHARE or not share.needs_owner)


def workload_of(mapped: Sequence[Verb], settle: str) -> Workload:
    """What the history says about the load, whose rows are `plan_of`."""
    return Workload(
        {str(verb): 1.0 for verb in mapped},
        operations=len(plan_of(mapped).rows),
        warmup=0,
        loop="closed",
        size=SIZE,
        settle=settle,
        timeout=PATIENCE,
        projects=2,
        volumes=1,
    )


def plan_of(mapped: Sequence[Verb]) -> Plan:
    """`ROUNDS` rounds by the sender; then, by another, the same to find out whether it still works."""
    import numpy as np

    tells_and_asks = [message for verb, message in ((Verb.TELL, TELL), (Verb.ASK, ASK)) if verb in mapped]
    state = [WRITE, READ] if Verb.SHARE in mapped else []
    load = (tells_and_asks + state) * ROUNDS
    probe = (tells_and_asks + state[1:]) * ROUNDS  # a write would hide what became of the writes before
    rows = np.zeros(len(load) + len(PROBES) * len(probe), dtype=DTYPE)
    rows["id"] = np.arange(1, len(rows) + 1)
    rows["sender"] = [0] * len(load) + [1] * len(probe) + [2] * len(probe)
    rows["message"] = load + probe * len(PROBES)
    rows["size"] = SIZE
    rows["project"] = rows["id"] % 2
    rows["subject"] = np.where(np.isin(rows["message"], (WRITE, READ)), 1, rows["id"])
    rows["value"] = np.where(rows["message"] == TELL, 1_000_000 + rows["id"], rows["id"])
    writes = rows["message"] == WRITE
    rows["value"][writes] = np.arange(1, writes.sum() + 1)
    rows["value"][rows["message"] == READ] = 0
    rows["state"][writes] = np.arange(1, writes.sum() + 1)
    return Plan(rows, (SENDER, *PROBES))
