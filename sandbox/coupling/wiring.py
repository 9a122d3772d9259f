"""How much wiring it takes for more and more parties: counted at ends that really talk to each other.

Each of n senders tells each of n listeners something, every party a process of its own. Then, while all of that still
stands, each counts for itself

    connections   sockets that it has opened to others (one that it has accepted counts at the other end)
    addresses     places that it had to know: who it is connected to, the folders that it puts files into, the file
                  in which it can be found, the database that it has opened
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.channel import Channel, Receiver, Sender, is_final
from sandbox.errors import BadArgument
from sandbox.exchange.schema import EXCHANGE, ImageDownloaded, Operation
from sandbox.guarantees import Support
from sandbox.harness.compare import name_of
from sandbox.harness.history import Role
from sandbox.harness.progress import Progress
from sandbox.site import Site

if TYPE_CHECKING:
    from sandbox.harness.participant import Link, Participant
    from sandbox.harness.session import Session

#: n senders and n listeners
PARTIES = (2, 4, 8, 12)
#: s until what was told must have arrived everywhere
PATIENCE = 10.0
#: where an operating system lists the open files of a process to itself
_OPEN_FILES = Path("/dev/fd")
_READY = 30.0
_WRITING = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class Wiring:
    """What one channel takes for n senders and n listeners, over all ends.

    addresses, connections   see above; connections: None where the system does not show open files
    delivered    of the n * n tells, so many arrived: a count is worth something only if that is all
    copies_by    who makes a copy for each listener: "the medium" or "the sender", who then has to know them all
    """

    channel: str
    style: str
    parties: int
    addresses: int
    connections: int | None
    delivered: int
    copies_by: str

    @property
    def works(self) -> bool:
        """Whether everybody has heard everybody."""
        return self.delivered == self.parties**2


def wire(channel: Channel, parties: int, session: Session) -> Wiring:
    """Open n senders and n listeners, let everybody tell everybody once, count, and close it all again."""
    groups = tuple(f"listener_{number}" for number in range(parties))
    site = session.site(channel, groups)
    channel.install(site, EXCHANGE)
    seats = [_Seat(channel, site, Role.RECEIVER, f"{group}-0", group, parties) for group in groups]
    seats += [_Seat(channel, site, Role.SENDER, f"sender-{number}", "", number + 1) for number in range(parties)]
    members: list[Participant] = []
    try:
        for role in (Role.RECEIVER, Role.SENDER):
            members += _seated([seat for seat in seats if seat.role is role], session)
        counts = _counted(members)
    finally:
        for member in members:
            member.close()
        channel.uninstall(site)
    opened = [count.connections for count in counts]
    return Wiring(
        name_of(channel),
        channel.style,
        parties,
        addresses=sum(count.addresses for count in counts),
        connections=None if None in opened else sum(each or 0 for each in opened),
        delivered=sum(count.delivered for count in counts),
        copies_by="the medium" if channel.guarantees.tell.one_to_many is Support.NATURAL else "the sender",
    )


def _seated(seats: Sequence[_Seat], session: Session) -> list[Participant]:
    members = [session.participant(seat.name) for seat in seats]
    for member, seat in zip(members, seats, strict=True):
        member.begin(_attend, seat)
    for member in members:
        member.receive(_READY)
    return members


def _counted(members: Sequence[Participant]) -> list[_Count]:
    """Nobody closes before everybody has counted."""
    for member in members:
        member.send("go")
    counts = [member.receive(3 * PATIENCE) for member in members]
    for member in members:
        member.send("end")
    for member in members:
        member.finish(PATIENCE)
    return counts


def offers_copies(channel: Channel) -> bool:
    """Whether one tell can reach several listeners at all."""
    return channel.guarantees.tell.one_to_many is not Support.ABSENT


# --- in the process of one end ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Seat:
    """Whom a process plays. `number`: of a sender its own, from 1; of a listener how many tells it waits for."""

    channel: Channel
    site: Site
    role: Role
    name: str
    group: str
    number: int


@dataclass(frozen=True)
class _Count:
    addresses: int
    connections: int | None
    delivered: int


def _attend(link: Link, seat: _Seat) -> None:
    """Open an end, have it do its part, count, and keep it open until everybody has counted."""
    before, places = _open_files(), _Places(seat.site.folder)
    end = _opened(seat)
    try:
        link.send("ready")
        link.recv()
        delivered = _listen(end, seat.number) if isinstance(end, Receiver) else _tell(end, seat.number)
        peers = _peers(before)
        known = {str(peer) for peer in peers or ()} | places.found()
        link.send(_Count(len(known), None if peers is None else len(peers), delivered))
        link.recv()
    finally:
        end.close()


def _opened(seat: _Seat) -> Sender | Receiver:
    if seat.role is Role.SENDER:
        return seat.channel.sender(seat.site, EXCHANGE, seat.name)
    return seat.channel.receiver(seat.site, EXCHANGE, seat.group, seat.name)


def _tell(sender: Sender, number: int) -> int:
    """Tell all listeners one thing; wait until that is accepted."""
    operation = Operation(number, "image_downloaded", ImageDownloaded(number, 0, 1))
    sender.begin(operation)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if any(is_final(EXCHANGE, operation.message, each.status) for each in sender.outcomes(0.1)):
            break
    return 0


def _listen(receiver: Receiver, expected: int) -> int:
    """Take and settle what comes until all is there; how many different ones came."""
    came: set[int] = set()
    deadline = time.monotonic() + PATIENCE
    while len(came) < expected and time.monotonic() < deadline:
        for delivery in receiver.take(0.1):
            came.add(delivery.operation.id)
            delivery.settle()
    receiver.take(0)  # what was settled is carried out now, where that is put off
    return len(came)


class _Places:
    """The places below a folder into which this process puts something, seen by the interpreter's own audit."""

    def __init__(self, folder: Path) -> None:
        self._folder = f"{folder}{os.sep}"
        self._put: set[str] = set()
        self._written: set[str] = set()
        sys.addaudithook(self._see)  # cannot be taken away again: this process ends with its end

    def found(self) -> set[str]:
        """Folders that files were moved or linked into, and files that were written where they are."""
        return self._put | self._written

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.rename", "os.link"):
            source, target = (os.fsdecode(each) for each in arguments[:2])
            if target.startswith(self._folder):
                self._written.discard(source)  # a draft
                self._put.add(str(Path(target).parent))
        elif event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & _WRITING:
            self._note(arguments[0])
        elif event == "sqlite3.connect":
            self._note(os.fsdecode(arguments[0]))

    def _note(self, path: str) -> None:
        if path.startswith(self._folder):
            self._written.add(path)


