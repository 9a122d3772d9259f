"""Widen a type."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole

#: images are numbered from here on: 32 bits do not hold it
FIRST_WIDE = 1 << 40


class Narrow(Body, frozen=True):
    image: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    project: Whole
    bytes_sent: Whole
    metadata: Metadata = ""


class SaysNarrow(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, Narrow)


class SaysWide(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, ImageDownloaded, image=FIRST_WIDE + meant.image)


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded)


class SaysWhatFits(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, ImageDownloaded)


class WidenType(Change):
    """The number of an `image` outgrows 32 bits."""

    title, facet = "widen a type", Facet.DATA_FORMAT
    before = Release(exchange(image_downloaded=Narrow), SaysNarrow, Hears)
    after = Release(exchange(), SaysWide, Hears)
    both = Release(exchange(), SaysWhatFits, Hears)
    advice = "widen every reader before the first wide value"
