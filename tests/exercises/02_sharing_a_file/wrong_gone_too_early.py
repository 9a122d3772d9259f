"""gone too early

Only one can delete a file, so deleting is a claim, and a safe one. But then nothing is left.
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
                path.unlink()
            except FileNotFoundError:
                continue
            return path, data
        return None

    def settle(self, site, box, token):
        pass
