"""The arrival plan: everything random about a run, drawn from the seed before the run and stored.

Same workload and seed, same bytes. One row an operation:

    id        1, 2, ... in order of intended start
    sender    index into `senders`
    message   index into `MESSAGES`
    due       intended start, ns after the run's start (open loop; 0 in a closed loop)
    service   ns that each receiver works on it
    size      bytes of its encoded body, reached with metadata where the fields alone are shorter (a read has none)
    subject   image or volume;   project;   value: bytes sent, GB asked for, or version written
    state     index into `STATES`, for a write
    warm      warm-up: left out of latencies
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import msgspec
from msgspec import Struct

from sandbox.exchange.schema import EXCHANGE, CreateVolume, GetState, ImageDownloaded, Operation, SetState, State, Verb
from sandbox.harness.workload import OPENSTACK, Workload

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MESSAGES = ("image_downloaded", "create_volume", "set_state", "get_state")
TELL, ASK, WRITE, READ = range(4)
MESSAGES_OF = {Verb.TELL: (TELL,), Verb.ASK: (ASK,), Verb.SHARE: (WRITE, READ)}
STATES: tuple[str, ...] = get_args(State)

DTYPE = [
    ("id", "<i8"),
    ("sender", "<i4"),
    ("message", "<i4"),
    ("due", "<i8"),
    ("service", "<i8"),
    ("size", "<i4"),
    ("subject", "<i4"),
    ("project", "<i4"),
    ("state", "<i4"),
    ("value", "<i8"),
    ("warm", "<i8"),
]

#: OpenStack message sizes seen in production (median 2450, p90 6480, maximum 11292 bytes; the least is assumed),
#: as points of the distribution function between which the logarithm of the size is interpolated
SIZES = {0.0: 300, 0.5: 2450, 0.9: 6480, 1.0: 11292}


@dataclass(frozen=True)
class Plan:
    """The rows, and the names of the processes that send them."""

    rows: Array
    senders: tuple[str, ...]

    def of_sender(self, index: int) -> list[tuple[int, ...]]:
        """One sender's rows as plain tuples, for a process that has no numpy."""
        rows: list[tuple[int, ...]] = self.rows[self.rows["sender"] == index].tolist()
        return rows

    def services(self) -> dict[int, int]:
        """Operation id -> ns of work, for the receivers; empty when there is none to do."""
        busy = self.rows[self.rows["service"] > 0]
        return dict(zip(busy["id"].tolist(), busy["service"].tolist(), strict=True))

    @property
    def longest_silence(self) -> float:
        """Seconds that may pass without any event although all goes as planned: nobody sends, one works."""
        import numpy as np

        return float(np.max(np.diff(self.rows["due"], prepend=0), initial=0)) / 1e9 + self.longest_service

    @property
    def longest_service(self) -> float:
        """Seconds that a receiver works on one operation, at most."""
        return float(self.rows["service"].max(initial=0)) / 1e9

    def to_bytes(self) -> bytes:
        """What is stored, and compared: same seed, same bytes."""
        return json.dumps(self.senders).encode() + b"\n" + self.rows.tobytes()


def make_plan(workload: Workload) -> Plan:
    """Draw the plan of a workload."""
    import numpy as np

    rng = np.random.Generator(np.random.PCG64(workload.seed))
    count = workload.warmup + workload.operations
    rows = np.zeros(count, dtype=DTYPE)
    rows["id"] = np.arange(1, count + 1)
    rows["warm"][: workload.warmup] = 1
    if workload.loop == "open":
        rows["due"] = _arrivals(workload, count, rng)
    _draw_messages(rows, workload, rng)
    _draw_business(rows, workload, rng)
    rows["size"] = _sizes(workload, count, rng)
    rows["service"] = _services(workload, count, rng)
    return Plan(rows, _assign_senders(rows, workload))


