"""Liars about what the contract asks of every channel."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import honest
from honest import Honest

from liars.base import Liar, Presence, present
from sandbox.channel import ASK_GROUP, OWNER_GROUP, Backlog, Outcome
from sandbox.exchange.schema import Operation, Schema
from sandbox.guarantees import Delivery
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


class CopiesForEachReceiver(Presence, Liar):
    """What is sent while several receivers of a group are there is there several times."""

    lies_about = "contract.competing"

    class sending(honest.Sender):
        def put(self, boxes: list[str], operation: Operation, body: bytes) -> None:
            super().put([box for box in boxes for _ in range(max(1, present(self.site, box)))], operation, body)


class ReleasesAnyway(Liar):
    """Says at most once, and delivers again what was released."""

    lies_about = "contract.release"
    tell = replace(Honest.tell, delivery=Delivery.AT_MOST_ONCE)

    class receiving(honest.Receiver):
        def claim(self, limit: int) -> list[tuple[Any, ...]]:
            rows = super().claim(limit)
            if self.group != ASK_GROUP:
                for row in rows:
                    self.db.execute("UPDATE message SET due = due + 1e9 WHERE id = ?", row[:1])
            return rows

    class delivering(honest.Delivering):
        def release(self, delay: float = 0.0) -> None:
            self.db.execute("UPDATE message SET due = ? WHERE id = ?", (time.monotonic() + delay, self.row))

    def backlog(self, site: Site) -> None:
        return None


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
        def outcomes(self, timeout: float) -> list[Outcome]:
            return [outcome for outcome in super().outcomes(timeout) for _ in range(2)]


class WaitsInBegin(Liar):
    """Waits in begin until a receiver comes, once a hundred operations lie there."""

    lies_about = "contract.begin"

    class sending(honest.Sender):
        def put(self, boxes: list[str], operation: Operation, body: bytes) -> None:
            while self.db.execute("SELECT count(*) FROM message").fetchone()[0] > 100:
                time.sleep(0.002)
            super().put(boxes, operation, body)


class WaitsForItsOwner(Presence, Liar):
    """Needs an owner, and waits in begin until it comes."""

    lies_about = "contract.begin"
    alone = True
    share = replace(Honest.share, needs_owner=True)

    class sending(honest.Sender):
        def share(self, operation: Operation, body: bytes) -> None:
            while not present(self.site, OWNER_GROUP):
                time.sleep(0.002)
            super().share(operation, body)


class TakesTooMuch(Liar):
    """Says where its limit is, and has none."""

    lies_about = "max_bytes"

    class sending(honest.Sender):
        def check_size(self, body: bytes) -> None:
            return None


class LeaksToNeighbours(Liar):
    """What is told, asked or written on one site arrives on all."""

    lies_about = "contract.site"
    alone = True  # its lie disturbs every claim that is examined at the same time

    class sending(honest.Sender):
        def put(self, boxes: list[str], operation: Operation, body: bytes) -> None:
            for _ in self.everywhere():
                super().put(boxes, operation, body)

        def write(self, volume: int, body: bytes) -> None:
            for _ in self.everywhere():
                super().write(volume, body)

        def everywhere(self) -> Iterator[None]:
            mine = self.db
            for file in self.site.folder.parent.glob("*/honest.db"):
                site = replace(self.site, folder=file.parent)
                with contextlib.closing(self.knobs.connect(site)) as self.db:
                    yield
            self.db = mine


class LeavesTraces(Liar):
    """Uninstalls everything but one key."""

    lies_about = "contract.uninstall"
    needs = ("redis",)

    def install(self, site: Site, schema: Schema) -> None:
        super().install(site, schema)
        with connect(site.address("redis")) as client:
            client.set(f"{site.name}:forgotten", 1)
