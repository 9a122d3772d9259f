"""What goes over the wire: a length, then that many bytes of JSON (or of another codec, if both ends agree).

    request   {"method": "create_volume", "id": 7, "operation": 41, "version": "1.0", "args": {"volume": 3, ...}}
    answer    {"id": 7, "result": {"volume": 3, "host": "h1"}}     {"id": 7}: done, there is nothing to say
    error     {"id": 7, "error": "OverQuota", "reason": "project 2 may have 100 GB"}

A method is a method: its name is the message's, its arguments are the fields of the body. `id` numbers the
calls of one sender, so that an answer finds its call and never another one; `operation` is the id of the
business operation, which may be called again. The method comes first, so that whoever decodes the rest in
the same pass knows of which class the arguments are; any other order is understood too, less quickly.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Raw, Struct

from sandbox.errors import Malformed
from sandbox.exchange.codec import JSON, Codec
from sandbox.exchange.schema import UNREADABLE, Whole

#: Bytes before each frame that give its length, unsigned, most significant first.
LENGTH = 4
#: Room in a frame for what stands around a body.
HEADER = 4096
_NOTHING = Raw(b"")


class Request(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One call. With `cast` nobody waits for an answer, and none is sent."""

    method: Annotated[str, Meta(max_length=100)]
    id: Whole
    operation: Whole
    version: Annotated[str, Meta(max_length=20)]
    args: Raw
    cast: bool = False


class Reply(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """The answer to one call: a result, or the kind and the reason of an error, or neither (it is done)."""

    id: Whole
    result: Raw = _NOTHING
    error: Annotated[str, Meta(max_length=100)] = ""
    reason: Annotated[str, Meta(max_length=1000)] = ""


class _Numbered(Struct, frozen=True):
    id: Whole


class Readers(NamedTuple):
    """What reads frames of one codec: each raises one of `schema.UNREADABLE`, or returns what it found."""

    request: Callable[[bytes], Request]
    reply: Callable[[bytes], Reply]
    numbered: Callable[[bytes], _Numbered]


@functools.cache
def readers(codec: Codec) -> Readers:
    """The readers for a codec."""
    return Readers(codec.decoder(Request), codec.decoder(Reply), codec.decoder(_Numbered))


# Only for encoding, with the value itself in place of its JSON: one pass over it instead of two.
_request: Callable[..., Request] = Request
_reply: Callable[..., Reply] = Reply
_length = struct.Struct(">I").unpack_from
#: a codec's way to write
Encode = Callable[[Any], bytes]
_json, _from_json = JSON.encode, readers(JSON)


def framed(data: bytes) -> bytes:
    """`data` with its length in front."""
    return len(data).to_bytes(LENGTH, "big") + data


def pack_request(
    number: int, operation: int, method: str, version: str, args: Struct, cast: bool = False, encode: Encode = _json
) -> bytes:
    """The frame of a call."""
    data = encode(_request(method, number, operation, version, args, cast))
    return len(data).to_bytes(LENGTH, "big") + data


def pack_result(number: int, result: Struct, encode: Encode = _json) -> bytes:
    """The frame of an answer."""
    return framed(encode(_reply(number, result)))


def pack_done(number: int, encode: Encode = _json) -> bytes:
    """The frame that says: done."""
    data = encode(Reply(number))
    return len(data).to_bytes(LENGTH, "big") + data


def pack_error(number: int, kind: str, reason: str, encode: Encode = _json) -> bytes:
    """The frame of an error; the reason is cut to what a reply may carry."""
    text = reason.encode("utf-8", "replace").decode()[:1000]
    return framed(encode(Reply(number, error=kind[:100], reason=text)))


def unpack_request(data: bytes, read: Readers = _from_json) -> Request:
    """The request in a frame, or `Malformed`."""
    try:
        return read.request(data)
    except UNREADABLE as error:
        raise Malformed(f"not a request: {str(error)[:200]}") from None


def unpack_reply(data: bytes, read: Readers = _from_json) -> Reply:
    """The reply in a frame, or `Malformed`. Whoever reads many in a row uses `Readers.reply`."""
    try:
        return read.reply(data)
    except UNREADABLE as error:
        raise Malformed(f"not a reply: {str(error)[:200]}") from None


def number_of(data: bytes, read: Readers = _from_json) -> int | None:
    """The call's number in a frame that is no request, so that its sender can be told; None: there is none."""
    try:
        return read.numbered(data).id
    except UNREADABLE:
        return None


class Frames:
    """Cuts a stream into frames. Holds an incomplete one back until the rest of it has come.

    `broken` says why the stream cannot be followed any further. A length beyond `limit` breaks it, before
    a byte of that frame is kept; nothing is ever allocated because of a length alone.
    """

    def __init__(self, limit: int) -> None:
        self.broken = ""
        self._limit = limit
        self._rest = bytearray()
        self._needed = 0

    @property
    def unfinished(self) -> int:
        """Bytes held back of a frame whose rest has not come."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes that have arrived; the frames that are complete now."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        found: list[bytes] = []
        start, size = LENGTH, len(data)
        self._needed = LENGTH
        while start <= size:
            (length,) = _length(data, start - LENGTH)
            end = start + length
            if length > self._limit:
                self.broken = f"a frame of {length} bytes; at most {self._limit} are taken"
                return found
            if end > size:
                self._needed = LENGTH + length
                break
            found.append(data[start:end])
            start = end + LENGTH
        if start - LENGTH < size:
            self._rest += data[start - LENGTH :]
        return found
