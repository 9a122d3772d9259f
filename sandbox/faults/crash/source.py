"""Which source is the channel's own, and how its lines are called and shown."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import linecache
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from sandbox.channel import Channel

#: what every channel stands on: nothing there is its own
_COMMON = ("sandbox.channel", "sandbox.minimal", "abc", "builtins", "typing")
#: what cloudpickle writes in the place of a file name
_BY_VALUE = "<dynamic-code>"
_CELL = re.compile(r"ipykernel_\d+|^<ipython-input|^<stdin>")


@dataclasses.dataclass(frozen=True)
class Own:
    """Whose source it is. A value that travels to participants.

    files    single files, cells of a notebook among them
    folders  with all that is in them
    codes    of code that travels by value, which forgets its file on the way: name and first line -> file
    """

    files: frozenset[str]
    folders: tuple[str, ...] = ()
    codes: Mapping[tuple[str, int], str] = dataclasses.field(default_factory=dict)

    def file_of(self, code: CodeType) -> str | None:
        """The file of some code, if it is the channel's own."""
        file = code.co_filename
        if file in self.files or file.startswith(self.folders):
            return file
        return self.codes.get((code.co_qualname, code.co_firstlineno)) if file == _BY_VALUE else None


def own_source(channel: Channel) -> Own:
    """The source of a channel: the folder of its style, the file, or the notebook's cells that it is written in.

    A channel that wraps another has both as its own.
    """
    folders: set[str] = set()
    codes: list[CodeType] = []
    for kind in _kinds(channel):
        module = sys.modules.get(kind.__module__)
        package, path = getattr(module, "__package__", "") or "", getattr(module, "__file__", None)
        if path and package not in ("", "sandbox") and kind.__module__ != "__main__":
            folders.add(f"{Path(path).parent}/")
        else:
            codes += _codes(kind)
    files = {code.co_filename for code in codes}
    by_name = {(code.co_qualname, code.co_firstlineno): code.co_filename for code in codes}
    return Own(frozenset(files), tuple(sorted(folders)), by_name)


def _kinds(channel: Channel) -> Iterator[type]:
    yield from (kind for kind in type(channel).__mro__ if kind.__module__ not in _COMMON)
    if dataclasses.is_dataclass(channel):
        for field in dataclasses.fields(channel):
            if isinstance(inner := getattr(channel, field.name), Channel):
                yield from _kinds(inner)


def _codes(kind: type) -> Iterator[CodeType]:
    """The code of a class, and of what stands beside it in its module: its ends, its helpers."""
    functions = [function for function in map(_function, vars(kind).values()) if function is not None]
    beside = {id(thing): thing for function in functions for thing in list(function.__globals__.values())}
    for thing in beside.values():
        if getattr(thing, "__module__", None) == kind.__module__:
            members = vars(thing).values() if inspect.isclass(thing) else [thing]
            functions += [function for function in map(_function, members) if function is not None]
    for function in functions:
        if function.__module__ == kind.__module__ and not function.__code__.co_filename.startswith("<string>"):
            yield from _nested(function.__code__)


def _function(member: Any) -> FunctionType | None:
    inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    function = inspect.unwrap(inner) if callable(inner) else inner
    return function if isinstance(function, FunctionType) else None


def _nested(code: CodeType) -> Iterator[CodeType]:
    """Some code, and that of the functions, generators and comprehensions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


class Names:
    """Short names of files, each its own: "file_share/folders.py"; of a notebook "cell", "cell 2", ..."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, file: str) -> str:
        """The name of a file; files that are new are named in the order in which they are asked for."""
        if file not in self._names:
            if _CELL.search(file):
                short = "cell"
            else:
                path = Path(file)
                short = f"{path.parent.name}/{path.name}" if (path.parent / "__init__.py").exists() else path.name
            taken = set(self._names.values())
            numbered = (short if number == 1 else f"{short} {number}" for number in range(1, len(taken) + 2))
            self._names[file] = next(name for name in numbered if name not in taken)
        return self._names[file]


def line_of(file: str, number: int) -> str:
    """The text of a line; empty where the source is not to be had."""
    return linecache.getline(file, number).rstrip()


@functools.lru_cache(256)
def _functions(file: str) -> list[tuple[int, int]]:
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:  # a cell with magic commands in it
        return []
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.lineno, node.end_lineno or node.lineno) for node in found]


def surroundings(file: str, number: int) -> tuple[int, int]:
    """First and last line of the function that a line is in; of a line in none, a few lines around it."""
    around = [span for span in _functions(file) if span[0] <= number <= span[1]]
    if around:
        return max(around)
    return max(1, number - 2), number + 2