def _open_files() -> set[tuple[int, int]] | None:
    """Number and inode of all that this process has open; None where the system does not say."""
    if not _OPEN_FILES.is_dir():
        return None
    found = set()
    for name in os.listdir(_OPEN_FILES):
        with suppress(OSError, ValueError):  # the listing itself was open, too
            found.add((int(name), os.fstat(int(name)).st_ino))
    return found


def _peers(before: set[tuple[int, int]] | None) -> list[Any] | None:
    """To whom the sockets lead that this process has opened since then, once for each; not those it has accepted."""
    now = _open_files()
    if before is None or now is None:
        return None
    listening, connected = set(), []
    for number, _ in now - before:
        with suppress(OSError), socket.socket(fileno=os.dup(number)) as sock:  # OSError: not a socket, not connected
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                listening.add(sock.getsockname())
            else:
                connected.append((sock.getsockname(), sock.getpeername()))
    return [peer for mine, peer in connected if peer and mine not in listening]


def check_parties(parties: Sequence[int]) -> None:
    """Raise `BadArgument` unless so many parties can be wired in a few seconds."""
    if (
        not isinstance(parties, Sequence)
        or not parties
        or not all(isinstance(each, int) and 1 <= each <= 16 for each in parties)
    ):
        raise BadArgument("parties", expected="some whole numbers from 1 to 16", got=parties)


def wired(
    channels: Sequence[Channel], parties: Sequence[int], session: Session, progress: Callable[[str], None] | bool
) -> list[Wiring]:
    """Every channel with each number of parties."""
    show = Progress(len(channels) * len(parties), progress)
    found = []
    for number in parties:
        for channel in channels:
            show.step(f"{name_of(channel)}: {number} senders and {number} listeners")
            found.append(wire(channel, number, session))
    show.end()
    return found
