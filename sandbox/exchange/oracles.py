"""The business is the oracle: after a run, what was billed, created and read is held against what was meant.

A lost message is unbilled bytes, a duplicate a double bill, a misunderstood field a bill that is wrong
by a factor - whatever the channel itself reported.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.channel import ASK_GROUP
from sandbox.errors import NoSuchVolume, OverQuota
from sandbox.harness.checker import acknowledged, deliveries
from sandbox.harness.history import History, Role
from sandbox.harness.journal import MISMATCHED, REFUSALS, Event
from sandbox.harness.plan import ASK, READ, STATES, TELL, WRITE

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Bill:
    """One listening group's bill, in bytes over all projects.

    meant     of every download that was acknowledged or billed at least once: each counted once
    billed    what stands on the bills, also for downloads that are in no plan
    unbilled  of acknowledged downloads that no bill shows
    doubled   billed again for a download that was billed already
    wrong     of downloads on another project's bill than was meant the whole amount (of that billed and that meant
              the larger); of those with another amount only the difference
    wrong_projects   projects whose bill is not what was meant in sum, whatever may have cancelled out
    """

    group: str
    meant: int
    billed: int
    unbilled: int
    doubled: int
    wrong: int
    wrong_projects: int

    @property
    def right(self) -> bool:
        """Every project's bill is exactly what was meant."""
        return not (self.wrong_projects or self.wrong or self.unbilled or self.doubled)  # sums alone may cancel out


@dataclass(frozen=True)
class Volumes:
    """The volume service's books.

    created, refused   effects: volumes granted, requests over quota
    created_twice      extra volumes of one request
    wrong              granted with another size or for another project than was asked
    over_quota         projects that were granted more than their quota
    wrongly_refused    refusals of requests that fit into the quota even when all was granted
    mismatched         answers that belong to another request
    unfounded          answers "created" although no node has created that volume
    denied             answers "over quota" although a node has created that volume
    """

    created: int
    refused: int
    created_twice: int
    wrong: int
    over_quota: int
    wrongly_refused: int
    mismatched: int
    unfounded: int
    denied: int

    @property
    def right(self) -> bool:
        """Every answer and every quota is as it should be."""
        books = self.created_twice or self.wrong or self.over_quota or self.wrongly_refused
        return not (books or self.mismatched or self.unfounded or self.denied)


@dataclass(frozen=True)
class States:
    """What the readers of shared state saw.

    reads      answered reads (those of volumes without any state included)
    stale      reads that were begun after a newer version had been accepted
    versions   how many versions behind the stalest was
    staleness  ns per stale read: how long the version after the one read had been accepted
    behind     versions per stale read, in the same order: how many newer ones had been accepted
    backwards  reads that went back behind what the same reader had seen before it began them
    impossible reads of a version that nobody had begun to write, or of a state that was not that version's
    mismatched answers that belong to another volume
    """

    reads: int
    stale: int
    versions: int
    staleness: tuple[int, ...]
    backwards: int
    impossible: int
    mismatched: int
    behind: tuple[int, ...] = ()

    @property
    def right(self) -> bool:
        """Nothing impossible, nothing backwards; staleness is a property, not an error."""
        return not (self.backwards or self.impossible or self.mismatched)


def bill(history: History, group: str) -> Bill:
    """The bill of one listening group."""
    import numpy as np

    rows = history.plan.rows
    told = rows["message"] == TELL
    times = deliveries(history, group)
    counts = told & (acknowledged(history) | (times > 0))
    effects = _effects(history, group, TELL)
    planned = rows[effects["operation"] - 1]
    elsewhere = effects["detail"] != planned["project"]
    larger, difference = np.maximum(effects["value"], planned["value"]), np.abs(effects["value"] - planned["value"])
    doubled = np.maximum(times - 1, 0) * rows["value"] * told
    everything = _in_group(history, group)
    meant, billed = _per_project(rows[counts], "project"), _per_project(everything, "detail")
    projects = set(meant) | set(billed)
    return Bill(
        group=group,
        meant=int(rows["value"][counts].sum()),
        billed=int(everything["value"].sum()),
        unbilled=int(rows["value"][counts & (times == 0)].sum()),
        doubled=int(doubled.sum()),
        wrong=int(np.where(elsewhere, larger, difference).sum()),
        wrong_projects=sum(meant.get(p, 0) != billed.get(p, 0) for p in projects),
    )


def volumes(history: History) -> Volumes:
    """The books of the volume service."""
    import numpy as np

    rows = history.plan.rows
    effects = _effects(history, ASK_GROUP, ASK)
    granted, refused = effects[effects["status"] == 0], effects[effects["status"] > 0]
    quota = history.workload.quota_gb
    used = _per_project(granted, "detail")
    asked = rows["value"][refused["operation"] - 1]
    room = np.array([quota - used.get(int(project), 0) for project in refused["detail"]], dtype=np.int64)
    answers = _answers(history, ASK)
    created, over = answers[answers["status"] == 0], answers[answers["status"] == REFUSALS[OverQuota.__name__]]
    asked_for = rows[granted["operation"] - 1]
    wrong = (granted["value"] != asked_for["value"]) | (granted["detail"] != asked_for["project"])
    return Volumes(
        created=len(granted),
        refused=len(refused),
        created_twice=len(granted) - len(np.unique(granted["operation"])),
        wrong=int(wrong.sum()),
        over_quota=sum(gb > quota for gb in used.values()),
        wrongly_refused=int(np.sum(asked <= room)),
        mismatched=int(np.sum(answers["status"] == MISMATCHED)),
        unfounded=int(np.sum(~np.isin(created["operation"], granted["operation"]))),
        denied=int(np.sum(np.isin(over["operation"], granted["operation"]))),
    )


