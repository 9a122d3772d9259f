"""Both by rename: publishing and claiming. What is taken lies in another folder until it is settled."""

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
            taken = self.folder(site, "taken") / path.name
            try:
                path.rename(taken)
            except FileNotFoundError:
                continue
            return taken, taken.read_bytes()
        return None

    def settle(self, site, box, token):
        token.unlink()
