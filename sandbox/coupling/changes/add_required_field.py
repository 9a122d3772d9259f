"""Add a required field."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.coupling.changes.add_optional_field import AddOptionalField
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole


class WithRegion(Body, frozen=True):
    image: Whole
    project: Whole
    bytes_sent: Whole
    region: str
    metadata: Metadata = ""


class Says(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, WithRegion, region="north")


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded)


class AddRequiredField(Change):
    """Every download has to say in which `region` it was."""

    title, facet = "add a required field", Facet.DATA_FORMAT
    after = Release(exchange(image_downloaded=WithRegion), Says, Hears)
    both = AddOptionalField.both
    advice = "optional first; required when every sender says it"
