"""From a request to the method it names, and from what the method says to a reply."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, ClassVar, NoReturn, Union

import msgspec
from msgspec import Meta, Struct

from sandbox.errors import ALLOWED_REFUSALS, Malformed, Refusal, RemoteError, TooLarge, UnknownMessage, VersionMismatch
from sandbox.exchange.schema import Message, Schema, Whole
from sandbox.rpc.framing import Request, pack_error, pack_result

_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")


class Called(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A request of which the arguments are decoded too; every method has its own subclass.

    message       the method that is called
    acknowledged  whether nobody answers it, so that settling it tells its sender
    """

    id: Whole
    operation: Whole
    version: Annotated[str, Meta(max_length=20)]
    args: Struct
    cast: bool = False

    message: ClassVar[Message]
    acknowledged: ClassVar[bool]


def methods(schema: Schema) -> Callable[[bytes], Called]:
    """A decoder of requests to the methods of a schema, header and arguments in one pass.

    It raises one of `schema.UNREADABLE` for everything else; then `complain` knows the reason. Names that
    begin with _ are private: whatever the schema has, they are never called.
    """
    kinds = tuple(_kind(message) for message in schema.messages.values() if not message.name.startswith("_"))
    # msgspec takes the class from the "method" in the frame, out of these and no others
    return schema.codec.decoder(Union[kinds]) if kinds else _no_method  # noqa: UP007 - not known before


def _kind(message: Message) -> type[Called]:
    return msgspec.defstruct(  # type: ignore[return-value]  # typed as if it had no bases
        message.name,
        [("args", message.body)],
        bases=(Called,),
        namespace={"message": message, "acknowledged": message.answer is None},
        tag_field="method",
        tag=message.name,
        kw_only=True,
        gc=False,
    )


def _no_method(frame: bytes) -> NoReturn:
    raise msgspec.ValidationError("there is no method that could be called")


def complain(request: Request, schema: Schema) -> NoReturn:
    """Raise why a request cannot be called: `VersionMismatch`, `UnknownMessage` or `Malformed`."""
    if request.version != schema.version and not speaks(request.version, schema.version):
        spoken = f"{schema.version} is spoken here (and older minors of it)"
        raise VersionMismatch(f"called in version {request.version!r}, but {spoken}")
    if request.method.startswith("_"):
        raise UnknownMessage(f"{request.method!r} is private: names that begin with _ are never called")
    schema.decode(request.method, request.args)
    raise Malformed(f"not a request to {request.method}")


def pack_answer(number: int, method: str, result: Struct | Refusal, schema: Schema, most: int) -> bytes:
    """The frame of an answer. A refusal of a kind that may not travel goes as `RemoteError`, its name in the text."""
    encode = schema.codec.encode
    if isinstance(result, Refusal):
        kind = type(result).__name__
        if kind in ALLOWED_REFUSALS:
            return pack_error(number, kind, str(result), encode)
        return pack_error(number, RemoteError.__name__, f"{kind}: {result}", encode)
    frame = pack_result(number, result, encode)
    if len(frame) > most:
        check_length(f"the answer to {method}", result, schema, most)
    return frame


def check_length(what: str, body: Struct, schema: Schema, most: int) -> None:
    """Raise `TooLarge` when a body, encoded, is longer than `most` bytes. Needless when its frame is not."""
    if (length := len(schema.encode(body))) > most:
        raise TooLarge(f"{what}: {length} bytes, at most {most}")


def speaks(asked: str, spoken: str) -> bool:
    """Same major, and a minor that is not newer: whoever speaks 1.4 understands all of 1.0 to 1.4."""
    ours, theirs = _VERSION.fullmatch(spoken), _VERSION.fullmatch(asked)
    return ours is not None and theirs is not None and int(ours[1]) == int(theirs[1]) and int(theirs[2]) <= int(ours[2])
