"""Which channels there are: found by looking into the four style folders, so no list needs editing.

A channel from elsewhere is named by its file, ``path/to/mine.py`` or ``path/to/mine.py:Mine``.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.floor import Floor

T = TypeVar("T")

#: the styles, in the order in which tables and charts show them
STYLES = ("file_share", "db_share", "rpc", "messaging")


def _modules() -> list[ModuleType]:
    modules = [importlib.import_module("sandbox.null")]
    for style in STYLES:
        package = importlib.import_module(f"sandbox.{style}")
        modules += [
            importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)
        ]
    return modules


def classes_in(module: ModuleType, base: type[T]) -> list[type[T]]:
    """The concrete subclasses of `base` that a module defines itself."""
    return [
        found
        for found in vars(module).values()
        if inspect.isclass(found)
        and issubclass(found, base)
        and not inspect.isabstract(found)
        and found.__module__ == module.__name__
    ]


@functools.cache
def catalogue() -> dict[str, type[Channel]]:
    """Title -> class of every channel in the package, style by style."""
    return {found.title(): found for module in _modules() for found in classes_in(module, Channel)}  # type: ignore[type-abstract]


@functools.cache
def floors() -> dict[str, Floor]:
    """Title of a channel -> the floor under it."""
    return {found.channel: found() for module in _modules() for found in classes_in(module, Floor)}  # type: ignore[type-abstract]


def sound_channels() -> list[Channel]:
    """One of each channel that is meant to hold in production, with its knobs as they come."""
    return [kind() for kind in catalogue().values() if kind.sound]


def find(named: str | type[Channel] | Channel, **knobs: Any) -> Channel:
    """The channel that a title, a class, a file or a value names, with knobs set.

    Raises `BadArgument` with the nearest title, or with the knobs that there are.
    """
    if isinstance(named, Channel):
        return dataclasses.replace(named, **knobs) if knobs else named  # type: ignore[type-var]
    if isinstance(named, str):
        kind = _from_file(named) if ".py" in named else _by_title(named)
    elif inspect.isclass(named) and issubclass(named, Channel):
        kind = named
    else:
        raise BadArgument("channel", expected="a title, a file, a channel class or a channel", got=named)
    known: list[str] = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    for knob in knobs:
        if knob not in known:
            raise BadArgument(f"knob of {kind.title()}", expected="one of " + (", ".join(known) or "none"), got=knob)
    return kind(**knobs)


def adjusted(channel: Channel, **knobs: Any) -> Channel:
    """The channel with these knobs, as far as it has them."""
    known = {field.name for field in dataclasses.fields(channel)} if dataclasses.is_dataclass(channel) else set[str]()
    return find(channel, **{knob: value for knob, value in knobs.items() if knob in known})


def _by_title(title: str) -> type[Channel]:
    known = catalogue()
    if title in known:
        return known[title]
    near = difflib.get_close_matches(title, known, 1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}?" if near else "A channel of your own is named by its file: path/to/mine.py"
    raise BadArgument("channel", expected="one of " + ", ".join(known), got=title, hint=hint)


def _from_file(named: str) -> type[Channel]:
    return in_file(named, Channel, "channel")  # type: ignore[type-abstract]


def in_file(named: str, base: type[T], what: str) -> type[T]:
    """The subclass of `base` in a file, ``path/to/mine.py``, or ``path/to/mine.py:Mine`` where there are several.

    Raises `BadArgument`, which calls it a `what`.
    """
    path, _, name = named.partition(":")
    module = module_of(Path(path), what)
    found = {kind.__name__: kind for kind in classes_in(module, base)}
    if name in found:
        return found[name]
    if not name and len(found) == 1:
        return next(iter(found.values()))
    raise BadArgument(f"{what} in {path}", expected="one of " + (", ".join(found) or "(the file has none)"), got=name)


def module_of(file: Path, what: str) -> ModuleType:
    """The module in a file, executed anew; what it defines travels to participants by value.

    Raises `BadArgument`, which calls it a `what`, for one that is not there, that cannot be executed, or that would
    stand in the way of a module of Python's own, which has the same name.
    """
    if not file.is_file():
        raise BadArgument(f"{what} file", expected="a Python file that exists", got=str(file))
    if file.stem in sys.stdlib_module_names:
        expected = f"another name than {file.stem}, which is a module of Python's own"
        raise BadArgument(f"{what} file", expected=expected, got=str(file), hint="Rename it.")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is somebody's own code, and may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == file.absolute()]
        where = f" (line {lines[-1]})" if lines else ""
        got = f"{type(error).__name__}: {error}{where}"
        raise BadArgument(f"{what} file {file}", expected="Python that can be executed", got=got) from error
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)  # participants do not have the file on their path
    return module
