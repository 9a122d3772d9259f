"""Change the type of a field."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole

Digits = Annotated[str, Meta(pattern="^[0-9]{1,16}$")]


class InDigits(Body, frozen=True):
    image: Whole
    project: Whole
    bytes_sent: Digits
    metadata: Metadata = ""


class Says(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, InDigits, bytes_sent=str(meant.bytes_sent))


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded, bytes_sent=int(body.bytes_sent))


class BothTypes(Body, frozen=True, forbid_unknown_fields=False):
    image: Whole
    project: Whole
    bytes_digits: str | None = None
    bytes_sent: Whole | None = None
    metadata: Metadata = ""


class SaysBoth(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, BothTypes, bytes_digits=str(meant.bytes_sent))


class HearsBoth(Listener):
    def understand(self, body: Any) -> Any:
        size = body.bytes_sent if body.bytes_digits is None else int(body.bytes_digits)
        return carry(body, ImageDownloaded, bytes_sent=size)


class ChangeType(Change):
    """`bytes_sent` becomes a text of digits, since some reader cannot hold large numbers."""

    title, facet = "change a type", Facet.DATA_FORMAT
    after = Release(exchange(image_downloaded=InDigits), Says, Hears)
    both = Release(exchange(image_downloaded=BothTypes), SaysBoth, HearsBoth)
    advice = "a new name for the new type; say both"
