"""Rename a field that readers take for optional: "be liberal in what you accept", taken too far."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.coupling.changes.rename_field import RenameField as Strictly
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole


class Lenient(Body, frozen=True, forbid_unknown_fields=False):
    image: Whole
    project: Whole
    bytes_sent: Whole | None = 0
    metadata: Metadata = ""


class SaysIt(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, Lenient)


class TakesNothingForZero(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded, bytes_sent=body.bytes_sent or 0)


class LenientRenamed(Body, frozen=True, forbid_unknown_fields=False):
    image: Whole
    project: Whole
    size_bytes: Whole | None = 0
    metadata: Metadata = ""


class SaysRenamed(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, LenientRenamed, size_bytes=meant.bytes_sent)


class TakesNothingForZeroToo(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded, bytes_sent=body.size_bytes or 0)


class RenameFieldReadLeniently(Change):
    """`bytes_sent` is called `size_bytes` from now on, and both sides take a field that is not there for 0."""

    title, facet = "rename a field, leniently read", Facet.DATA_FORMAT
    before = Release(exchange(image_downloaded=Lenient), SaysIt, TakesNothingForZero)
    after = Release(exchange(image_downloaded=LenientRenamed), SaysRenamed, TakesNothingForZeroToo)
    both = Strictly.both
    advice = Strictly.advice
    renamed = Strictly.renamed
