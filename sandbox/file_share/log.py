"""One shared log behind a lock file: who has made the lock file may write and read, everybody else waits.

A message is a line of JSON at the end of the log. Each box (each group has one) has an offset file, which says up to
where its receivers have taken. The lock is a file that only one can make, because opening with O_EXCL fails when it is
there; unlocking deletes it. So no line is torn, and no line is taken twice.

How it fails: the lock outlives its holder. A process that is killed between locking and unlocking leaves the file, and
nobody can tell a dead holder from a slow one: senders report that they do not know, receivers find nothing,
for ever, until a person deletes the file. Who deletes it because it is old may break one that is held, and then two
write at once. Besides, a line is taken before its work is done: the work of a receiver that dies is lost.

`spool.py` mends it: there is no lock, every step is one rename, and what the dead had claimed lapses.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

import msgspec

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Backlog
from sandbox.exchange.schema import UNREADABLE, Schema
from sandbox.guarantees import Delivery, Order
from sandbox.minimal import Minimal
from sandbox.site import Site

#: bytes that are written at once: files grow by blocks, whoever writes them
BLOCK = 8192


class Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One line of the log: `data` where that is text, else `binary`, which is written as base64."""

    box: str
    data: str = ""
    binary: bytes = b""


_decode = msgspec.json.Decoder(Line).decode


@dataclass(frozen=True)
class Place:
    """The shared folder."""

    root: Path

    @property
    def log(self) -> Path:
        """The log."""
        return self.root / "log.jsonl"

    @property
    def lock(self) -> Path:
        """Is there while somebody has the lock."""
        return self.root / "log.lock"

    def offset(self, box: str) -> Path:
        """The offset file of a box."""
        return self.root / f"{box}.offset"

    def after(self, box: str) -> Iterator[tuple[int, bytes, bool]]:
        """Lines of a box that nobody has taken: offset at the end, data, and False for what is torn or no line."""
        offset = self.offset(box)
        with self.log.open("rb") as log:
            log.seek(int(offset.read_bytes() or b"0") if offset.exists() else 0)
            yield from _lines(log, box)


@dataclass(frozen=True)
class Log(Minimal):
    """At most once, in order; as long as nobody dies who has the lock.

    pause     seconds between two blocks of a line: a slow network drive. 0: as fast as the disk takes them
    patience  seconds that a sender waits for the lock before it reports UNKNOWN; somebody else may have more
    """

    pause: float = 0.0
    patience: float = 1.0

    style: ClassVar[str] = "file_share"
    sound: ClassVar[bool] = False
    delivery: ClassVar[Delivery] = Delivery.AT_MOST_ONCE
    order: ClassVar[Order] = Order.PER_SENDER

    def install(self, site: Site, schema: Schema) -> None:
        """Make the shared folder and an empty log."""
        self.open(site).root.mkdir(mode=0o700, exist_ok=True)
        self.open(site).log.touch(mode=0o600)

    def open(self, site: Site) -> Place:
        """The shared folder."""
        return Place(site.folder / "shared")

    def put(self, place: Place, box: str, data: bytes) -> None:
        """Append a line, as the only one who does anything to the log."""
        try:
            line = Line(box, data.decode())
        except UnicodeDecodeError:
            line = Line(box, binary=data)
        with self.locked(place, self.patience):
            self.write(place.log, msgspec.json.encode(line) + b"\n")

    def take(self, place: Place, box: str) -> tuple[None, bytes] | None:
        """Read the next line and move the offset behind it; None also when another has the lock just now."""
        try:
            with self.locked(place, patience=0):
                for end, data, _ in place.after(box):
                    place.offset(box).write_text(str(end))
                    return None, data
        except TimeoutError:
            pass
        return None

    def settle(self, place: Place, box: str, token: None) -> None:
        """Nothing: the offset has moved on already."""

    def backlog(self, site: Site) -> Backlog:
        """Counts lines behind each offset, without the lock: what is written meanwhile may be missed."""
        place = self.open(site)
        boxes = [*(f"tell.{group}" for group in site.groups), ASK_GROUP, OWNER_GROUP]
        ready = sum(whole for box in boxes for *_, whole in place.after(box))
        dead = sum(whole for box in boxes for *_, whole in place.after(f"dead.{box}"))
        return Backlog(ready, claimed=0, set_aside=dead)

    def write(self, path: Path, data: bytes) -> None:
        """Append to a file, block by block."""
        with path.open("ab", buffering=0) as file:
            for block in self.blocks(data):
                file.write(block)

    def blocks(self, data: bytes) -> Iterator[bytes]:
        """The data in pieces, with a pause between two of them."""
        for start in range(0, len(data), BLOCK):
            if start and self.pause:
                time.sleep(self.pause)
            yield data[start : start + BLOCK]

    @contextmanager
    def locked(self, place: Place, patience: float) -> Iterator[None]:
        """Have the lock; TimeoutError when it is not to be had within `patience` seconds (0: one attempt)."""
        deadline = time.monotonic() + patience
        while True:
            try:
                os.close(os.open(place.lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                break
            except FileExistsError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"{place.lock.name} is there, made by somebody else") from None
                time.sleep(self.poll)
        try:
            yield
        finally:
            place.lock.unlink(missing_ok=True)


def _lines(log: BinaryIO, box: str) -> Iterator[tuple[int, bytes, bool]]:
    for text in iter(log.readline, b""):
        if not text.endswith(b"\n"):
            return  # still being written
        try:
            line = _decode(text)
        except UNREADABLE:
            yield log.tell(), text, False
        else:
            if line.box == box:
                yield log.tell(), line.binary or line.data.encode(), True
