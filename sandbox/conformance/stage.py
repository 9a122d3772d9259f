"""A claim's own place: a fresh site, the channel installed there, and the processes on it."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Backlog, Channel
from sandbox.conformance.ends import LOOK, Seen, receive_end, send_end
from sandbox.conformance.handles import EndFailed, ReceivingEnd, SendingEnd
from sandbox.exchange.schema import EXCHANGE, CreateVolume, GetState, ImageDownloaded, Operation, SetState, Verb
from sandbox.harness.participant import Participant
from sandbox.harness.session import Session

#: s; set where a claim is to lapse, resp. where it must not, if the channel has such a knob
SHORT, LONG = 0.4, 60.0
#: s for which something that must not come is waited for. It can only make a lie escape, never an honest channel fail
QUIET = 0.3
#: s without progress after which a channel that says its backlog is empty is believed
DRAINED = 1.5


class Stage:
    """See the module's text. `close` ends all of it."""

    def __init__(
        self, channel: Channel, session: Session, groups: Sequence[str], patience: float, knobs: dict[str, Any]
    ) -> None:
        self.channel = with_knobs(channel, {"lease": LONG, "timeout": LONG, **knobs})
        self.session, self.patience = session, patience
        self.site = session.site(self.channel, groups)
        self._ids, self._names = itertools.count(1), itertools.count(1)
        self._members: list[Participant] = []
        self._call("install", self.site, EXCHANGE)

    def sender(self) -> SendingEnd:
        """A sender in a new process."""
        member = self._member("sender")
        member.begin(send_end, self.channel, self.site, member.name)
        end = SendingEnd(member, self.patience)
        end.answer("open")
        return end

    def receiver(self, group: str = "metering") -> ReceivingEnd:
        """A receiver of a group in a new process."""
        member = self._member("receiver")
        member.begin(receive_end, self.channel, self.site, group, member.name)
        end = ReceivingEnd(member, self.patience)
        end.answer("open")
        return end

    def receiver_of(self, verb: Verb) -> ReceivingEnd:
        """A receiver of the (first) group that operations of a verb go to."""
        return self.receiver({Verb.TELL: self.site.groups[0], Verb.ASK: ASK_GROUP, Verb.SHARE: OWNER_GROUP}[verb])

    def owner(self) -> ReceivingEnd | None:
        """The working owner of shared state, where the channel needs one."""
        if not self.channel.guarantees.share.needs_owner:
            return None
        owner = self.receiver(OWNER_GROUP)
        owner.work()
        return owner

    def close(self) -> None:
        """End its processes and remove what was installed."""
        for member in self._members:
            member.close()
        self._members.clear()
        self._call("uninstall", self.site)
        shutil.rmtree(self.site.folder, ignore_errors=True)  # a session sees hundreds of these

    # --- what to send ----------------------------------------------------------------------------

    def operations(self, verb: Verb, count: int) -> list[Operation]:
        """Tells, asks, or writes of one volume with versions from 1."""
        if verb is Verb.SHARE:
            return [self.write(version) for version in range(1, count + 1)]
        return self.tells(count) if verb is Verb.TELL else self.asks(count)

    def tells(self, count: int, metadata: str = "") -> list[Operation]:
        """Operations that tell."""
        return [
            Operation(i, "image_downloaded", ImageDownloaded(i, i % 7, i * 1_048_576, metadata))
            for i in itertools.islice(self._ids, count)
        ]

    def asks(self, count: int, metadata: str = "") -> list[Operation]:
        """Operations that ask."""
        return [
            Operation(i, "create_volume", CreateVolume(i, i % 7, i, metadata))
            for i in itertools.islice(self._ids, count)
        ]

    def write(self, version: int, volume: int = 1, metadata: str = "") -> Operation:
        """An operation that writes a state."""
        return Operation(next(self._ids), "set_state", SetState(volume, "available", version, metadata))

    def read(self, volume: int = 1) -> Operation:
        """An operation that reads it."""
        return Operation(next(self._ids), "get_state", GetState(volume))

    # --- what came -------------------------------------------------------------------------------

    def gather(self, receivers: Sequence[ReceivingEnd], ids: Collection[int], quiet: float = QUIET) -> list[Seen]:
        """All that working receivers see, until they have seen all `ids` (or will not any more) and were quiet."""
        wanted, progress = set(ids), time.monotonic()
        seen: list[Seen] = []
        while True:
            before = len(seen)
            seen = [delivery for receiver in receivers for delivery in receiver.seen()]
            now = time.monotonic()
            progress = now if len(seen) > before else progress
            if wanted <= {delivery.id for delivery in seen}:
                time.sleep(quiet)
                return [delivery for receiver in receivers for delivery in receiver.seen()]
            if now - progress > self.patience or (now - progress > DRAINED and self._drained()):
                # once more: what lapsed, was worked and left the backlog since the last look is not missing
                return [delivery for receiver in receivers for delivery in receiver.seen()]
            time.sleep(LOOK)

    def backlog(self) -> Backlog | None:
        """What the channel says lies in it."""
        found: Backlog | None = self._call("backlog", self.site)
        return found

    def backlog_when(self, right: Callable[[Backlog], bool]) -> Backlog | None:
        """What it says once that is right, or else in the end."""
        deadline = time.monotonic() + min(self.patience, DRAINED)
        while True:
            found = self.backlog()
            if found is None or right(found) or time.monotonic() > deadline:
                return found
            time.sleep(LOOK)

    def _call(self, method: str, *arguments: Any) -> Any:
        """Call the channel in this process; what it raises is a finding about it, not a failure of the proof."""
        try:
            return getattr(self.channel, method)(*arguments)
        except Exception as error:
            raise EndFailed(f"{method} raised {type(error).__name__}: {error}") from error

    def _drained(self) -> bool:
        backlog = self.backlog()
        return backlog is not None and backlog.ready == 0 and backlog.claimed == 0

    def _member(self, role: str) -> Participant:
        member = self.session.participant(f"{role}-{next(self._names)}")
        self._members.append(member)
        return member


def with_knobs(channel: Channel, knobs: dict[str, Any]) -> Channel:
    """The channel with those knobs set that it has."""
    known: set[str] = set(getattr(channel, "__dataclass_fields__", ()))
    chosen = {name: value for name, value in knobs.items() if name in known}
    return dataclasses.replace(channel, **chosen) if chosen else channel  # type: ignore[type-var]