def _arrivals(workload: Workload, count: int, rng: np.random.Generator) -> Array:
    import numpy as np

    gap = 1e9 / workload.rate
    if workload.arrivals == "constant":
        return np.round(np.arange(count) * gap).astype(np.int64)
    if workload.arrivals == "poisson":
        return np.round(np.cumsum(rng.exponential(gap, count))).astype(np.int64)
    bursts = -(-count // workload.burst)
    starts = np.cumsum(rng.exponential(gap * workload.burst, bursts))
    return np.round(np.repeat(starts, workload.burst)[:count]).astype(np.int64)


def _draw_messages(rows: Array, workload: Workload, rng: np.random.Generator) -> None:
    import numpy as np

    weights = workload.weights
    verbs = list(weights)
    shares = np.array(list(weights.values()))
    drawn = rng.choice(len(verbs), len(rows), p=shares / shares.sum())
    writes = rng.random(len(rows)) < workload.writes
    for index, verb in enumerate(verbs):
        mine = drawn == index
        if verb is Verb.SHARE:
            rows["message"][mine] = np.where(writes[mine], WRITE, READ)
        else:
            rows["message"][mine] = TELL if verb is Verb.TELL else ASK


def _draw_business(rows: Array, workload: Workload, rng: np.random.Generator) -> None:
    import numpy as np

    count = len(rows)
    message = rows["message"]
    rows["project"] = rng.integers(0, workload.projects, count)
    shared = (message == WRITE) | (message == READ)
    rows["subject"] = np.where(shared, rng.integers(1, workload.volumes + 1, count), rows["id"])
    image_bytes = rng.integers(1, 8192, count) << 20  # whole MiB: a bill in the wrong unit is off by that
    rows["value"] = np.select([message == TELL, message == ASK], [image_bytes, rng.integers(1, 41, count)], 0)
    rows["state"] = rng.integers(0, len(STATES), count)
    versions: dict[int, int] = {}
    for row in np.flatnonzero(message == WRITE).tolist():
        volume = int(rows["subject"][row])
        versions[volume] = versions.get(volume, 0) + 1
        rows["value"][row] = versions[volume]


def _sizes(workload: Workload, count: int, rng: np.random.Generator) -> Array:
    import numpy as np

    if workload.size == OPENSTACK:
        logs = np.interp(rng.random(count), list(SIZES), np.log(list(SIZES.values())))
        return np.round(np.exp(logs)).astype(np.int32)
    return np.full(count, workload.size, dtype=np.int32)


def _services(workload: Workload, count: int, rng: np.random.Generator) -> Array:
    import numpy as np

    mean = workload.service * 1e9
    if workload.service_shape == "exponential":
        return np.round(rng.exponential(mean, count)).astype(np.int64) if mean else np.zeros(count, np.int64)
    return np.full(count, round(mean), dtype=np.int64)


def _assign_senders(rows: Array, workload: Workload) -> tuple[str, ...]:
    """Tells and asks go round the senders; writes to the one writer, reads round the readers."""
    import numpy as np

    names: list[str] = []
    message = rows["message"]
    for messages, role, number in (
        ((TELL, ASK), "sender", workload.senders),
        ((WRITE,), "writer", 1),
        ((READ,), "reader", workload.readers),
    ):
        mine = np.flatnonzero(np.isin(message, messages))
        if len(mine):
            rows["sender"][mine] = len(names) + np.arange(len(mine)) % number
            names += [role if role == "writer" else f"{role}-{i}" for i in range(min(number, len(mine)))]
    return tuple(names)


# --- from rows to operations, in the sender's own process --------------------------------------

_POOL = "".join(random.Random(0).choices("0123456789abcdef", k=1 << 16))  # does not compress to nothing


def operations(rows: list[tuple[int, ...]]) -> Iterator[Operation]:
    """The operations of some rows, their bodies filled up to the planned size."""
    for row in rows:
        identity, _, message, _, _, size, subject, project, state, value, _ = row
        body = _body(message, subject, project, state, value)
        yield Operation(identity, MESSAGES[message], _fill(body, size, identity))


def _body(message: int, subject: int, project: int, state: int, value: int) -> Struct:
    if message == TELL:
        return ImageDownloaded(subject, project, value)
    if message == ASK:
        return CreateVolume(subject, project, value)
    if message == WRITE:
        return SetState(subject, STATES[state], value)  # type: ignore[arg-type]  # STATES are the literal's own values
    return GetState(subject)


def _fill(body: Struct, size: int, identity: int) -> Struct:
    if isinstance(body, GetState):
        return body
    missing = size - len(EXCHANGE.encode(body))
    if missing <= 0:
        return body
    start = identity % 997
    pool = _POOL if start + missing <= len(_POOL) else _POOL * (2 + missing // len(_POOL))
    return msgspec.structs.replace(body, metadata=pool[start : start + missing])
