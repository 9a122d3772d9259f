"""lock

One at a time, by a lock file, which outlives whoever dies with it.
"""

import os
import time
from contextlib import contextmanager

from sandbox import Minimal


class Mailbox(Minimal):
    """A folder for each box, a file for each message."""

    def folder(self, site, name):
        folder = site.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def new_name(self):
        return f"{time.monotonic_ns():020}-{os.getpid()}"

    def put(self, site, box, data):
        draft = self.folder(site, "drafts") / self.new_name()
        draft.write_bytes(data)
        draft.rename(self.folder(site, box) / draft.name)

    def take(self, site, box):
        with self.locked(site):
            for path in sorted(self.folder(site, box).iterdir()):
                taken = path.rename(self.folder(site, "taken") / path.name)
                return taken, taken.read_bytes()
        return None

    @contextmanager
    def locked(self, site):
        lock = site.folder / "lock"
        while True:
            try:
                lock.touch(exist_ok=False)
                break
            except FileExistsError:
                time.sleep(0.001)
        try:
            yield
        finally:
            lock.unlink()

    def settle(self, site, box, token):
        token.unlink()
