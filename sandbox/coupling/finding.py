"""Changes and cells by name; a change of one's own is named by its file, ``path/to/mine.py``."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.catalogue import module_of
from sandbox.coupling.change import Change, Facet, Order
from sandbox.coupling.trial import catalogue, changes_in
from sandbox.errors import BadArgument

PRACTICE = "practice"


@dataclass(frozen=True)
class Found:
    """A change, and the option by which the command line finds it again ("" for one of the package)."""

    change: type[Change]
    options: str = ""


def find_changes(named: Iterable[str | type[Change]] | None) -> list[Found]:
    """The changes that names, files and classes say; without any, the whole catalogue.

    Raises `BadArgument`: with the nearest name; for a change without a title or a facet; for one that is in no list.
    """
    if named is None:
        return [Found(change) for change in catalogue().values()]
    check_list("changes", named)
    found = [each for one in named for each in _find(one)]
    names = [each.change.name() for each in found]
    if len(set(names)) != len(names):
        raise BadArgument("changes", expected="all different", got=names)
    if not found:
        raise BadArgument("changes", expected="at least one", got=list(names))
    return found


def check_list(what: str, named: Iterable[object]) -> None:
    """Raise `BadArgument` for one by itself: a text would be read letter by letter."""
    if isinstance(named, str) or not isinstance(named, Iterable):
        raise BadArgument(what, expected="a list, also of a single one", got=named)


def nearest(what: str, name: str, known: Iterable[str], otherwise: str = "") -> BadArgument:
    """The error that an unknown name deserves."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}?" if near else otherwise
    return BadArgument(what, expected="one of " + ", ".join(known), got=name, hint=hint)


def read_cell(name: str, changes: Iterable[Found]) -> tuple[Found, str, Order, bool]:
    """``rename_field/streams/sender_first/practice`` -> change, channel, order, with the best practice or without."""
    parts = name.strip("/").split("/")
    practised = parts[-1] == PRACTICE
    if practised:
        parts.pop()
    if len(parts) < 3:
        raise BadArgument("cell", expected="CHANGE/CHANNEL/ORDER[/practice]", got=name)
    change, *channel, order = parts
    known = {each.change.name(): each for each in changes}
    if change not in known:
        raise nearest("change", change, known, "One of your own is named by its file: --changes path/to/mine.py")
    if order not in list(Order):
        raise nearest("order", order, [str(each) for each in Order])
    return known[change], "/".join(channel), Order(order), practised


def _find(named: str | type[Change]) -> list[Found]:
    if not isinstance(named, str):
        if isinstance(named, type) and issubclass(named, Change):
            return [Found(_complete(named))]
        raise BadArgument("change", expected="a name, a file or a Change class", got=named)
    if named.endswith(".py"):
        return [Found(change, f" --changes {shlex.quote(named)}") for change in _from_file(Path(named))]
    if named not in catalogue():
        raise nearest("change", named, catalogue(), "One of your own is named by its file: path/to/mine.py")
    return [Found(catalogue()[named])]


def _from_file(file: Path) -> list[type[Change]]:
    found = changes_in(module_of(file, "change"))
    if not found:
        raise BadArgument("change file", expected="a subclass of Change in it", got=str(file))
    return [_complete(change) for change in found]


def _complete(change: type[Change]) -> type[Change]:
    title, facet = getattr(change, "title", None), getattr(change, "facet", None)
    if not title or facet not in list(Facet):
        expected = "a title, and a facet that is one of " + ", ".join(f"Facet.{each.name}" for each in Facet)
        raise BadArgument(f"change {change.name()}", expected=expected, got=(title, facet))
    return change
