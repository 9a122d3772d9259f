"""The box of one group: claims with a lease, given back when it lapses; a place for the dead."""

# Plain strings all through: a Path costs as much as the system call it is for.
# ruff: noqa: PTH104, PTH108

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import msgspec

from sandbox.channel import Backlog
from sandbox.file_share.folders import CLAIM

#: What the name of a file with a reason ends with.
_REASON = ".reason"


class Box:
    """The folders of one group. Nothing here waits, and nothing fails because another was faster."""

    def __init__(self, root: str, name: str) -> None:
        self.ready, self.claimed, self.later, self.dead = (
            f"{root}/{name}/{part}" for part in ("ready", "claimed", "later", "dead")
        )

    def make(self) -> None:
        """Make the folders, unless they are there."""
        for folder in (self.ready, self.claimed, self.later, self.dead):
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)

    def claim(self, name: str, lease_ns: int) -> str | None:
        """Path of the file, now claimed until the lease lapses; None if it is gone. OSError if it cannot be moved."""
        path = f"{self.claimed}/{name}.{time.monotonic_ns() + lease_ns:020d}"
        try:
            os.rename(f"{self.ready}/{name}", path)
        except FileNotFoundError:  # another receiver was faster
            return None
        return path

    def settle(self, path: str) -> None:
        """The claimed file is done with."""
        with contextlib.suppress(FileNotFoundError):  # the lease had lapsed, and another has it
            os.unlink(path)

    def release(self, path: str, delay: float = 0.0) -> None:
        """Give the claimed file back, or put it by for `delay` seconds."""
        claim = CLAIM.fullmatch(path.rpartition("/")[2])
        assert claim, path
        if delay:
            due = time.monotonic_ns() + int(delay * 1e9)
            to = f"{self.later}/{claim[1]}.{claim[2]}.{due:020d}"
        else:
            to = f"{self.ready}/{claim[1]}.{int(claim[2]) + 1}"
        with contextlib.suppress(FileNotFoundError):  # as in settle
            os.rename(path, to)

    def give_back_lapsed(self) -> int:
        """Give back, of any receiver, what has lapsed or waited long enough; when the next will be due (ns), or 0."""
        now, coming = time.monotonic_ns(), []
        for folder in (self.claimed, self.later):
            for name in os.listdir(folder):
                claim = CLAIM.fullmatch(name)
                if claim and int(claim[3]) <= now:
                    self.release(f"{folder}/{name}")
                elif claim:
                    coming.append(int(claim[3]))
        return min(coming, default=0)

    def bury(self, path: str, stamp: str, reason: str) -> bool:
        """Move a file to the dead, with the reason beside it; False if it is gone. OSError if it cannot be moved.

        Its new name is the stamp, because the old one may be anything.
        """
        try:
            os.rename(path, f"{self.dead}/{stamp}")
        except FileNotFoundError:
            return False
        was = os.fsencode(path.rpartition("/")[2]).decode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):  # a full disk costs the reason, not the receiver
            Path(f"{self.dead}/{stamp}{_REASON}").write_bytes(msgspec.json.encode({"reason": reason, "was": was}))
        return True


def count(root: str) -> Backlog:
    """Files by place, over all boxes. What moves during the count may be missed, or be seen twice."""
    ready = dead = 0
    deadlines = []
    for name in os.listdir(root):
        if name != "ask" and not name.startswith("tell."):
            continue
        box = Box(root, name)
        ready += len(os.listdir(box.ready))  # first, because most files move on from there
        deadlines += [int(claim[3]) for name in os.listdir(box.claimed) if (claim := CLAIM.fullmatch(name))]
        ready += len(os.listdir(box.later))
        dead += sum(not name.endswith(_REASON) for name in os.listdir(box.dead))
    lease = (max(deadlines, default=0) - time.monotonic_ns()) / 1e9
    return Backlog(ready, len(deadlines), max(lease, 0.0), dead)
