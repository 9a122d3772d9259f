"""Liars about shared state."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import honest
from honest import Honest
from msgspec import Struct

from liars.base import Liar, Lie, Presence, present, unlogged
from sandbox.channel import OWNER_GROUP, Outcome
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.errors import NoSuchVolume, Refusal
from sandbox.exchange.schema import Schema, VolumeState
from sandbox.guarantees import Acceptor, Reads
from sandbox.site import Site


class ReadsFromACache(Liar):
    """Says the latest, and looks only every third time."""

    lies_about = "share.reads"

    class sending(honest.Sender):
        cached: ClassVar[dict[int, Struct | Refusal]] = {}
        looks = 0

        def read(self, volume: int) -> Struct | Refusal:
            self.looks += 1
            if volume not in self.cached or self.looks % 3 == 0:
                self.cached[volume] = super().read(volume)
            found = self.cached[volume]
            if isinstance(found, Refusal):
                del self.cached[volume]
            return found


class GoesBack(Liar):
    """Says that it never goes back, and shows the version before every fifth time."""

    lies_about = "share.reads"
    share = replace(Honest.share, reads=Reads.MONOTONIC)

    class sending(honest.Sender):
        shown: ClassVar[list[Struct | Refusal]] = []

        def read(self, volume: int) -> Struct | Refusal:
            self.shown.append(super().read(volume))
            return self.shown[-3] if len(self.shown) % 5 == 0 else self.shown[-1]


class MakesUpStates(Liar):
    """A volume that nobody has written is in error."""

    lies_about = "share.support"

    class sending(honest.Sender):
        def read(self, volume: int) -> Struct | Refusal:
            found = super().read(volume)
            return VolumeState(volume, "error", 0) if isinstance(found, NoSuchVolume) else found


class BuffersWrites(Liar):
    """Says that the kernel has the write, and still has it itself."""

    lies_about = "share.accepted_by"
    share = replace(Honest.share, reads=Reads.MONOTONIC)

    class sending(honest.Sender):
        buffer: ClassVar[list[tuple[int, bytes]]] = []

        def write(self, volume: int, body: bytes) -> None:
            self.buffer.append((volume, body))

        def outcomes(self, timeout: float) -> list[Outcome]:
            if not self.ready:
                while self.buffer:
                    super().write(*self.buffer.pop(0))
            return super().outcomes(timeout)


class NeedsNoOwner(Liar):
    """Says that it needs an owner, and does without."""

    lies_about = "share.needs_owner"
    share = replace(Honest.share, needs_owner=True)


class GarblesStates(Liar):
    """Loses what is not ASCII on the way."""

    lies_about = "share.support"

    class sending(honest.Sender):
        def write(self, volume: int, body: bytes) -> None:
            super().write(volume, body.decode("ascii", "ignore").encode())


class NeedsAnOwnerAfterAll(Presence, Liar):
    """Says that it needs no owner, and drops what is written before one has come."""

    lies_about = "share.needs_owner"
    alone = True

    class sending(honest.Sender):
        def write(self, volume: int, body: bytes) -> None:
            if present(self.site, OWNER_GROUP):
                super().write(volume, body)


class AcceptsWritesForThePeer(Liar):
    """Says that its owner has the write, and has not asked."""

    lies_about = "share.accepted_by"
    share = replace(Honest.share, accepted_by=Acceptor.PEER)


class ForgetsStatesWithItsServer(Lie, SkipLocked):
    """Says that states are on disk: they are in an unlogged table, which PostgreSQL empties after a crash."""

    lies_about = "share.accepted_by"

    def install(self, site: Site, schema: Schema) -> None:
        super().install(site, schema)
        unlogged(site, "volume_state")
