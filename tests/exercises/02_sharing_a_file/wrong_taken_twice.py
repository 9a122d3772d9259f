"""taken twice

Moves it away as its last step, and looks first: between the look and the move lies another's look.
"""

import os
import time

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
        for path in sorted(self.folder(site, box).iterdir()):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            taken = self.folder(site, "taken") / path.name
            taken.write_bytes(data)
            path.unlink(missing_ok=True)
            return taken, data
        return None

    def settle(self, site, box, token):
        token.unlink(missing_ok=True)