def states(history: History) -> States:
    """What the readers saw, against what was written."""
    import numpy as np

    writes = _Writes(history)
    stale: list[int] = []
    behind: list[int] = []
    backwards = impossible = 0
    seen = _Seen()
    answers = _answers(history, READ)
    begun = {int(e["operation"]): int(e["time"]) for e in history.of(Event.INTENT)}
    reads = answers[np.isin(answers["status"], (0, REFUSALS[NoSuchVolume.__name__]))]
    for answer in reads:
        operation, version = int(answer["operation"]), int(answer["value"])
        volume = int(history.plan.rows["subject"][operation - 1])
        reader = (int(answer["process"]), volume)
        backwards += version < seen.newest(reader, begun.get(operation, 0))
        seen.add(reader, int(answer["time"]), version)
        impossible += writes.impossible(volume, version, int(answer["detail"]), int(answer["time"]))
        missed = writes.accepted_after(volume, version, begun.get(operation, 0))
        if missed:
            stale.append(begun[operation] - missed[0])  # if nobody had begun it, nothing was missed
            behind.append(len(missed))
    mismatched = int((answers["status"] == MISMATCHED).sum())
    most = max(behind, default=0)
    return States(len(reads), len(stale), most, tuple(stale), backwards, impossible, mismatched, tuple(behind))


class _Seen:
    """The newest version that each reader had seen of each volume by a given time; answers come in order of time.

    Reads that were open at the same time are in no order: neither can go back behind the other.
    """

    def __init__(self) -> None:
        self._times: dict[tuple[int, int], list[int]] = {}
        self._newest: dict[tuple[int, int], list[int]] = {}

    def add(self, reader: tuple[int, int], time: int, version: int) -> None:
        newest = self._newest.setdefault(reader, [])
        newest.append(max(version, newest[-1] if newest else 0))
        self._times.setdefault(reader, []).append(time)

    def newest(self, reader: tuple[int, int], by: int) -> int:
        index = bisect_right(self._times.get(reader, []), by)
        return self._newest[reader][index - 1] if index else 0


class _Writes:
    """Which version of which volume was begun and accepted when."""

    def __init__(self, history: History) -> None:
        rows = history.plan.rows
        self._begun: dict[tuple[int, int], int] = {}
        self._accepted: dict[int, dict[int, int]] = {}
        self._state: dict[tuple[int, int], int] = {}
        for event in history.of(Event.INTENT, Event.ACCEPTED):
            operation = int(event["operation"])
            if not 1 <= operation <= len(rows) or rows["message"][operation - 1] != WRITE:
                continue
            row = rows[operation - 1]
            volume, version = int(row["subject"]), int(row["value"])
            if event["event"] == Event.INTENT:
                self._begun[volume, version] = int(event["time"])
                self._state[volume, version] = int(row["state"])
            else:
                self._accepted.setdefault(volume, {})[version] = int(event["time"])

    def impossible(self, volume: int, version: int, state: int, answered: int) -> bool:
        if version == 0:
            return False
        begun = self._begun.get((volume, version))
        return begun is None or begun > answered or not state == self._state[volume, version] < len(STATES)

    def accepted_after(self, volume: int, version: int, moment: int) -> list[int]:
        """When each version after this one was accepted, if that was before `moment`; earliest first."""
        accepted = self._accepted.get(volume, {})
        return sorted(time for later, time in accepted.items() if later > version and time < moment)


def _in_group(history: History, group: str) -> Array:
    import numpy as np

    effects = history.of(Event.EFFECT)
    chosen: Array = effects[np.isin(effects["process"], history.indices(Role.RECEIVER, group))]
    return chosen


def _effects(history: History, group: str, message: int) -> Array:
    return _of_message(history, _in_group(history, group), message)


def _answers(history: History, message: int) -> Array:
    return _of_message(history, history.of(Event.ANSWERED), message)


def _of_message(history: History, events: Array, message: int) -> Array:
    rows = history.plan.rows
    events = events[(events["operation"] >= 1) & (events["operation"] <= len(rows))]
    chosen: Array = events[rows["message"][events["operation"] - 1] == message]
    return chosen


def _per_project(table: Array, project: str) -> dict[int, int]:
    import numpy as np

    found, index = np.unique(table[project], return_inverse=True)
    sums = np.zeros(len(found), dtype=np.int64)
    np.add.at(sums, index, table["value"])
    return dict(zip(found.tolist(), sums.tolist(), strict=True))
