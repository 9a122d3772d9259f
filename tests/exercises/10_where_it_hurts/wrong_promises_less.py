"""promises less

Losing is all right now: it says so.
"""

import os

from sandbox.exercises.where_it_hurts import Counted
from sandbox.guarantees import Delivery


class Numbered(Counted):
    """Numbered files, of one sender, and a bookmark: how many of them its one receiver is done with."""

    delivery = Delivery.AT_MOST_ONCE

    def put(self, site, box, data):
        number = len(list(site.folder.glob(f"{box}-*"))) + 1
        draft = site.folder / f"draft.{os.getpid()}"
        draft.write_bytes(data)
        draft.rename(site.folder / f"{box}-{number:06}")

    def take(self, site, box):
        bookmark = site.folder / f"{box}.done"
        done = int(bookmark.read_text()) if bookmark.exists() else 0
        path = site.folder / f"{box}-{done + 1:06}"
        if not path.exists():
            return None
        bookmark.write_text(str(done + 1))
        return done + 1, path.read_bytes()

    def settle(self, site, box, token):
        pass
