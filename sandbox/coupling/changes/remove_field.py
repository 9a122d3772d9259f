"""Remove a field."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole


class WithoutImage(Body, frozen=True):
    project: Whole
    bytes_sent: Whole
    metadata: Metadata = ""


class Says(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, WithoutImage)


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded, image=0)


class StillWithImage(Body, frozen=True, forbid_unknown_fields=False):
    project: Whole
    bytes_sent: Whole
    image: Whole | None = None
    metadata: Metadata = ""


class StillSaysIt(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, StillWithImage)


class DoesNotNeedIt(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded, image=0)


class RemoveField(Change):
    """No bill needs to know the `image`: it is said no more."""

    title, facet = "remove a field", Facet.DATA_FORMAT
    after = Release(exchange(image_downloaded=WithoutImage), Says, Hears)
    both = Release(exchange(image_downloaded=StillWithImage), StillSaysIt, DoesNotNeedIt)
    advice = "read it no more, then say it no more"
