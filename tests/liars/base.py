"""What all liars have in common."""

from __future__ import annotations

from typing import ClassVar

import honest
from honest import Honest

from sandbox.exchange.schema import Schema
from sandbox.site import Site


class Liar(Honest):
    """Base of all liars.

    lies_about  the guarantee that it declares and breaks
    alone       its lie disturbs every claim that is examined at the same time
    """

    lies_about: ClassVar[str] = ""
    alone: ClassVar[bool] = False


class Presence:
    """Whether a receiver of a group has ever been there."""

    class receiving(honest.Receiver):
        def __init__(self, knobs: Honest, site: Site, schema: Schema, group: str, name: str) -> None:
            super().__init__(knobs, site, schema, group, name)
            (site.folder / f"present-{group}").touch()
