"""A kind of message more, and one less: a method, an event kind, a table."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import FIRST, Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Message, Metadata, Verb, Whole

#: bytes from which on a download is a large one
LARGE = 5 << 30


class LargeImageDownloaded(Body, frozen=True):
    image: Whole
    project: Whole
    bytes_sent: Whole
    metadata: Metadata = ""


class Says(Speaker):
    def say(self, meant: Any) -> Any:
        large = isinstance(meant, ImageDownloaded) and meant.bytes_sent >= LARGE
        return carry(meant, LargeImageDownloaded) if large else meant


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded) if isinstance(body, LargeImageDownloaded) else body


TWO_KINDS = exchange(Message("large_image_downloaded", Verb.TELL, LargeImageDownloaded))


class AddKind(Change):
    """Downloads of 5 GiB and more are told as a kind of their own: `large_image_downloaded`."""

    title, facet = "add a method, event kind, table", Facet.DATA_FORMAT
    after = Release(TWO_KINDS, Says, Hears)
    both = Release(TWO_KINDS, Speaker, Hears)
    advice = "listen for the new kind before anybody sends it"


class RemoveKind(Change):
    """Large downloads are no kind of their own any more; whoever has not heard goes on telling them so."""

    title, facet = "remove a method, event kind, table", Facet.DATA_FORMAT
    before = Release(TWO_KINDS, Says, Hears)
    after = FIRST
    both = Release(TWO_KINDS, Speaker, Hears)
    advice = "listen for the old kind until nobody sends it"
