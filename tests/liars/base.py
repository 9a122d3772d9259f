"""What all liars have in common."""

from __future__ import annotations

from typing import ClassVar

import honest
import psycopg
from honest import Honest

from sandbox.exchange.schema import Schema
from sandbox.site import Site


class Lie:
    """Base of all liars, whatever they are made from.

    lies_about  the guarantee that it declares and breaks
    alone       its lie spoils other claims as well: it is examined by itself, about this guarantee only
    """

    lies_about: ClassVar[str] = ""
    alone: ClassVar[bool] = False


class Liar(Lie, Honest):
    """A liar that is honest in everything else."""


class Presence:
    """Leaves a mark for every receiver that comes."""

    class receiving(honest.Receiver):
        def __init__(self, knobs: Honest, site: Site, schema: Schema, group: str, name: str) -> None:
            super().__init__(knobs, site, schema, group, name)
            (site.folder / f"present-{group}-{name}").touch()


def present(site: Site, group: str) -> int:
    """How many receivers of a group have come."""
    return len(list(site.folder.glob(f"present-{group}-*")))


def unlogged(site: Site, table: str) -> None:
    """Have PostgreSQL keep a table of a site so that a crash empties it."""
    with psycopg.connect(site.address("postgres"), autocommit=True) as connection:
        connection.execute(f'ALTER TABLE "{site.name}".{table} SET UNLOGGED')
