"""A channel at whose receiving end a student's class decides which downloads are billed.

The channel is told lazily that one is settled, as a broker is: with the receiver's next `take`.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from sandbox import channel
from sandbox.channel import Backlog, Channel, Sender
from sandbox.errors import Refusal
from sandbox.exchange.schema import Schema
from sandbox.file_share.spool import Spool
from sandbox.guarantees import Guarantees
from sandbox.harness.journal import Event, read
from sandbox.site import Site


class Metering(ABC):
    """What metering knows about downloads that come. Extend it; each process of metering has one of its own.

    Anything kept in `self` ends with the process. What `note` has written is there for whoever comes in its place.
    """

    def __init__(self, folder: Path, journals: Path) -> None:
        self._folder, self._journals = folder, journals

    @abstractmethod
    def is_billed(self, delivery: channel.Delivery) -> bool:
        """A download has come. True: it is settled and nothing else; False: it is billed now."""

    @abstractmethod
    def billed(self, delivery: channel.Delivery) -> None:
        """It stands on the bill. The channel does not know that yet."""

    def note(self, words: object) -> None:
        """Write it down, in a file that all who come later read."""
        with (self._folder / "notes").open("a") as file:
            file.write(f"{words}\n")

    def noted(self, words: object) -> bool:
        """Whether somebody has noted exactly these words."""
        path = self._folder / "notes"
        return path.exists() and str(words) in path.read_text().splitlines()

    def ask_the_bill(self, number: int) -> bool:
        """Whether a download stands on the bill. Right, and slow: every page is read."""
        with (self._folder / "asked").open("a") as file:
            file.write(f"{number}\n")
        for path in self._journals.glob("*.journal"):
            events = read(path)
            if number in events["operation"][events["event"] == Event.EFFECT]:
                return True
        return False

    @contextmanager
    def on_record(self) -> Iterator[None]:
        """For the check: what is raised here is written down, for the process ends with it."""
        try:
            yield
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            (self._folder / "raised").write_text(
                f"{type(error).__name__}: {error} (in {line.name}, line {line.lineno})"
            )
            raise


@dataclass(frozen=True)
class Metered(Channel):
    """A spool at whose receiving end a `Metering` decides what is worked.

    kind    the student's class
    folder  where its notes are, and which downloads the bill was asked for
    """

    kind: type[Metering]
    folder: Path
    channel: Spool = field(default_factory=lambda: Spool(lease=0.3))

    style: ClassVar[str] = "file_share"
    sound: ClassVar[bool] = False

    @property
    def guarantees(self) -> Guarantees:
        """Those of the spool."""
        return self.channel.guarantees

    def install(self, site: Site, schema: Schema) -> None:
        """See `Channel.install`."""
        self.channel.install(site, schema)

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """That of the spool."""
        return self.channel.sender(site, schema, name)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`."""
        inner = self.channel.receiver(site, schema, group, name)
        return Receiver(inner, self.kind(self.folder, site.folder))

    def backlog(self, site: Site) -> Backlog | None:
        """That of the spool."""
        return self.channel.backlog(site)


class Receiver(channel.Receiver):
    """Asks the answer about each download; settles with the next `take`."""

    def __init__(self, inner: channel.Receiver, metering: Metering) -> None:
        self.metering, self.refused = metering, inner.refused
        self.settled: list[channel.Delivery] = []
        self._inner = inner

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`."""
        self._carry_out()
        taken: list[channel.Delivery] = []
        for delivery in self._inner.take(timeout, limit):
            with self.metering.on_record():
                is_billed = self.metering.is_billed(delivery)
            if is_billed:
                delivery.settle()
            else:
                taken.append(Delivery(self, delivery))
        return taken

    def close(self) -> None:
        """See `channel.Receiver.close`."""
        self._carry_out()
        self._inner.close()

    def _carry_out(self) -> None:
        for delivery in self.settled:
            delivery.settle()
        self.settled.clear()


class Delivery(channel.Delivery):
    """One that is billed."""

    def __init__(self, receiver: Receiver, inner: channel.Delivery) -> None:
        self.operation, self.attempt = inner.operation, inner.attempt
        self._receiver, self._inner = receiver, inner

    def reply(self, result: Struct | Refusal) -> None:
        """See `channel.Delivery.reply`."""
        self._inner.reply(result)

    def settle(self) -> None:
        """See `channel.Delivery.settle`."""
        with self._receiver.metering.on_record():
            self._receiver.metering.billed(self)
        self._receiver.settled.append(self._inner)

    def release(self, delay: float = 0.0) -> None:
        """See `channel.Delivery.release`."""
        self._inner.release(delay)

    def set_aside(self, reason: str) -> None:
        """See `channel.Delivery.set_aside`."""
        self._inner.set_aside(reason)
