"""What OpenStack's image service says, and how metering understands it: an example for filter and translator.

Glance tells everything it does in one kind of message, and whoever listens picks by event type and priority:
`image.send` comes after every download, at "info" when all of it was sent and at "error" when the client
was gone before. Ceilometer bills the first kind only.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from sandbox.exchange.schema import ImageDownloaded, Message, Metadata, Schema, Verb, Whole

Word = Annotated[str, Meta(max_length=100)]


class Notification(Struct, frozen=True, forbid_unknown_fields=True):
    """Something has happened to image `image_id`: `event_type`, at `priority` (info, error, ...).

    size, bytes_sent   of the image, and of it to the project that received it, in bytes
    """

    event_type: Word
    priority: Word
    image_id: Whole
    receiver_tenant: Whole
    size: Whole
    bytes_sent: Whole
    metadata: Metadata = ""


NOTIFICATIONS = Schema((Message("notification", Verb.TELL, Notification),))

#: for a `MessageFilter`: complete downloads, and nothing else
DOWNLOADS = {"event_type": r"image\.send$", "priority": r"info$"}


def metered(body: Struct) -> ImageDownloaded:
    """A complete download as metering knows it: for a `Translator`."""
    assert isinstance(body, Notification)
    return ImageDownloaded(body.image_id, body.receiver_tenant, body.bytes_sent, body.metadata)
