"""Code on its way to a participant: what was written in a notebook cell or in a file of one's own travels by value.

cloudpickle does that for functions and plain classes. Here it learns msgspec's: a `Struct` class is taken apart into
its fields and made again on the other side, so that messages can be declared in a cell or a file, too.
"""

from __future__ import annotations

import io
import itertools
import types
from collections.abc import Mapping, Sequence
from typing import Any

import cloudpickle
import msgspec
from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo, fields

_META = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "title", "description")
_SETTINGS = (
    *("frozen", "eq", "order", "array_like", "gc", "omit_defaults", "repr_omit_defaults"),
    *("forbid_unknown_fields", "weakref", "dict", "cache_hash", "tag", "tag_field"),
)
_METHODS = (types.FunctionType, property, classmethod, staticmethod)


def dumps(value: Any) -> bytes:
    """The value as bytes for `pickle.loads`; only ever sent over the pipe to one's own participant."""
    target = io.BytesIO()
    _Pickler(target).dump(value)
    return target.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Meta):
            known = {name: getattr(value, name) for name in _META}
            return _made_meta, ({name: each for name, each in known.items() if each is not None},)
        if isinstance(value, type(Struct)) and _travels(value):
            # methods come in a second step: they may mention the class itself
            return _made_struct, _parts(value), _methods(value), None, None, _set_methods
        return super().reducer_override(value)


def _travels(kind: Any) -> bool:
    """Whether the other side cannot import it."""
    registered = cloudpickle.list_registry_pickle_by_value()
    return kind.__module__ == "__main__" or kind.__module__ in registered or "<locals>" in kind.__qualname__


# --- taken apart ----------------------------------------------------------------------------------


def _parts(kind: Any) -> tuple[Any, ...]:
    inherited = {field.name: field for base in kind.__bases__ if base is not Struct for field in fields(base)}
    own = [_field(field) for field in fields(kind) if inherited.get(field.name) != field]
    settings = {name: getattr(kind.__struct_config__, name) for name in _SETTINGS}
    return kind.__name__, kind.__qualname__, kind.__module__, kind.__bases__, own, settings


def _field(field: FieldInfo) -> tuple[str, Any, dict[str, Any]]:
    """Name, type, and the default or what makes it, where there is one."""
    known = {"name": field.encode_name} if field.encode_name != field.name else {}
    if field.default is not NODEFAULT:
        return field.name, field.type, {"default": field.default, **known}
    if field.default_factory is not NODEFAULT:
        return field.name, field.type, {"default_factory": field.default_factory, **known}
    return field.name, field.type, known


def _methods(kind: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(kind).items() if isinstance(value, _METHODS) or name == "__doc__"}


# --- and made again, on the other side --------------------------------------------------------------


def _made_meta(known: Mapping[str, Any]) -> Meta:
    return Meta(**known)


def _made_struct(
    name: str, qualname: str, module: str, bases: tuple[type, ...], own: Sequence[Any], settings: Mapping[str, Any]
) -> type:
    listed = [(field, kind, msgspec.field(**known)) if known else (field, kind) for field, kind, known in own]
    made = msgspec.defstruct(name, listed, bases=bases, module=module, kw_only=_mixed(own), **settings)
    made.__qualname__ = qualname
    return made


def _mixed(own: Sequence[Any]) -> bool:
    """Whether a field without a default follows one with: then all are given by name."""
    given = [bool({"default", "default_factory"} & known.keys()) for _, _, known in own]
    return any(earlier and not later for earlier, later in itertools.pairwise(given))


def _set_methods(made: type, methods: Mapping[str, Any]) -> None:
    for name, value in methods.items():
        setattr(made, name, value)
