"""SQLite: a claim is a SELECT and then an UPDATE. What everybody writes first: two workers take the same row.

Between the two statements another worker can have read the same row as free; then both write, and the row
says that it belongs to whoever came last. Nothing fails: a download is billed twice, and every sender was
told the truth. One worker alone never shows it. `compare_and_swap` mends it: its UPDATE asks for the row as
it was read, and the number of changed rows says who came first. All else is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sandbox.db_share import compare_and_swap
from sandbox.db_share.compare_and_swap import CompareAndSwap, Sender
from sandbox.db_share.ends import Delivery, Queue
from sandbox.db_share.tables import Row
from sandbox.exchange.schema import Schema
from sandbox.site import Site

__all__ = ["Delivery", "ReadThenWrite", "Receiver", "Sender"]


@dataclass(frozen=True)
class ReadThenWrite(CompareAndSwap):
    """Rows of SQLite tables, claimed without looking whether they are still free. Knobs as in `CompareAndSwap`.

    Its promises are those of `CompareAndSwap`, and it keeps them: nothing is lost. What it breaks is the
    contract itself, by which of several receivers in one group each operation comes to one.
    """

    sound: ClassVar[bool] = False

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`."""
        return Receiver(self, site, schema, group, name)


class Receiver(compare_and_swap.Receiver):
    """Takes what it has seen, whoever has it by now."""

    def _swap(self, queue: Queue, row: Row, until: float) -> bool:
        """Claim a row that was free when it was read."""
        claim = f"UPDATE {queue.table} SET claimed_by = ?1, attempts = attempts + 1, visible_at = ?2 WHERE seq = ?3"
        self._db.execute(claim, (self.name, until, row["seq"]))
        return True
