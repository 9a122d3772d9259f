"""Which faults there are: found by looking into this folder, so no list needs editing.

A fault from elsewhere is named by its file, ``path/to/mine.py`` or ``path/to/mine.py:Mine``.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import pkgutil
from typing import Any

from sandbox.catalogue import classes_in, in_file
from sandbox.catalogue import find as find_channel
from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.faults.fault import Fault

#: the kinds, in the order in which tables show them
KINDS = ("process", "server", "network", "disk", "lock", "message")


@functools.cache
def faults() -> dict[str, type[Fault]]:
    """Name -> class of every fault in the package, kind by kind."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [kind for module in modules for kind in classes_in(module, Fault)]
    return {kind.name(): kind for kind in sorted(found, key=lambda kind: (KINDS.index(kind.kind), kind.name()))}


def applicable(channel: str | type[Channel] | Channel) -> dict[str, str]:
    """Name of every fault -> why a channel cannot have it; "" for those that it can have."""
    value = find_channel(channel)
    return {fault.name(): fault.why_not(value) for fault in every_fault()}


def every_fault() -> list[Fault]:
    """One of each, with its knobs as they come; not those that have to be told something (`Restart`: whom)."""
    return [kind() for kind in faults().values() if _stands_alone(kind)]


def _stands_alone(kind: type[Fault]) -> bool:
    parameters = inspect.signature(kind).parameters.values()
    return all(parameter.default is not parameter.empty for parameter in parameters)


def find_fault(named: str | type[Fault] | Fault, **knobs: Any) -> Fault:
    """The fault that a name, a class, a file or a value names, with knobs set.

    Raises `BadArgument` with the nearest name, or with the knobs that there are.
    """
    if isinstance(named, Fault):
        return dataclasses.replace(named, **knobs) if knobs else named  # type: ignore[type-var]
    if isinstance(named, str):
        kind = in_file(named, Fault, "fault") if ".py" in named else _by_name(named)
    elif inspect.isclass(named) and issubclass(named, Fault):
        kind = named
    else:
        raise BadArgument("fault", expected="a name, a file, a fault class or a fault", got=named)
    known = list(inspect.signature(kind).parameters)
    for knob in knobs:
        if knob not in known:
            raise BadArgument(f"knob of {kind.name()}", expected="one of " + (", ".join(known) or "none"), got=knob)
    return kind(**knobs)


def _by_name(name: str) -> type[Fault]:
    known = faults()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}?" if near else "A fault of your own is named by its file: path/to/mine.py"
    raise BadArgument("fault", expected="one of " + ", ".join(known), got=name, hint=hint)
