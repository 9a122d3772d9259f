"""From what was done, in its order: was it flushed before it was accepted?

An operation is known by a word in its text, and looked for in all that is written. A file that holds it is safe when

    it was flushed (fsync, fdatasync, or opened so that writing flushes) after the last write that holds the word, and
    each name that it was given while we looked was flushed as well: the folder, after the name was given

One safe file is enough: a database writes what it has promised to its log and to its tables, and flushes the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.exchange.schema import Verb
from sandbox.faults.power_cut.calls import Event, File
from sandbox.guarantees import Acceptor

FLUSHED = "flushed before it was accepted"
NOT_FLUSHED = "accepted before it was flushed"
NOTHING_STORED = "accepted, and nothing of it was written to a file"
_NOT_TRACED = "cannot be traced here: "
#: lines of evidence that are kept
_LINES = 40


@dataclass(frozen=True)
class PowerCut:
    """What a power cut would do to what a channel has accepted, seen by tracing (Linux).

    answer    `FLUSHED`, `NOT_FLUSHED`, `NOTHING_STORED`, or "cannot be traced here: " and why
    declared  who has accepted it, as the channel says
    evidence  what was done to the operation that shows it, in its order
    seen      of how many operations it was seen;  flushed: of those, how many were flushed before
    """

    channel: str
    verb: Verb
    answer: str
    declared: Acceptor
    evidence: tuple[str, ...] = ()
    seen: int = 0
    flushed: int = 0

    label = "by tracing, Linux"

    @classmethod
    def untraced(cls, channel: str, verb: Verb, declared: Acceptor, reason: str) -> PowerCut:
        """It could not be seen, and why."""
        return cls(channel, verb, _NOT_TRACED + reason, declared)

    @property
    def traced(self) -> bool:
        """Whether it could be seen."""
        return not self.answer.startswith(_NOT_TRACED)

    @property
    def lie(self) -> str:
        """Where the channel declares more than was seen; "" when it does not, or when nothing could be seen."""
        if not self.traced or self.declared is not Acceptor.DISK or self.answer == FLUSHED:
            return ""
        return f"{self.channel}, {self.verb}: declared to be accepted by {self.declared}, but it was {self.answer}"

    @property
    def modest(self) -> bool:
        """Whether it keeps more than it declares: no promise is broken, and nobody may rely on it."""
        return self.answer == FLUSHED and self.declared is not Acceptor.DISK

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        more = ", which promises less" if self.modest else ""
        held = f"BREAKS ITS PROMISE: {self.lie}" if self.lie else f"{self.answer}; declared: by {self.declared}{more}"
        return f"Power cut ({self.label}), {self.channel}, {self.verb}: {held}."

    def __str__(self) -> str:
        lines = [f"{self.channel}, {self.verb} ({self.label}): {self.answer}"]
        if self.seen:
            lines[0] += f" ({self.flushed} of {self.seen} flushed before)"
        return "\n".join([*lines, *(f"  {line}" for line in self.evidence), *filter(None, [self.lie])])


@dataclass(frozen=True)
class Fate:
    """Of one operation. stored: whether it was ever written to a file; flushed: whether it was safe when accepted."""

    stored: bool
    flushed: bool
    evidence: tuple[str, ...]


class _Ledger:
    """What is not on disk yet, of the files that hold one operation and of the names of all."""

    def __init__(self, word: bytes) -> None:
        self._word = word
        self.dirty: dict[File, bool] = {}
        self._names: dict[File, dict[tuple[File | None, str], bool]] = {}

    def note(self, event: Event) -> bool:
        """Take one in; whether it concerns the operation."""
        file, name = event.file, (event.folder, Path(event.path).name)
        if event.what == "writes" and file is not None and self._word in event.data:
            self.dirty[file] = not event.forced
            return True
        if event.what == "names" and file is not None:
            self._names.setdefault(file, {})[name] = True
            return file in self.dirty
        if event.what == "unnames" and file is not None:
            self._names.get(file, {}).pop(name, None)
            return file in self.dirty
        return self._flush(file) if event.what == "flushes" else event.what == "sends" and self._word in event.data

    def safe(self) -> bool:
        """Whether one of the files that hold it is on disk, under each of its new names."""
        return any(not dirty and not any(self._names.get(file, {}).values()) for file, dirty in self.dirty.items())

    def _flush(self, flushed: File | None) -> bool:
        concerns = False
        for file in self.dirty:
            if flushed in (None, file):
                self.dirty[file], concerns = False, True
        for file, names in self._names.items():
            for name in names:
                if flushed is None or flushed == name[0]:
                    concerns = concerns or file in self.dirty
                    names[name] = False
        return concerns


def fate(events: Sequence[Event], word: bytes, accepted: bytes) -> Fate | None:
    """What became of the operation that is known by `word`, at the mark `accepted`; None: no such mark came."""
    ledger = _Ledger(word)
    lines: list[str] = []
    flushed = None
    for event in events:
        if event.what != "mark":
            if ledger.note(event) and flushed is None:
                lines.append(_line(event))
        elif event.data == accepted:
            lines.append(f"{event.process}: is told that it was accepted")
            flushed = ledger.safe()
    return None if flushed is None else Fate(bool(ledger.dirty), flushed, tuple(lines[-_LINES:]))


def _line(event: Event) -> str:
    if event.what == "sends":
        return f"{event.process}: sends it ({event.path})"
    if event.what == "writes":
        return f"{event.process}: writes it to {event.path}" + (", through to the disk" if event.forced else "")
    doing = {"flushes": "flushes", "names": "gives it the name", "unnames": "takes away the name"}[event.what]
    return f"{event.process}: {doing} {event.path}"


def answer_of(fates: Sequence[Fate]) -> tuple[str, Fate]:
    """The answer, and the operation that shows it: one that was not flushed, if there is any."""
    if not any(each.stored for each in fates):
        return NOTHING_STORED, fates[0]
    late = [each for each in fates if not each.flushed]
    return (NOT_FLUSHED, late[0]) if late else (FLUSHED, fates[0])
