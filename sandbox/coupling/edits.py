"""What had to be edited where: both versions in full, and the difference counted by the machine.

A release is the messages it declares, the classes of their bodies, and its speaker (at the sender) or listener (at
the receiver). Counted are lines of source, as `difflib` pairs them; in the medium, the statements that were executed.
"""

from __future__ import annotations

import difflib
import inspect
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from sandbox.coupling.change import Body, Change, Order
from sandbox.coupling.rollout import releases
from sandbox.exchange.release import Release
from sandbox.exchange.schema import Message


@dataclass(frozen=True)
class Lines:
    """Lines of source at one place: added, removed, and written beforehand (the tolerance of the old version)."""

    added: int = 0
    removed: int = 0
    beforehand: int = 0

    @property
    def total(self) -> int:
        """Lines that somebody had to touch."""
        return self.added + self.removed + self.beforehand

    def __str__(self) -> str:
        text = f"+{self.added} -{self.removed}"
        return f"{text} (and +{self.beforehand} beforehand)" if self.beforehand else text


@dataclass(frozen=True)
class Edits:
    """What one roll-out took: lines at the sender and at the receiver, statements in the medium."""

    sender: Lines
    receiver: Lines
    medium: tuple[str, ...] = ()

    def figures(self) -> tuple[int, int, int]:
        """Lines at the sender, lines at the receiver, statements in the medium."""
        return self.sender.total, self.receiver.total, len(self.medium)

    def __str__(self) -> str:
        return f"sender {self.sender}, receiver {self.receiver}, medium {len(self.medium)} statements"


@dataclass(frozen=True)
class Version:
    """The two versions of one party in full."""

    before: str
    after: str
    lines: Lines

    @property
    def diff(self) -> str:
        """From the one to the other, as a unified diff; "" when nothing differs."""
        before, after = self.before.splitlines(), self.after.splitlines()
        return "\n".join(difflib.unified_diff(before, after, "before", "after", lineterm="", n=2))


def edits(change: type[Change], practised: bool, migrated: Sequence[str] = ()) -> Edits:
    """Counted for one cell; `migrated`: the statements that were really executed."""
    sender, receiver = versions(change, practised)
    return Edits(sender.lines, receiver.lines, tuple(migrated))


_versions: dict[tuple[type[Change], bool], tuple[Version, Version]] = {}
#: `inspect.getsource` parses, and in Python 3.11 two threads that parse at once may end in a SystemError
_reading = threading.Lock()


def versions(change: type[Change], practised: bool) -> tuple[Version, Version]:
    """The sender's two versions and the receiver's, as they are with the best practice or without."""
    with _reading:
        known = _versions.get((change, practised))
        if known is None:
            old, new = releases(change(Order.SENDER_FIRST, practised))
            names = _differing(change.before, new) or [message.name for message in old.schema.of_verb(change.verb)]
            known = (
                _version(change.before, old, new, names, "speaker"),
                _version(change.before, old, new, names, "listener"),
            )
            _versions[change, practised] = known
    return known


def _version(plain: Release, old: Release, new: Release, names: Sequence[str], side: str) -> Version:
    before, after, first = (source(release, names, side) for release in (old, new, plain))
    added, removed = _count(before, after)
    return Version(before, after, Lines(added, removed, _count(first, before)[0]))


def source(release: Release, names: Sequence[str], side: str) -> str:
    """The source of what a release has for some messages, at one side ("speaker" or "listener")."""
    messages = [release.schema.messages[name] for name in names if name in release.schema.messages]
    kinds = [kind for message in messages for kind in (message.body, message.answer) if kind is not None]
    classes = dict.fromkeys(each for kind in [*kinds, getattr(release, side)] for each in _lineage(kind))
    declared = [_declared(message) for message in messages]
    head = [f"schema = Schema(version={release.schema.version!r}, codec={release.schema.codec.name!r})", *declared]
    return "\n".join(head) + "\n\n\n" + "\n\n".join(_source(each) for each in classes)


def _differing(old: Release, new: Release) -> list[str]:
    """Names of the messages that one of them has otherwise, or has not."""
    names = dict.fromkeys([*old.schema.messages, *new.schema.messages])
    return [name for name in names if old.schema.messages.get(name) != new.schema.messages.get(name)]


def _declared(message: Message) -> str:
    answer = f", answered {message.answer.__name__}" if message.answer else ""
    return f"{message.verb}  {message.name}: {message.body.__name__}{answer}"


def _lineage(kind: type) -> list[type]:
    """A class and what it inherits of the project's own, the ancestor first."""
    own = [
        each
        for each in kind.__mro__
        if each not in (object, Struct, Body) and not each.__module__.startswith("msgspec")
    ]
    return own[::-1]


def _source(kind: type) -> str:
    try:
        return textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):  # written in a notebook that is gone, or made by a function
        return f"class {kind.__qualname__}: ...  # its source cannot be had\n"


def _count(before: str, after: str) -> tuple[int, int]:
    added = removed = 0
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if line[2:].strip():
            added += line.startswith("+ ")
            removed += line.startswith("- ")
    return added, removed
