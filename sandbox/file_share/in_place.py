"""Written in place: a folder as a mailbox, the way everybody writes it first.

A message is a file in the folder of its box. The sender opens it under its final name and writes; a receiver
takes the oldest file, works, and deletes it.

How it fails: the name is there before the content is. A receiver that looks meanwhile sees a torn file, which is no
message: it refuses it and deletes it, and the sender, who has noticed nothing, reports success. So what is
acknowledged gets lost. A sender that is killed half-way leaves half a file for good. Small files are torn too, only
more rarely: on a developer's desk never, and every day in production.

`rename.py` mends it.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Backlog
from sandbox.exchange.schema import Schema
from sandbox.guarantees import Delivery
from sandbox.minimal import Minimal
from sandbox.site import Site

#: bytes that are written at once: files grow by blocks, whoever writes them
BLOCK = 8192


@dataclass(frozen=True)
class Place:
    """The shared folder as one participant uses it; `taken`: the files that it has in hand."""

    root: Path
    taken: set[Path] = field(default_factory=set)
    count: Iterator[int] = field(default_factory=itertools.count)

    def folder(self, box: str) -> Path:
        """The folder of a box, made if it is not there."""
        folder = self.root / box
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def new_name(self) -> str:
        """A name that nobody else gives, and that sorts by time."""
        return f"{time.monotonic_ns():020d}.{os.getpid()}.{next(self.count)}"


@dataclass(frozen=True)
class InPlace(Minimal):
    """At least once is what it means to promise; torn files break it.

    pause  seconds between two blocks of a file: a slow network drive. 0: as fast as the disk takes them
    """

    pause: float = 0.0

    style: ClassVar[str] = "file_share"
    sound: ClassVar[bool] = False
    delivery: ClassVar[Delivery] = Delivery.AT_LEAST_ONCE

    def install(self, site: Site, schema: Schema) -> None:
        """Make the shared folder."""
        self.open(site).root.mkdir(mode=0o700, exist_ok=True)

    def open(self, site: Site) -> Place:
        """The shared folder."""
        return Place(site.folder / "shared")

    def put(self, place: Place, box: str, data: bytes) -> None:
        """Write the file where receivers look for it."""
        self.write(place.folder(box) / place.new_name(), data)

    def take(self, place: Place, box: str) -> tuple[Path, bytes] | None:
        """Read the oldest file that is not yet in hand."""
        for path in sorted(place.folder(box).iterdir()):
            if path in place.taken:
                continue
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue  # another receiver has deleted it
            place.taken.add(path)
            return path, data
        return None

    def settle(self, place: Place, box: str, token: Path) -> None:
        """Delete the file."""
        token.unlink(missing_ok=True)
        place.taken.discard(token)

    def backlog(self, site: Site) -> Backlog:
        """Counts files. Which of them somebody works on, no file tells."""
        ready = dead = 0
        for folder in self.open(site).root.iterdir():
            if folder.name.startswith(("tell.", ASK_GROUP, OWNER_GROUP)):
                ready += len(os.listdir(folder))
            elif folder.name.startswith("dead."):
                dead += len(os.listdir(folder))
        return Backlog(ready, claimed=0, set_aside=dead)

    def write(self, path: Path, data: bytes) -> None:
        """Write a new file, block by block."""
        with path.open("xb", buffering=0) as file:
            for block in self.blocks(data):
                file.write(block)

    def blocks(self, data: bytes) -> Iterator[bytes]:
        """The data in pieces, with a pause between two of them."""
        for start in range(0, len(data), BLOCK):
            if start and self.pause:
                time.sleep(self.pause)
            yield data[start : start + BLOCK]
