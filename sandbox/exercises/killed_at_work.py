"""Two receivers bill what lies in a real channel, one of them is killed at work, and the other one goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import ServerUnavailable
from sandbox.exchange.schema import ImageDownloaded, Operation
from sandbox.exercises.books import WAIT, Books, Came, Work, kill, line_in
from sandbox.exercises.check import RAISED, Reason
from sandbox.harness.participant import Link, Participant

if TYPE_CHECKING:
    from sandbox.harness.session import Session
    from sandbox.messaging.patterns import Pipe

#: the bill before which the first receiver is killed
_LAST = 5
#: deliveries that are taken at once: of these, some are done and not settled when it dies
_BATCH = 10


def bill_all(session: Session, told: Sequence[Came], work: Work, path: Path) -> Reason | None:
    """Tell all of these and return when nothing of it lies in the channel any more, or why that is never so."""
    with _pipe(session) as pipe:
        pipe.send(*(_operation(came) for came in told))
        doomed, other = session.participant("metering-0"), session.participant("metering-1")
        try:
            doomed.begin(_receive, pipe, work, path, _LAST)
            if why := _ended(doomed):
                return Reason(RAISED, why)
            kill(doomed)
            other.begin(_receive, pipe, work, path, 0)
            return _emptied(pipe, other)
        finally:
            for member in (doomed, other):
                member.close()


def _emptied(pipe: Pipe, member: Participant) -> Reason | None:
    deadline = time.monotonic() + WAIT
    while (left := pipe.channel.backlog(pipe.site)) is not None and left.ready + left.claimed:
        if member.poll() and (why := _ended(member)):
            return Reason(RAISED, why)
        if time.monotonic() > deadline:
            return Reason("run", f"{left.ready + left.claimed} downloads are never settled: they come again for ever.")
        time.sleep(0.02)
    return None


@contextmanager
def _pipe(session: Session) -> Iterator[Pipe]:
    from sandbox.messaging.patterns import Pipe

    try:
        pipe = Pipe.lay("streams", session=session, lease=0.3)
    except ServerUnavailable:  # the same promise, without a server
        pipe = Pipe.lay("spool", session=session, lease=0.3)
    try:
        yield pipe
    finally:
        pipe.remove()


def _ended(member: Participant) -> str:
    """Why it has ended, although nobody had told it to; empty when it says that it stands at its last bill."""
    message = member.receive(WAIT)
    return f"With what came from a real channel, work raised {message[1]}." if isinstance(message, tuple) else ""


def _receive(link: Link, pipe: Pipe, work: Work, path: Path, last: int) -> str:
    billed = 0

    def before(step: str) -> None:
        nonlocal billed
        billed += step == "bill"
        if step == "bill" and billed == last:
            link.send("at its last bill")
            link.recv()

    books = Books(path, before)
    receiver = pipe.receiver("metering", "dies" if last else "lives")
    while not link.poll(0):
        for delivery in receiver.take(0.05, _BATCH):
            try:
                work(delivery, books)
            except Exception as error:
                return f"{type(error).__name__}: {error} in line {line_in(error, work)}"
    return "nothing"


def _operation(came: Came) -> Operation:
    return Operation(came.id, "image_downloaded", ImageDownloaded(1, came.project, came.amount))
