"""Another process that carries out put, take and settle, and that can be stopped before any step on files.

A step is a call into the operating system's file functions: open, write, rename, unlink, ... What another process does
in the same folder falls between two of them. So whoever stops one process before each step in turn, and lets the other
act meanwhile, has tried every way in which one can interrupt the other once, and has not waited for luck.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import linecache
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

_MODULES = {"posix", "io", "_io", "fcntl"}
#: of these modules, but they touch no file
_HARMLESS = {"fspath", "getpid", "urandom", "text_encoding", "isatty", "fileno", "readable", "writable", "seekable"}
#: seconds in which anything ends that waits for nobody
WAIT = 10.0
#: seconds after which it is taken for waiting, when the same party has been seen to wait for a stopped one before
_BLOCKED = 0.2


@dataclass(frozen=True)
class Step:
    """Where a process was stopped: before `call`, in the student's `line` (its text is `code`).

    inside  names of the library's functions in between
    """

    call: str
    line: int
    inside: tuple[str, ...]
    code: str = ""


@dataclass(frozen=True)
class Done:
    """What put, take or settle came to.

    value   of take: the data, or None
    error   class of the exception that it raised;  text: what that says
    where   function and line of the student's code that raised it;  code: the text of that line
    calls   the steps it took, by name
    """

    value: Any = None
    error: str = ""
    text: str = ""
    where: str = ""
    line: int = 0
    code: str = ""
    calls: tuple[str, ...] = ()


@dataclass
class Party:
    """The hold on one such process, whose student's code stands in `file`. `do` is begin and end in one."""

    member: Participant
    file: str
    _busy: bool = False
    _early: Done | None = None  # was done before it came to the step at which it was to stop

    def begin(self, verb: str, *arguments: Any, stop: int = 0) -> Step | None:
        """Begin put, take or settle; where it was stopped before its `stop`th step, None if it has fewer (or 0)."""
        self.member.send((verb, arguments, stop))
        self._busy = True
        message = self._receive(WAIT) if stop else None
        if isinstance(message, Done):
            self._busy, self._early = False, message
            return None
        return message

    def go_on(self) -> None:
        """Let it go on."""
        self.member.send("go on")

    def end(self, patience: float = WAIT) -> Done | None:
        """What it came to; None: it is still not done after `patience` seconds."""
        if not self._busy:
            return self._early
        try:
            message = self._receive(patience)
        except TimeoutError:
            return None
        self._busy = False
        assert isinstance(message, Done)
        return message

    def _receive(self, patience: float) -> Step | Done:
        """With the text of the line, which only we can look up: a cell of a notebook is no file for another process."""
        message: Step | Done = self.member.receive(patience)
        return dataclasses.replace(message, code=linecache.getline(self.file, message.line).strip())

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
        self._file = _file_of(channel)
        self._patience = WAIT / 3
        self._members: list[Participant] = []

    def new(self, name: str) -> Party:
        """A new process, with the channel opened in it."""
        self._members.append(member := self._session.participant(name))
        member.begin(_act, self._channel, self.site)
        return Party(member, self._file)

    def meanwhile(self, party: Party, verb: str, *arguments: Any) -> Done | None:
        """Have it act while another is stopped; None: it waits for the other (a kernel's lock is no mistake).

        That takes long patience once, because a busy machine is slow too; from then on a short one is enough.
        """
        done = party.do(verb, *arguments, patience=self._patience)
        if done is None:
            self._patience = _BLOCKED
        return done

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
    source = _file_of(channel)
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
                token, value = _pair(value)
            link.send(Done(value, calls=tuple(steps.calls)))
        except Exception as error:
            link.send(_raised(error, source, tuple(steps.calls)))


def _pair(taken: Any) -> tuple[Any, bytes]:
    if isinstance(taken, tuple) and len(taken) == 2 and isinstance(taken[1], bytes):
        return taken
    raise TypeError(f"take must return None or (token, bytes), not {taken!r:.80}")


def _file_of(channel: Channel) -> str:
    """What the student's code calls its file: not the same in the process that has got it by value."""
    return str(inspect.unwrap(type(channel).put).__code__.co_filename)  # type: ignore[attr-defined]


def _raised(error: Exception, source: str, calls: tuple[str, ...]) -> Done:
    """With the last line of the student's own on the way to the error."""
    where, line, trace = "", 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == source:
            where, line = trace.tb_frame.f_code.co_name, trace.tb_lineno
        trace = trace.tb_next
    return Done(error=type(error).__name__, text=str(error), where=where, line=line, calls=calls)


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
    if call.__name__ in _HARMLESS:
        return False
    owner = getattr(call, "__self__", None)
    return isinstance(owner, io.IOBase) or getattr(owner, "__name__", "") in _MODULES


def _step(frame: FrameType, call: str, source: str) -> Step:
    inside, at = [], frame
    while at.f_back is not None and at.f_code.co_filename != source:
        inside.append(at.f_code.co_name)
        at = at.f_back
    return Step(call, at.f_lineno, tuple(inside))
