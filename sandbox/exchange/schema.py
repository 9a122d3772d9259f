"""The exchange: what the parties say to each other, declared once.

Each message is a small class with typed fields. A style renders it natively from this one
declaration: columns of a table, arguments of a method, fields of a document or of an event.

    tell    ImageDownloaded           image service -> metering (and whoever else listens)
    ask     CreateVolume              compute -> volume service; answered VolumeCreated or OverQuota
    share   SetState, GetState        one node of the volume service writes, the others read
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from sandbox.errors import ALLOWED_REFUSALS, BadArgument, Malformed, Refusal, RemoteError, UnknownMessage
from sandbox.exchange.codec import JSON, Codec

#: A whole number that JSON, SQL and a journal record all hold exactly.
Whole = Annotated[int, Meta(ge=0, le=2**53 - 1)]
#: Free text that comes with a message; the workload uses it to reach a payload size.
Metadata = Annotated[str, Meta(max_length=1 << 20)]
#: Cinder's states that this exchange uses.
State = Literal["creating", "available", "reserved", "attaching", "in-use", "detaching", "deleting", "error"]


class Verb(StrEnum):
    """The three ways to talk."""

    TELL = "tell"
    ASK = "ask"
    SHARE = "share"


class ImageDownloaded(Struct, frozen=True, forbid_unknown_fields=True):
    """An image was downloaded: `bytes_sent` bytes, to be billed to `project`."""

    image: Whole
    project: Whole
    bytes_sent: Whole
    metadata: Metadata = ""


class CreateVolume(Struct, frozen=True, forbid_unknown_fields=True):
    """Create a volume of `size_gb` GB (10**9 bytes) for `project`."""

    volume: Whole
    project: Whole
    size_gb: Whole
    metadata: Metadata = ""


class VolumeCreated(Struct, frozen=True, forbid_unknown_fields=True):
    """The volume exists on `host`."""

    volume: Whole
    host: Annotated[str, Meta(max_length=100)]


class SetState(Struct, frozen=True, forbid_unknown_fields=True):
    """Volume `volume` is now in `state`; `version` counts its writes from 1."""

    volume: Whole
    state: State
    version: Whole
    metadata: Metadata = ""


class GetState(Struct, frozen=True, forbid_unknown_fields=True):
    """What is the state of `volume`?"""

    volume: Whole


class VolumeState(Struct, frozen=True, forbid_unknown_fields=True):
    """The state of a volume as one reader sees it; compare `version` to tell how stale it is."""

    volume: Whole
    state: State
    version: Whole
    metadata: Metadata = ""


class Message(Struct, frozen=True):
    """One entry of a schema: a name, its verb, the class of its body and of its answer.

    state   of a message that reads shared state: what that state is called, for a table or a file
    """

    name: str
    verb: Verb
    body: type[Struct]
    answer: type[Struct] | None = None
    state: str = ""

    def columns(self) -> dict[str, type]:
        """Field name -> `int` or `str`, in order of declaration: for tables and signatures."""
        return _columns(self.body)

    def answer_columns(self) -> dict[str, type]:
        """The same for the answer; empty for a message that nobody answers."""
        return _columns(self.answer) if self.answer else {}


class Operation(Struct, frozen=True):
    """One message on its way: an id unique within the run, the message's name, its body."""

    id: int
    message: str
    body: Struct


