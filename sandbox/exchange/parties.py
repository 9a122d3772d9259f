"""What the parties do with a message: the business, written once; styles never touch it.

A party turns a message into an `Effect`, which the harness records in its journal before the
message is settled: the effect is the record.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from sandbox.errors import NoSuchVolume, OverQuota, Refusal
from sandbox.exchange.schema import CreateVolume, GetState, ImageDownloaded, SetState, VolumeCreated, VolumeState


class Effect(NamedTuple):
    """What a message changed: `value` of what, for `subject`, and the answer to whoever asked.

    tell   bytes billed to a project          ask    GB granted to a project (0 when refused)
    share  version written or read of a volume
    """

    value: int
    subject: int
    answer: Struct | Refusal | None = None


class Party(ABC):
    """One service of the exchange."""

    @abstractmethod
    def work(self, body: Struct) -> Effect | None:
        """Do what the message asks for; None when it asks for nothing."""


class Metering(Party):
    """Bills every downloaded byte to its project (Ceilometer's part)."""

    def work(self, body: Struct) -> Effect:
        """`ImageDownloaded` -> so many bytes for that project."""
        assert isinstance(body, ImageDownloaded)
        return Effect(body.bytes_sent, body.project)


class VolumeService(Party):
    """Creates volumes within each project's quota (Cinder's part); `host` is this node's name."""

    def __init__(self, host: str, quota: QuotaStore) -> None:
        self._host, self._quota = host, quota

    def work(self, body: Struct) -> Effect:
        """`CreateVolume` -> the volume and its host, or `OverQuota`."""
        assert isinstance(body, CreateVolume)
        try:
            self._quota.reserve(body.project, body.size_gb)
        except OverQuota as refused:
            return Effect(0, body.project, refused)
        return Effect(body.size_gb, body.project, VolumeCreated(body.volume, self._host))


class StateOwner(Party):
    """Keeps the state of every volume for the channels that share it by asking an owner."""

    def __init__(self) -> None:
        self._states: dict[int, SetState] = {}

    def work(self, body: Struct) -> Effect:
        """`SetState` keeps it; `GetState` -> the state, or `NoSuchVolume`."""
        if isinstance(body, SetState):
            self._states[body.volume] = body
            return Effect(body.version, body.volume)
        assert isinstance(body, GetState)
        state = self._states.get(body.volume)
        if state is None:
            return Effect(0, body.volume, NoSuchVolume(f"volume {body.volume} has no state yet"))
        answer = VolumeState(state.volume, state.state, state.version, state.metadata)
        return Effect(state.version, body.volume, answer)


class QuotaStore:
    """GB granted per project, shared by all nodes of one volume service on a host.

    The service's own store, not one of the channels under test: a small memory-mapped file whose
    lock the kernel gives back when its holder dies. A node killed between its reservation and its
    effect leaks that reservation, as Cinder's does.
    """

    _CELL = struct.Struct("<q")

    def __init__(self, path: Path, projects: int, limit_gb: int) -> None:
        self._limit, self._projects = limit_gb, projects
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, projects * self._CELL.size)
        self._map = mmap.mmap(self._file, projects * self._CELL.size)

    def reserve(self, project: int, size_gb: int) -> None:
        """Take `size_gb` of the project's quota, or raise `OverQuota` and take nothing."""
        if not 0 <= project < self._projects:
            raise OverQuota(f"project {project} has no quota at all")
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            (used,) = self._CELL.unpack_from(self._map, project * self._CELL.size)
            if used + size_gb > self._limit:
                raise OverQuota(f"project {project} uses {used} of {self._limit} GB; {size_gb} more do not fit")
            self._CELL.pack_into(self._map, project * self._CELL.size, used + size_gb)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give back file and mapping."""
        self._map.close()
        os.close(self._file)
