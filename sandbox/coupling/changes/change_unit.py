"""Change the unit under the same name and type: the silent one."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import FIRST, Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole

MIB = 1 << 20


class SaysMiB(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, ImageDownloaded, bytes_sent=meant.bytes_sent // MIB)


class HearsMiB(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded, bytes_sent=body.bytes_sent * MIB)


class BothUnits(Body, frozen=True, forbid_unknown_fields=False):
    image: Whole
    project: Whole
    mib_sent: Whole | None = None
    bytes_sent: Whole | None = None
    metadata: Metadata = ""


class SaysBoth(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, BothUnits, mib_sent=meant.bytes_sent // MIB)


class HearsBoth(Listener):
    def understand(self, body: Any) -> Any:
        size = body.bytes_sent if body.mib_sent is None else body.mib_sent * MIB
        return carry(body, ImageDownloaded, bytes_sent=size)


class ChangeUnit(Change):
    """`bytes_sent` counts MiB from now on. Name and type stay, so that nothing can notice."""

    title, facet = "change a unit", Facet.SEMANTICS
    after = Release(FIRST.schema, SaysMiB, HearsMiB)
    both = Release(exchange(image_downloaded=BothUnits), SaysBoth, HearsBoth)
    advice = "a new name for the new unit; say both"