class Schema:
    """What one party believes the messages look like. Two parties may hold different ones.

    Encodes bodies and answers with its codec; decoding validates against the declared types and raises
    `Malformed` with the place and the reason. Nothing is ever unpickled. What a channel puts around a
    body it writes with the same codec; columns of a table have none.

    encode  a body or an answer as bytes: the codec's own, so that nothing stands between
    """

    def __init__(self, messages: Iterable[Message], version: str = "1.0", codec: Codec = JSON) -> None:
        self.version, self.codec = version, codec
        self.messages = {message.name: message for message in messages}
        self.encode: Callable[[Struct], bytes] = codec.encode
        self._bodies = {m.name: codec.decoder(m.body) for m in self.messages.values()}
        self._answers = {m.name: codec.decoder(m.answer) for m in self.messages.values() if m.answer}
        self._refused = codec.decoder(_Refused)

    def __reduce__(self) -> tuple[Any, ...]:
        return Schema, (tuple(self.messages.values()), self.version, self.codec)

    def message(self, name: str) -> Message:
        """The entry called `name`, or `UnknownMessage`."""
        try:
            return self.messages[name]
        except KeyError:
            known = ", ".join(self.messages)
            raise UnknownMessage(f"no message {name[:80]!r} in schema {self.version}; it has: {known}") from None

    def of_verb(self, verb: Verb) -> list[Message]:
        """The messages of one verb, in order of declaration."""
        return [m for m in self.messages.values() if m.verb is verb]

    def check(self, operation: Operation) -> None:
        """Raise `BadArgument` unless the operation fits this schema (types and ranges included)."""
        body = self.message(operation.message).body
        if not isinstance(operation.body, body):
            raise BadArgument(operation.message, expected=f"a body of class {body.__name__}", got=operation.body)
        try:
            msgspec.convert(msgspec.structs.asdict(operation.body), body)
        except msgspec.ValidationError as error:
            raise BadArgument(operation.message, expected=f"a valid {body.__name__}", got=str(error)) from None

    def decode(self, name: str, data: bytes | memoryview | str) -> Struct:
        """The body of message `name`; `UnknownMessage` or `Malformed` with the reason."""
        try:
            body: Struct = self._bodies[name](data)
        except KeyError:
            self.message(name)
            raise
        except UNREADABLE as error:
            raise Malformed(f"not a {name} of schema {self.version}: {error}") from None
        return body

    def convert(self, name: str, fields: dict[str, Any]) -> Struct:
        """The body of message `name` from columns or arguments; errors as in `decode`."""
        return _convert(fields, self.message(name).body, f"not a {name} of schema {self.version}")

    def convert_answer(self, name: str, fields: dict[str, Any]) -> Struct:
        """The answer to message `name` from columns; errors as in `decode`."""
        answer = self.message(name).answer
        if answer is None:
            raise Malformed(f"{name} has no answer in schema {self.version}")
        return _convert(fields, answer, f"not an answer to {name} of schema {self.version}")

    def encode_answer(self, result: Struct | Refusal) -> bytes:
        """An answer as bytes; a refusal as ``{"refused": kind, "reason": text}``."""
        if isinstance(result, Refusal):
            return self.encode(_Refused(type(result).__name__, str(result)[:1000]))
        return self.encode(result)

    def decode_answer(self, name: str, data: bytes | memoryview | str) -> Struct | Refusal:
        """An answer to message `name`, or the refusal that came instead; errors as in `decode`."""
        decode = self._answers.get(name)
        if decode is None:
            raise Malformed(f"{name} has no answer in schema {self.version}")
        try:
            answer: Struct = decode(data)
            return answer
        except UNREADABLE as error:
            try:
                refused = self._refused(data)
            except UNREADABLE:
                raise Malformed(f"not an answer to {name} of schema {self.version}: {error}") from None
            return refusal(refused.refused, refused.reason)


#: what decoding hostile bytes may raise; deeply nested input is a RecursionError
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Refused(Struct, frozen=True, forbid_unknown_fields=True):
    refused: Annotated[str, Meta(max_length=100)]
    reason: Annotated[str, Meta(max_length=1000)]


def refusal(kind: str, reason: str) -> Refusal:
    """The refusal of an allowed kind; any other kind arrives as `RemoteError` and keeps its name in the text."""
    allowed = ALLOWED_REFUSALS.get(kind)
    return allowed(reason) if allowed else RemoteError(f"{kind}: {reason}")


def _columns(struct: type[Struct]) -> dict[str, type]:
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    return {field.name: int if _is_number(field.type) else str for field in info.fields}


def _is_number(kind: msgspec.inspect.Type) -> bool:
    """Also one that may be absent (None), which a column holds as NULL."""
    if isinstance(kind, msgspec.inspect.UnionType):
        return all(isinstance(each, (msgspec.inspect.IntType, msgspec.inspect.NoneType)) for each in kind.types)
    return isinstance(kind, msgspec.inspect.IntType)


def _convert(fields: dict[str, Any], struct: type[Struct], complaint: str) -> Struct:
    try:
        return msgspec.convert(fields, struct)
    except msgspec.ValidationError as error:
        raise Malformed(f"{complaint}: {error}") from None


EXCHANGE = Schema(
    (
        Message("image_downloaded", Verb.TELL, ImageDownloaded),
        Message("create_volume", Verb.ASK, CreateVolume, VolumeCreated),
        Message("set_state", Verb.SHARE, SetState),
        Message("get_state", Verb.SHARE, GetState, VolumeState, "volume_state"),
    )
)
