"""overwritten

Neat names, counted up; two senders count to the same.
"""

import os

from sandbox import Minimal


class Mailbox(Minimal):
    """A folder for each box, a file for each message."""

    def folder(self, site, name):
        folder = site.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def put(self, site, box, data):
        folder = self.folder(site, box)
        name = f"{len(list(folder.iterdir())):06}"
        draft = self.folder(site, "drafts") / f"{name}-{os.getpid()}"
        draft.write_bytes(data)
        draft.rename(folder / name)

    def take(self, site, box):
        for path in sorted(self.folder(site, box).iterdir()):
            taken = self.folder(site, "taken") / path.name
            try:
                path.rename(taken)
            except FileNotFoundError:
                continue
            return taken, taken.read_bytes()
        return None

    def settle(self, site, box, token):
        token.unlink()
