"""begins again

Whoever finds no number in the bookmark begins with the first file: everything ever done is done again.
"""

import os

from sandbox.exercises.where_it_hurts import Counted
from sandbox.guarantees import Delivery


class Numbered(Counted):
    """Numbered files, of one sender, and a bookmark: how many of them its one receiver is done with."""

    delivery = Delivery.AT_LEAST_ONCE

    def put(self, site, box, data):
        number = len(list(site.folder.glob(f"{box}-*"))) + 1
        draft = site.folder / f"draft.{os.getpid()}"
        draft.write_bytes(data)
        draft.rename(site.folder / f"{box}-{number:06}")

    def take(self, site, box):
        bookmark = site.folder / f"{box}.done"
        done = int(bookmark.read_text() or 0) if bookmark.exists() else 0
        path = site.folder / f"{box}-{done + 1:06}"
        if not path.exists():
            return None
        return done + 1, path.read_bytes()

    def settle(self, site, box, token):
        bookmark = site.folder / f"{box}.done"
        bookmark.write_text(str(token))
