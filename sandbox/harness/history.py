"""What happened in one run: the plan, every event of every participant, and how the run went.

A history is all that checker, oracles and charts ever look at; a simulated one is no different.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.channel import ASK_GROUP, OWNER_GROUP
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Guarantees
from sandbox.harness.journal import DTYPE, Event, read
from sandbox.harness.plan import DTYPE as PLAN_DTYPE
from sandbox.harness.plan import MESSAGES, Plan
from sandbox.harness.workload import Workload

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

FORMAT = 1
_BROKEN = (zipfile.BadZipFile, zlib.error, msgspec.MsgspecError)
#: a record of a journal, and which process wrote it (index into `History.processes`)
EVENT_DTYPE = [*DTYPE, ("process", "<i4")]


class Role(StrEnum):
    """What a process did."""

    SENDER = "sender"
    RECEIVER = "receiver"


@dataclass(frozen=True)
class Process:
    """One participant; `died` is its exit status if it ended before it was asked to (negative: a signal)."""

    name: str
    role: Role
    group: str = ""
    died: int | None = None


@dataclass(frozen=True, eq=False)
class History:
    """One run.

    events   array of `EVENT_DTYPE`, sorted by time; times in ns after the run's start
    channel  title;  style;  label: what it ran on, e.g. the broker's name and version
    notes    what may make it `unknown`: filled journals, deaths nobody asked for, an unresolved drain
    facts    start (ISO), machine, versions, clock gap, phases, final backlog, refusals - all for JSON
    """

    workload: Workload
    channel: str
    style: str
    guarantees: Guarantees
    plan: Plan
    processes: tuple[Process, ...]
    events: Array
    label: str = ""
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def of(self, *kinds: Event) -> Array:
        """The events of some kinds, in order of time."""
        import numpy as np

        return self.events[np.isin(self.events["event"], [int(kind) for kind in kinds])]

    def indices(self, role: Role, group: str | None = None) -> list[int]:
        """Which processes have a role (in a group)."""
        return [i for i, p in enumerate(self.processes) if p.role is role and group in (None, p.group)]

    def groups_of(self, verb: Verb) -> tuple[str, ...]:
        """The groups that operations of a verb are delivered to; none for state that is shared directly."""
        if verb is Verb.TELL:
            return self.workload.groups
        if verb is Verb.ASK:
            return (ASK_GROUP,)
        return (OWNER_GROUP,) if self.guarantees.share.needs_owner else ()

    def of_operation(self, identity: int) -> pd.DataFrame:
        """Everything that happened to one operation, in order of time: a history to read by hand."""
        frame = self.to_frame()
        return frame[frame["operation"] == identity].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """One row an event: ms after the start, process, event, operation, message, value, detail, attempt."""
        import numpy as np
        import pandas as pd

        events = self.events
        row_of = np.clip(events["operation"] - 1, 0, len(self.plan.rows) - 1)
        message = np.array(MESSAGES)[self.plan.rows["message"][row_of]]
        return pd.DataFrame(
            {
                "ms": np.round(events["time"] / 1e6, 3),
                "process": [self.processes[i].name for i in events["process"]],
                "event": [Event(kind).name.lower() for kind in events["event"]],
                "operation": events["operation"],
                "message": np.where(events["operation"] > 0, message, ""),
                "value": events["value"],
                "detail": events["detail"],
                "attempt": events["attempt"],
            }
        )

    def save(self, path: Path) -> None:
        """Write it as one compressed file (``.npz``: plan, events and the rest as JSON)."""
        import numpy as np

        meta = {
            "format": FORMAT,
            "workload": self.workload.to_dict(),
            "channel": self.channel,
            "style": self.style,
            "guarantees": dataclasses.asdict(self.guarantees),
            "senders": self.plan.senders,
            "processes": [dataclasses.asdict(p) for p in self.processes],
            "label": self.label,
            "notes": self.notes,
            "facts": self.facts,
        }
        with path.open("wb") as file:  # given a path, numpy would add an ending of its own
            np.savez_compressed(file, plan=self.plan.rows, events=self.events, meta=np.array(json.dumps(meta)))

    @classmethod
    def load(cls, path: Path) -> History:
        """Read what `save` wrote; `BadArgument` for anything else. Nothing is unpickled."""
        try:
            meta, rows, events = _stored(path)
            if meta["format"] == FORMAT:
                return cls._rebuilt(meta, rows, events)
        except (OSError, ValueError, KeyError, TypeError, EOFError, *_BROKEN) as error:
            raise BadArgument("history file", expected="one that History.save wrote", got=f"{path}: {error}") from None
        hint = "Run it again with this version."
        raise BadArgument("history file", expected=f"format {FORMAT}", got=meta["format"], hint=hint)

    @classmethod
    def _rebuilt(cls, meta: dict[str, Any], rows: Array, events: Array) -> History:
        return cls(
            workload=Workload.from_dict(meta["workload"]),
            channel=meta["channel"],
            style=meta["style"],
            guarantees=msgspec.convert(meta["guarantees"], Guarantees),
            plan=Plan(rows, tuple(meta["senders"])),
            processes=tuple(msgspec.convert(p, Process) for p in meta["processes"]),
            events=events,
            label=meta["label"],
            notes=tuple(meta["notes"]),
            facts=meta["facts"],
        )


def gather(journals: Sequence[Path], start: int) -> Array:
    """The events of some journals (of processes 0, 1, ...), in order of time, which counts from `start`."""
    import numpy as np

    parts = [np.zeros(0, dtype=EVENT_DTYPE)]
    for index, path in enumerate(journals):
        if not path.exists():
            continue  # killed before it began
        records = read(path)
        part = np.zeros(len(records), dtype=EVENT_DTYPE)
        for column in records.dtype.names or ():
            part[column] = records[column]
        part["process"] = index
        part["time"] -= start
        parts.append(part)
    events = np.concatenate(parts)
    return events[np.argsort(events["time"], kind="stable")]


def _stored(path: Path) -> tuple[dict[str, Any], Array, Array]:
    """What lies in a file, as far as it has the shape of a history."""
    import numpy as np

    with path.open("rb") as file:  # numpy leaves a file open that it cannot read
        if file.read(2) != b"PK":
            raise ValueError("it is no .npz file")
        file.seek(0)
        with np.load(file, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            rows, events = stored["plan"], stored["events"]
    if rows.dtype != np.dtype(PLAN_DTYPE) or events.dtype != np.dtype(EVENT_DTYPE):
        raise ValueError("its records have other columns")
    return meta, rows, events
