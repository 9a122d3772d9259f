"""Liars about what the contract asks of every channel."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import replace
from typing import Any, ClassVar

import honest

from liars.base import Liar
from sandbox.channel import Backlog
from sandbox.exchange.schema import Operation, Schema
from sandbox.servers.valkey import connect
from sandbox.site import Site


class GivesToBoth(Liar):
    """What one receiver has claimed, another may claim as well."""

    lies_about = "contract.competing"

    class receiving(honest.Receiver):
        mine: ClassVar[list[int]] = []

        def claim(self, limit: int) -> list[tuple[Any, ...]]:
            rows = super().claim(limit)
            if not rows:
                mine = ",".join(map(str, self.mine))
                found = self.db.execute(
                    "SELECT id, operation, name, body, sender, attempt FROM message "
                    f"WHERE box = ? AND claimed AND id NOT IN ({mine}) ORDER BY id LIMIT ?",
                    (self.group, limit),
                )
                rows = list(found)
            self.mine.extend(row[0] for row in rows)
            return rows


class ComesBackAfterItsDeath(Liar):
    """What was set aside is delivered again."""

    lies_about = "contract.set_aside"

    class delivering(honest.Delivering):
        def set_aside(self, reason: str) -> None:
            super().set_aside(reason)
            self.db.execute(
                "INSERT INTO message (box, operation, name, body) VALUES ('metering', ?, ?, ?)",
                (self.operation.id, self.operation.message, self.schema.encode(self.operation.body)),
            )


class ReleasesAtOnce(Liar):
    """Takes a delay, and does not wait for it."""

    lies_about = "contract.release"

    class delivering(honest.Delivering):
        def release(self, delay: float = 0.0) -> None:
            super().release(0.0)


class KeepsWhatIsReleased(Liar):
    """What was released stays claimed."""

    lies_about = "contract.release"

    class delivering(honest.Delivering):
        def release(self, delay: float = 0.0) -> None:
            return None


class SaysEmpty(Liar):
    """Nothing lies in it, ever."""

    lies_about = "contract.backlog"

    def backlog(self, site: Site) -> Backlog:
        return replace(super().backlog(site), ready=0, claimed=0)


class SaysItTwice(Liar):
    """Reports what was accepted, and reports it again."""

    lies_about = "contract.outcomes"

    class sending(honest.Sender):
        def tell(self, operation: Operation, body: bytes) -> None:
            super().tell(operation, body)
            self.ready.append(self.ready[-1])


class WaitsInBegin(Liar):
    """Waits in begin until a receiver comes, once a hundred tells lie there."""

    lies_about = "contract.begin"

    class sending(honest.Sender):
        def tell(self, operation: Operation, body: bytes) -> None:
            while self.db.execute("SELECT count(*) FROM message").fetchone()[0] > 100:
                time.sleep(0.002)
            super().tell(operation, body)


class TakesTooMuch(Liar):
    """Says where its limit is, and has none."""

    lies_about = "max_bytes"

    class sending(honest.Sender):
        def check_size(self, body: bytes) -> None:
            return None


class LeaksToNeighbours(Liar):
    """What is told on one site arrives on all."""

    lies_about = "contract.site"
    alone = True  # its lie disturbs every claim that is examined at the same time

    class sending(honest.Sender):
        def put(self, boxes: list[str], operation: Operation, body: bytes) -> None:
            for folder in self.site.folder.parent.glob("*/honest.db"):
                site = replace(self.site, folder=folder.parent)
                with contextlib.closing(self.knobs.connect(site)) as self.db, contextlib.suppress(sqlite3.Error):
                    super().put(boxes, operation, body)
            self.db = self.knobs.connect(self.site)


class LeavesTraces(Liar):
    """Uninstalls everything but one key."""

    lies_about = "contract.uninstall"
    needs = ("redis",)

    def install(self, site: Site, schema: Schema) -> None:
        super().install(site, schema)
        with connect(site.address("redis")) as client:
            client.set(f"{site.name}:forgotten", 1)
