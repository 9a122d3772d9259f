"""Add an optional field."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole


class WithRegion(Body, frozen=True):
    image: Whole
    project: Whole
    bytes_sent: Whole
    metadata: Metadata = ""
    region: str = "unknown"


class Says(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, WithRegion, region="north")


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded)


class TolerantWithRegion(WithRegion, frozen=True, forbid_unknown_fields=False):
    pass


class SaysTolerantly(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, TolerantWithRegion, region="north")


class AddOptionalField(Change):
    """Every download may say in which `region` it was; without it, the region is unknown."""

    title, facet = "add an optional field", Facet.DATA_FORMAT
    after = Release(exchange(image_downloaded=WithRegion), Says, Hears)
    both = Release(exchange(image_downloaded=TolerantWithRegion), SaysTolerantly, Hears)
    advice = "readers pass over what they do not know"
