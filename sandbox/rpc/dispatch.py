"""From a request to the method it names, and from what the method says to a reply."""

from __future__ import annotations

import re

from msgspec import Struct

from sandbox.errors import ALLOWED_REFUSALS, Refusal, RemoteError, TooLarge, UnknownMessage, VersionMismatch
from sandbox.exchange.schema import Schema
from sandbox.rpc.framing import Request, pack_error, pack_result

_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")


def understand(request: Request, schema: Schema) -> Struct:
    """The validated arguments; `VersionMismatch`, `UnknownMessage` or `Malformed` when it cannot be called."""
    if request.version != schema.version:
        _check_version(request.version, schema.version)
    if request.method.startswith("_"):
        raise UnknownMessage(f"{request.method!r} is private: names that begin with _ are never called")
    return schema.decode(request.method, request.args)


def pack_answer(number: int, method: str, result: Struct | Refusal, schema: Schema, most: int) -> bytes:
    """The frame of an answer. A refusal of a kind that may not travel goes as `RemoteError`, its name in the text."""
    if isinstance(result, Refusal):
        kind = type(result).__name__
        if kind in ALLOWED_REFUSALS:
            return pack_error(number, kind, str(result))
        return pack_error(number, RemoteError.__name__, f"{kind}: {result}")
    frame = pack_result(number, result)
    if len(frame) > most:
        check_length(f"the answer to {method}", result, schema, most)
    return frame


def check_length(what: str, body: Struct, schema: Schema, most: int) -> None:
    """Raise `TooLarge` when a body, encoded, is longer than `most` bytes. Needless when its frame is not."""
    if (length := len(schema.encode(body))) > most:
        raise TooLarge(f"{what}: {length} bytes, at most {most}")


def _check_version(asked: str, spoken: str) -> None:
    """Same major, and a minor that is not newer: whoever speaks 1.4 understands all of 1.0 to 1.4."""
    ours, theirs = _VERSION.fullmatch(spoken), _VERSION.fullmatch(asked)
    if ours is None or theirs is None or int(ours[1]) != int(theirs[1]) or int(theirs[2]) > int(ours[2]):
        raise VersionMismatch(f"called in version {asked!r}, but {spoken} is spoken here (and older minors of it)")
