"""Rename a field: the essay's own example."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole


class Renamed(Body, frozen=True):
    image: Whole
    project: Whole
    size_bytes: Whole
    metadata: Metadata = ""


class Says(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, Renamed, size_bytes=meant.bytes_sent)


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded, bytes_sent=body.size_bytes)


class BothNames(Body, frozen=True, forbid_unknown_fields=False):
    image: Whole
    project: Whole
    size_bytes: Whole | None = None
    bytes_sent: Whole | None = None
    metadata: Metadata = ""


class SaysBoth(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, BothNames, size_bytes=meant.bytes_sent)


class HearsBoth(Listener):
    def understand(self, body: Any) -> Any:
        size = body.bytes_sent if body.size_bytes is None else body.size_bytes
        return carry(body, ImageDownloaded, bytes_sent=size)


class RenameField(Change):
    """`bytes_sent` is called `size_bytes` from now on."""

    title, facet = "rename a field", Facet.DATA_FORMAT
    after = Release(exchange(image_downloaded=Renamed), Says, Hears)
    both = Release(exchange(image_downloaded=BothNames), SaysBoth, HearsBoth)
    advice = "say both names until nobody reads the old one"
    renamed = (("bytes_sent", "size_bytes"),)
