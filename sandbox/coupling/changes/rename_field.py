from __future__ import annotations

from msgspec import Struct

from sandbox.coupling.change import Change, Facet, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole


class Renamed(Struct, frozen=True, forbid_unknown_fields=True):
    image: Whole
    project: Whole
    size_bytes: Whole
    metadata: Metadata = ""


class Says(Speaker):
    def say(self, meant: Struct) -> Struct:
        assert isinstance(meant, ImageDownloaded)
        return Renamed(meant.image, meant.project, meant.bytes_sent, meant.metadata)


class Hears(Listener):
    def understand(self, body: Struct) -> Struct:
        assert isinstance(body, Renamed)
        return ImageDownloaded(body.image, body.project, body.size_bytes, body.metadata)


class Both(Struct, frozen=True):
    image: Whole
    project: Whole
    size_bytes: Whole | None = None
    bytes_sent: Whole | None = None
    metadata: Metadata = ""


class SaysBoth(Speaker):
    def say(self, meant: Struct) -> Struct:
        assert isinstance(meant, ImageDownloaded)
        return Both(meant.image, meant.project, meant.bytes_sent, meant.bytes_sent, meant.metadata)


class HearsBoth(Listener):
    def understand(self, body: Struct) -> Struct:
        assert isinstance(body, Both)
        size = body.bytes_sent if body.size_bytes is None else body.size_bytes
        if size is None:
            raise ValueError("neither size_bytes nor bytes_sent")
        return ImageDownloaded(body.image, body.project, size, body.metadata)


class RenameField(Change):
    """`bytes_sent` is called `size_bytes` from now on: the essay's own example."""

    title, facet = "rename a field", Facet.DATA_FORMAT
    after = Release(exchange(image_downloaded=Renamed), Says, Hears)
    both = Release(exchange(image_downloaded=Both), SaysBoth, HearsBoth)
    renamed = {"bytes_sent": "size_bytes"}  # noqa: RUF012 - nobody writes to it
    advice = "say both names until nobody reads the old one"
