"""What participants are told before a run: values that travel over their own pipe."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.harness.stage import Part

#: how long a receiver waits for deliveries before it looks whether it should stop, in s
LOOK = 0.05


@dataclass(frozen=True)
class SendTask:
    """What a sending participant is told."""

    part: Part
    name: str
    rows: Sequence[tuple[int, ...]]
    loop: str
    in_flight: int
    timeout: float
    journal: Path
    resumed: bool = False  #: it comes late, in the place of another: its first lateness is not its pacer's fault


@dataclass(frozen=True)
class ReceiveTask:
    """What a receiving participant is told."""

    part: Part
    group: str
    name: str
    services: dict[int, int]
    settle: str
    batch: int
    projects: int
    quota_gb: int
    journal: Path
    capacity: int


class undisturbed(contextlib.AbstractContextManager[None]):
    """No garbage collection while it counts: a collection is a pause that no channel has caused."""

    def __enter__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()
