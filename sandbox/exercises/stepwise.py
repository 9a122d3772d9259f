"""Another process that carries out put, take and settle, and that can be stopped before any step on files.

A step is a call into the operating system's file functions: open, write, rename, unlink, ... Two processes that touch
the same folder can be interleaved at these points and at no others, so whoever stops one of them before each step in
turn, and lets the other act meanwhile, has tried every order there is, and has not waited for luck.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from sandbox.channel import Channel
from sandbox.exchange.schema import EXCHANGE
from sandbox.harness.participant import Link, Participant
from sandbox.site import Site

if TYPE_CHECKING:
    from sandbox.harness.session import Session

_MODULES = {"posix", "_io", "fcntl"}
#: of these modules, but they touch no file
_HARMLESS = {"fspath", "getpid", "urandom", "fsencode", "fsdecode", "text_encoding", "isatty"}
#: seconds in which anything ends that waits for nobody
WAIT = 10.0


@dataclass(frozen=True)
class Step:
    """Where a process was stopped: before `call`, in the student's `line` of `file`, inside library function `inside`."""

    call: str
    file: str
    line: int
    inside: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """What put, take or settle came to: `value` (of take: the data, or None), or the `error` that it raised.

    calls   the steps it took, by name
    line    number of the student's line that raised;  error is the name of its class, `text` what it says
    """

    value: Any = None
    error: str = ""
    text: str = ""
    where: str = ""
    line: int = 0
    file: str = ""
    calls: tuple[str, ...] = ()


@dataclass
class Party:
    """The hold on one such process: `do` is begin and end in one. A context manager through `parties`."""

    member: Participant
    _busy: bool = False
    _early: Done | None = None  # was done before it came to the step at which it was to stop

    def begin(self, verb: str, *arguments: Any, stop: int = 0) -> Step | None:
        """Begin put, take or settle; where it was stopped before its `stop`th step, None if it has fewer (or 0)."""
        self.member.send((verb, arguments, stop))
        self._busy = True
        message = self.member.receive(WAIT) if stop else None
        if isinstance(message, Done):
            self._busy, self._early = False, message
            return None
        assert message is None or isinstance(message, Step)
        return message

    def go_on(self) -> None:
        """Let it go on."""
        self.member.send("go on")

    def end(self, patience: float = WAIT) -> Done | None:
        """What it came to; None: it is still not done after `patience` seconds."""
        if not self._busy:
            return self._early
        try:
            message = self.member.receive(patience)
        except TimeoutError:
            return None
        self._busy = False
        assert isinstance(message, Done)
        return message

    def do(self, verb: str, *arguments: Any, patience: float = WAIT) -> Done | None:
        """All of it."""
        self.begin(verb, *arguments)
        return self.end(patience)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self.member.kill()
        try:
            while True:
                self.member.receive(WAIT)
        except EOFError:
            pass


class Parties:
    """Starts such processes for one channel on one site, and ends them."""

    def __init__(self, session: Session, channel: Channel) -> None:
        self._session, self._channel = session, channel
        self.site = session.site(channel)
        channel.install(self.site, EXCHANGE)
        self._members: list[Participant] = []

    def new(self, name: str) -> Party:
        """A new process, with the channel opened in it."""
        self._members.append(member := self._session.participant(name))
        member.begin(_act, self._channel, self.site)
        return Party(member)

    def close(self) -> None:
        """End all of them, stuck ones too."""
        for member in self._members:
            member.close()


@contextmanager
def parties(session: Session, channel: Channel) -> Iterator[Parties]:
    """Processes that end with the block."""
    opened = Parties(session, channel)
    try:
        yield opened
    finally:
        opened.close()


def _act(link: Link, channel: Any, site: Site) -> None:
    """What such a process does: as it is told, one act after the other. `settle` is for what it took last."""
    place = channel.open(site)
    source = type(channel).put.__code__.co_filename
    token: Any = None
    while True:
        verb, arguments, stop = link.recv()
        steps = _Steps(link, source, stop)
        try:
            with steps:
                if verb == "settle":
                    arguments = (*arguments, token)
                value = getattr(channel, verb)(place, *arguments)
                if verb == "take" and value is not None:
                    token, value = value
            link.send(Done(value, calls=tuple(steps.calls)))
        except Exception as error:
            link.send(_raised(error, source, tuple(steps.calls)))


def _raised(error: Exception, source: str, calls: tuple[str, ...]) -> Done:
    """With the last line of the student's own on the way to the error."""
    where, line, trace = "", 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == source:
            where, line = trace.tb_frame.f_code.co_name, trace.tb_lineno
        trace = trace.tb_next
    return Done(error=type(error).__name__, text=str(error), where=where, line=line, file=source, calls=calls)


class _Steps:
    """Counts steps while it is entered, and stops before one of them until a message comes."""

    def __init__(self, link: Link, source: str, stop: int) -> None:
        self._link, self._source, self._stop = link, source, stop
        self.calls: list[str] = []

    def __enter__(self) -> None:
        sys.setprofile(self._look)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, call: Any) -> None:
        if event != "c_call" or not _is_step(call):
            return
        self.calls.append(call.__name__)
        if len(self.calls) == self._stop:
            self._link.send(_step(frame, call.__name__, self._source))
            self._link.recv()


def _is_step(call: Any) -> bool:
    owner = call.__self__
    if isinstance(owner, io.IOBase):
        return True
    return getattr(owner, "__name__", "") in _MODULES and call.__name__ not in _HARMLESS


def _step(frame: FrameType, call: str, source: str) -> Step:
    inside, at = [], frame
    while at.f_back is not None and at.f_code.co_filename != source:
        inside.append(at.f_code.co_name)
        at = at.f_back
    return Step(call, source, at.f_lineno, tuple(inside))
