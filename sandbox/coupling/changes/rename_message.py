"""Rename a message: an event kind and its table, or a method that is called and its answer."""

from __future__ import annotations

from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import CreateVolume, ImageDownloaded, Message, Metadata, Verb, VolumeCreated, Whole


class ImageServed(Body, frozen=True):
    image: Whole
    project: Whole
    bytes_sent: Whole
    metadata: Metadata = ""


class MakeVolume(Body, frozen=True):
    volume: Whole
    project: Whole
    size_gb: Whole
    metadata: Metadata = ""


class Says(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, ImageServed if isinstance(meant, ImageDownloaded) else MakeVolume)


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        if isinstance(body, ImageServed):
            return carry(body, ImageDownloaded)
        return carry(body, CreateVolume) if isinstance(body, MakeVolume) else body


SERVED = Message("image_served", Verb.TELL, ImageServed)
MAKE = Message("make_volume", Verb.ASK, MakeVolume, VolumeCreated)


class RenameEvent(Change):
    """`image_downloaded` is called `image_served` from now on: event kind, file, table, method."""

    title, facet = "rename an event kind, table", Facet.DATA_FORMAT
    after = Release(exchange(SERVED, without=["image_downloaded"]), Says, Hears)
    both = Release(exchange(SERVED), Speaker, Hears)
    advice = "listen for both names before anybody sends the new one"
    renamed = (("image_downloaded", "image_served"),)


class RenameMethod(Change):
    """`create_volume` is called `make_volume` from now on: method, request, table."""

    title, facet, verb = "rename a method", Facet.DATA_FORMAT, Verb.ASK
    after = Release(exchange(MAKE, without=["create_volume"]), Says, Hears)
    both = Release(exchange(MAKE), Speaker, Hears)
    advice = "answer to both names before anybody uses the new one"
    renamed = (("create_volume", "make_volume"),)
