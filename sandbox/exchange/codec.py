"""How a value becomes bytes, and bytes a value again: the same fields, written as text or in binary.

    json      text that everybody can read, also a person
    msgpack   the same maps, numbers and texts in fewer bytes, which only a program can read
    either    writes the first and reads both: for the time between, while not everybody has the new one yet

Neither of the two takes what the other wrote for a message: no JSON object begins as a msgpack map does, so
that mixed ends refuse each other and never misread - and one that knows both can tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import json, msgpack

from sandbox.errors import BadArgument

#: what encoding may raise: text that is not Unicode, a number beyond 64 bits (msgpack), a kind that has no form
UNWRITABLE = (UnicodeEncodeError, OverflowError, TypeError, msgspec.MsgspecError)


class _EitherDecoder:
    """Reads both: a text begins below 0x80, a map of msgpack does not."""

    def __init__(self, kind: Any) -> None:
        self._json, self._msgpack = json.Decoder(kind).decode, msgpack.Decoder(kind).decode

    def decode(self, data: Any) -> Any:
        text = isinstance(data, str) or memoryview(data)[:1].tobytes() < b"\x80"
        return self._json(data) if text else self._msgpack(data)


_MEDIA: dict[str, tuple[Any, Any]] = {
    "json": (json.Encoder, json.Decoder),
    "msgpack": (msgpack.Encoder, msgpack.Decoder),
    "either": (json.Encoder, _EitherDecoder),
}


class Codec:
    """One of them, by name; a value that travels to other processes.

    encode   value -> bytes; raises one of `UNWRITABLE`. An attribute, so that hot paths can hold on to it
    """

    def __init__(self, name: str = "json") -> None:
        """Raises `BadArgument` for a name that is not known."""
        if name not in _MEDIA:
            raise BadArgument("codec", expected=" or ".join(map(repr, _MEDIA)), got=name)
        encoder, self._decoder = _MEDIA[name]
        self.name = name
        self.encode: Callable[[Any], bytes] = encoder().encode

    def decoder(self, kind: Any) -> Callable[[Any], Any]:
        """A function that makes a value of this type of bytes, or raises one of `schema.UNREADABLE`. Make it once."""
        decode: Callable[[Any], Any] = self._decoder(kind).decode
        return decode

    def __reduce__(self) -> tuple[type[Codec], tuple[str]]:
        return Codec, (self.name,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codec) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Codec({self.name!r})"


JSON = Codec("json")
MSGPACK = Codec("msgpack")
EITHER = Codec("either")
