"""What participants are told before a run: values that travel over their own pipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.channel import Channel
from sandbox.exchange.schema import Schema
from sandbox.site import Site


@dataclass(frozen=True)
class SendTask:
    """What a sending participant is told."""

    channel: Channel
    site: Site
    schema: Schema
    name: str
    rows: Sequence[tuple[int, ...]]
    loop: str
    in_flight: int
    timeout: float
    journal: Path


@dataclass(frozen=True)
class ReceiveTask:
    """What a receiving participant is told."""

    channel: Channel
    site: Site
    schema: Schema
    group: str
    name: str
    services: dict[int, int]
    settle: str
    batch: int
    projects: int
    quota_gb: int
    journal: Path
    capacity: int
