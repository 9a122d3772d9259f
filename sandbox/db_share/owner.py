"""A service that owns its tables: Cinder in miniature, on SQLite. Its rules stand in this code, not in the tables.

    create   within the project's quota
    attach   only a volume that is available
    extend   only a volume that is available, only to more, only within the quota
    delete   only a volume that is available

Nobody else touches the tables: others ask (`INTERFACE`, over any channel). `other_team` shows why. Release 2
renames a column; code and tables change together, and the interface stays as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from sandbox.channel import ASK_GROUP, Channel
from sandbox.db_share import usage
from sandbox.db_share.sqlite import transaction
from sandbox.errors import NoSuchVolume, OverQuota, Refusal, RemoteError
from sandbox.exchange.schema import CreateVolume, Message, Schema, State, Verb, VolumeCreated, Whole
from sandbox.site import Site

if TYPE_CHECKING:
    from sandbox.harness.participant import Link

#: release -> name of the column for a volume's size in GB
SIZE = {1: "size", 2: "size_gb"}
#: the transitions of a volume's status that the rules allow
ALLOWED = {("available", "in-use"), ("available", "deleting")}

_PATIENCE = 10.0
_TABLES = """
    CREATE TABLE volumes (id INTEGER PRIMARY KEY, project bigint NOT NULL, status text NOT NULL, size bigint NOT NULL);
    CREATE TABLE transitions (volume bigint, before text, after text);
    CREATE TRIGGER witness AFTER UPDATE OF status ON volumes  -- writes down what happens, and forbids nothing
        BEGIN INSERT INTO transitions VALUES (old.id, old.status, new.status); END;
"""


class AttachVolume(Struct, frozen=True, forbid_unknown_fields=True):
    """Attach `volume` to a server."""

    volume: Whole


class ExtendVolume(Struct, frozen=True, forbid_unknown_fields=True):
    """Make `volume` `size_gb` GB large."""

    volume: Whole
    size_gb: Whole


class DeleteVolume(Struct, frozen=True, forbid_unknown_fields=True):
    """Begin to delete `volume`."""

    volume: Whole


class Volume(Struct, frozen=True, forbid_unknown_fields=True):
    """A volume as its owner shows it to others."""

    volume: Whole
    state: State
    size_gb: Whole


INTERFACE = Schema(
    (
        Message("create_volume", Verb.ASK, CreateVolume, VolumeCreated),
        Message("attach_volume", Verb.ASK, AttachVolume, Volume),
        Message("extend_volume", Verb.ASK, ExtendVolume, Volume),
        Message("delete_volume", Verb.ASK, DeleteVolume, Volume),
    )
)


class Cinder:
    """One node of the owner. `release` says which tables its code was written for."""

    def __init__(self, file: Path, release: int = 1) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, timeout=_PATIENCE)
        self._size = SIZE[release]

    def close(self) -> None:
        """Disconnect."""
        self._db.close()

    def answer(self, body: Struct) -> Struct | Refusal:
        """Do what a message of the interface asks for, or refuse and change nothing."""
        try:
            with transaction(self._db, _PATIENCE):
                return self._create(body) if isinstance(body, CreateVolume) else self._change(body)
        except Refusal as refused:
            return refused

    def _create(self, body: CreateVolume) -> VolumeCreated:
        self._reserve(body.project, body.size_gb)
        insert = f"INSERT INTO volumes (id, project, status, {self._size}) VALUES (?, ?, 'available', ?)"
        try:
            self._db.execute(insert, (body.volume, body.project, body.size_gb))
        except sqlite3.IntegrityError:  # delivered again, perhaps
            raise RemoteError(f"InvalidInput: there is a volume {body.volume} already") from None
        return VolumeCreated(body.volume, "cinder")

    def _change(self, body: Struct) -> Volume:
        assert isinstance(body, AttachVolume | ExtendVolume | DeleteVolume)
        project, status, size = self._row(body.volume)
        if status != "available":
            raise RemoteError(f"InvalidVolume: volume {body.volume} is {status}, it has to be available")
        if isinstance(body, ExtendVolume):
            if body.size_gb <= size:
                raise RemoteError(f"InvalidInput: volume {body.volume} has {size} GB, it can only be given more")
            self._reserve(project, body.size_gb - size)
            self._db.execute(f"UPDATE volumes SET {self._size} = ? WHERE id = ?", (body.size_gb, body.volume))
        else:
            status = "in-use" if isinstance(body, AttachVolume) else "deleting"
            self._db.execute("UPDATE volumes SET status = ? WHERE id = ?", (status, body.volume))
        _, state, size = self._row(body.volume)
        return Volume(body.volume, state, size)

    def _row(self, volume: int) -> tuple[int, State, int]:
        select = f"SELECT project, status, {self._size} FROM volumes WHERE id = ?"
        found: tuple[int, State, int] | None = self._db.execute(select, [volume]).fetchone()
        if found is None:
            raise NoSuchVolume(f"there is no volume {volume}")
        return found

    def _reserve(self, project: int, size_gb: int) -> None:
        if not usage.reserve(self._db, project, size_gb):
            raise OverQuota(f"{size_gb} GB more do not fit into the quota of project {project}")


def install(file: Path, limits: Mapping[int, int]) -> None:
    """Make the tables of release 1 in a SQLite file: project -> GB that it may use."""
    usage.create(file, limits)
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.executescript(_TABLES)


def upgrade(file: Path) -> None:
    """The tables of release 2. The owner stops its nodes before and starts those of release 2 after."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=_PATIENCE)) as db:
        db.execute(f"ALTER TABLE volumes RENAME COLUMN {SIZE[1]} TO {SIZE[2]}")


def serve(link: Link, channel: Channel, site: Site, file: Path, release: int = 1) -> None:
    """What a node's process does (`Participant.begin`): answer until told to stop; "ready" first."""
    node = f"cinder-{release}"
    with closing(Cinder(file, release)) as cinder, closing(channel.receiver(site, INTERFACE, ASK_GROUP, node)) as asked:
        link.send("ready")
        while not link.poll(0):
            for delivery in asked.take(0.05):
                delivery.reply(cinder.answer(delivery.operation.body))
                delivery.settle()
        link.recv()


def broken_rules(file: Path, release: int = 1) -> list[str]:
    """Every rule that does not hold in the tables, in words; none when only the owner has written there."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=_PATIENCE)) as db:
        moves = db.execute("SELECT volume, before, after FROM transitions").fetchall()
        books = db.execute(
            f"SELECT project, in_use_gb, limit_gb, coalesce(sum({SIZE[release]}), 0) "
            "FROM quota_usages LEFT JOIN volumes USING (project) GROUP BY project"
        ).fetchall()
    broken = [
        f"volume {v} went from {before} to {after}" for v, before, after in moves if (before, after) not in ALLOWED
    ]
    for project, in_use, limit, there in books:
        if there > limit:
            broken.append(f"project {project} has {there} GB of volumes, its quota is {limit}")
        if there != in_use:
            broken.append(f"project {project} has {there} GB of volumes, its usage says {in_use}")
    return broken
