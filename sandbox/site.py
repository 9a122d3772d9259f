"""Where things are: every address that a channel uses comes from a `Site`.

Because no channel knows an address by itself, a proxy can be slipped in between and a receiver
can move, without an edit to any channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.errors import BadArgument


@dataclass(frozen=True)
class Site:
    """The place of one run.

    folder     private (0700), on local disk, short enough for socket paths (104 bytes on macOS)
    name       unique within the session; letters, digits and underscores only, so that it can
               prefix a table, a schema or a key
    groups     the groups of listeners that each get their own copy of everything told
    addresses  medium -> address: "postgres" (a libpq connection string), "redis" (a URL:
               ``unix:///path.sock`` or ``redis://host:port/0``)
    """

    folder: Path
    name: str
    groups: tuple[str, ...] = ("metering",)
    addresses: Mapping[str, str] = field(default_factory=dict)

    def address(self, medium: str) -> str:
        """The address of a medium, or `BadArgument` when this site has none."""
        try:
            return self.addresses[medium]
        except KeyError:
            known = ", ".join(sorted(self.addresses)) or "none"
            raise BadArgument(
                "medium", expected=f"one that this site has ({known})", got=medium, hint="Name it in Channel.needs."
            ) from None

    def with_address(self, medium: str, address: str) -> Site:
        """The same site with one address replaced: how a proxy is slipped in."""
        return replace(self, addresses={**self.addresses, medium: address})
