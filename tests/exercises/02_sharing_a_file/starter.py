"""torn

The first idea: write a file, read it, delete it. One sender, one receiver, small files: it works for years.
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
        path = self.folder(site, box) / self.new_name()
        path.write_bytes(data)

    def take(self, site, box):
        for path in sorted(self.folder(site, box).iterdir()):
            data = path.read_bytes()
            path.unlink()
            return path, data
        return None

    def settle(self, site, box, token):
        pass
