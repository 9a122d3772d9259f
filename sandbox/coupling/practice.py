"""The best practice of each style, so that a change that breaks it is no straw man.

tolerant    readers pass over fields that they do not know (files, tables, events, calls)
both        the new release says and understands old and new until nobody needs the old: expand, then
            contract. In a database the migration only adds; the old column goes when its last reader has
Negotiating rpc: calls carry a version; a caller that is refused for being too new calls again as the server
            speaks, and does so from then on (oslo.messaging: `can_send_version`, a version cap)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from sandbox import channel
from sandbox.channel import Backlog, Channel, Outcome, Receiver, Status
from sandbox.errors import Definite, Refusal, VersionMismatch
from sandbox.exchange.release import Release
from sandbox.exchange.schema import (
    CreateVolume,
    GetState,
    ImageDownloaded,
    Operation,
    Schema,
    SetState,
    VolumeCreated,
    VolumeState,
)
from sandbox.guarantees import Guarantees
from sandbox.site import Site

#: the version that the new release has with the best practice; the old one has 1.0
NEWER = "1.1"
#: s between two looks when calls of both versions are under way
_LOOK = 0.001


class TolerantImageDownloaded(ImageDownloaded, frozen=True, forbid_unknown_fields=False):
    """The same, and whatever else may come with it is passed over."""


class TolerantCreateVolume(CreateVolume, frozen=True, forbid_unknown_fields=False):
    """The same, and whatever else may come with it is passed over."""


class TolerantVolumeCreated(VolumeCreated, frozen=True, forbid_unknown_fields=False):
    """The same, and whatever else may come with it is passed over."""


class TolerantSetState(SetState, frozen=True, forbid_unknown_fields=False):
    """The same, and whatever else may come with it is passed over."""


class TolerantGetState(GetState, frozen=True, forbid_unknown_fields=False):
    """The same, and whatever else may come with it is passed over."""


class TolerantVolumeState(VolumeState, frozen=True, forbid_unknown_fields=False):
    """The same, and whatever else may come with it is passed over."""


_TOLERANT: dict[type[Struct], type[Struct]] = {
    kind.__mro__[1]: kind
    for kind in (
        TolerantImageDownloaded,
        TolerantCreateVolume,
        TolerantVolumeCreated,
        TolerantSetState,
        TolerantGetState,
        TolerantVolumeState,
    )
}


def tolerant(release: Release) -> Release:
    """The same release, written as a tolerant reader."""
    schema = release.schema
    messages = [
        replace(
            message,
            body=_TOLERANT.get(message.body, message.body),
            answer=_TOLERANT.get(message.answer, message.answer) if message.answer else None,
        )
        for message in schema.messages.values()
    ]
    return Release(Schema(messages, schema.version, schema.codec), release.speaker, release.listener)


def newer(release: Release) -> Release:
    """The same release with the version that says that it is newer."""
    schema = release.schema
    return Release(Schema(schema.messages.values(), NEWER, schema.codec), release.speaker, release.listener)


def older(channel: Channel, schema: Schema) -> Channel:
    """The channel for a new sender who may meet receivers of an old schema: negotiated where calls carry a version."""
    return Negotiating(channel, schema) if channel.style == "rpc" else channel


@dataclass(frozen=True)
class Negotiating(Channel):
    """A channel of calls whose senders fall back to an older schema when they are refused for theirs.

    channel  the one that carries the calls;  schema: the older one

    Guarantees are the channel's: what was refused for its version was certainly not begun.
    """

    channel: Channel
    schema: Schema

    style: ClassVar[str] = "rpc"
    sound: ClassVar[bool] = False  # not one of its own: it needs another

    @property
    def guarantees(self) -> Guarantees:
        """Those of the channel that carries the calls."""
        return self.channel.guarantees

    def install(self, site: Site, schema: Schema) -> None:
        """See `Channel.install`."""
        self.channel.install(site, schema)

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`."""
        return Sender(
            self.channel.sender(site, schema, name),
            self.channel.sender(site, self.schema, f"{name}_old"),
            schema,
            self.schema,
        )

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`."""
        return self.channel.receiver(site, schema, group, name)

    def backlog(self, site: Site) -> Backlog | None:
        """See `Channel.backlog`."""
        return self.channel.backlog(site)


class Sender(channel.Sender):
    """Calls as new as it may. `capped`: it has been refused, and calls in the older version from then on."""

    def __init__(self, newest: channel.Sender, oldest: channel.Sender, new: Schema, old: Schema) -> None:
        self._newest, self._oldest, self._new, self._old = newest, oldest, new, old
        self._called_old: dict[int, str] = {}
        self._open: dict[int, list[Operation]] = {}  # what one operation says in two messages has one id
        self._failed: list[Outcome] = []
        self.capped = False

    def begin(self, operation: Operation) -> None:
        """See `channel.Sender.begin`."""
        if self.capped:
            self._oldest.begin(self._downgraded(operation))
        else:
            self._newest.begin(operation)
            self._open.setdefault(operation.id, []).append(operation)

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`; those of refused calls come when they have been called again."""
        found = [self._upgraded(outcome) for outcome in self._oldest.outcomes(0 if self._open else timeout)]
        wait = min(timeout, _LOOK) if self.capped else timeout
        for outcome in self._newest.outcomes(0 if found or not self._open else wait):
            operation = self._closed(outcome)
            if operation is not None and outcome.status is Status.FAILED and VersionMismatch.__name__ in outcome.reason:
                self._call_again(operation)
            else:
                found.append(outcome)
        self.late = self._newest.late + self._oldest.late
        failed, self._failed = self._failed, []
        return found + failed

    def close(self) -> None:
        """See `channel.Sender.close`."""
        self._newest.close()
        self._oldest.close()

    def _closed(self, outcome: Outcome) -> Operation | None:
        """The operation whose outcome this is; the first of two with one id, as calls are answered in order."""
        waiting = self._open.get(outcome.operation, [])
        operation = waiting.pop(0) if waiting else None
        if not waiting:
            self._open.pop(outcome.operation, None)
        return operation

    def _call_again(self, operation: Operation) -> None:
        self.capped = True
        try:
            self._oldest.begin(self._downgraded(operation))
        except Definite as error:
            self._failed.append(Outcome(operation.id, Status.FAILED, reason=str(error)))

    def _downgraded(self, operation: Operation) -> Operation:
        """The operation as the older schema has it: without what only the newer one knows."""
        message = self._old.message(operation.message)
        self._called_old[operation.id] = operation.message
        known = {field: value for field, value in asdict(operation.body).items() if field in message.columns()}
        return Operation(operation.id, operation.message, self._old.convert(operation.message, known))

    def _upgraded(self, outcome: Outcome) -> Outcome:
        """The outcome of an older call, its answer as the newer schema has it."""
        if outcome.answer is None or isinstance(outcome.answer, Refusal):
            return outcome
        name = self._called_old[outcome.operation]
        return replace(outcome, answer=self._new.convert_answer(name, asdict(outcome.answer)))
