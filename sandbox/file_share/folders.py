"""What the spool leaves on disk: folders, file names, how a file is published and how one is safely read.

    spool/
      new/              files being written; nobody looks here
      states/           one snapshot per volume, replaced as a whole
      answers/<sender>/ answers for one sender
      ask/              the box of requests, and of each group of listeners:
      tell.<group>/
        ready/          <stamp>.<sender>.<attempt>             to be claimed
        claimed/        <stamp>.<sender>.<attempt>.<deadline>  being worked on, until the deadline
        later/          the same                               released, not to be delivered before the deadline
        dead/           set aside, each with its reason beside it

Stamps and deadlines are ns of `time.monotonic_ns`, padded with zeros: sorting names sorts times.
"""

# Plain strings all through: a Path costs as much as the system call it is for.
# ruff: noqa: PTH104, PTH108

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.channel import Envelope
from sandbox.errors import BadArgument, Definite, Indefinite, Malformed, TooLarge
from sandbox.exchange.schema import UNREADABLE
from sandbox.site import Site

#: Longest encoded body; a file may be longer by the envelope.
MAX_BYTES = 1 << 20
_ENVELOPE_BYTES = 1024

_WORD = r"[A-Za-z0-9_-]{1,64}"
#: groups: stamp and sender, attempt
MESSAGE = re.compile(rf"([0-9]{{20}}\.{_WORD})\.([0-9]{{1,9}})")
#: groups: the same and the deadline
CLAIM = re.compile(rf"{MESSAGE.pattern}\.([0-9]{{20}})")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
#: What `open` says of a link, a pipe or socket, a file that is not for us (on BSD: EMLINK for a link, EOPNOTSUPP).
_NOT_PLAIN = {errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM}


def word(what: str, name: str) -> str:
    """`name`, if it can be part of a file name; else `BadArgument`."""
    if not re.fullmatch(_WORD, name):
        raise BadArgument(what, expected="1 to 64 letters, digits, dashes and underscores", got=name)
    return name


def root_of(site: Site) -> str:
    """The folder of the spool."""
    return f"{site.folder}/spool"


def installed(site: Site) -> str:
    """The same, or `BadArgument` when it is not there."""
    root = root_of(site)
    if not Path(root).is_dir():
        raise BadArgument("site", expected="one on which this channel is installed", got=root, hint="Call install.")
    return root


class Publisher:
    """Puts whole files in place for one participant. `flush`: file and folder reach the disk before it returns."""

    def __init__(self, root: str, name: str, flush: bool) -> None:
        self._new, self._name, self._flush = f"{root}/new", name, flush
        self._last = 0

    def stamp(self) -> str:
        """A name that nobody else gives and that sorts after all that this participant gave before."""
        now = time.monotonic_ns()
        self._last = now if now > self._last else self._last + 1
        return f"{self._last:020d}.{self._name}"

    def publish(self, data: bytes, folders: Sequence[str]) -> None:
        """One file, visible in every folder.

        Raises `Definite` when it has become visible nowhere, `Indefinite` when it may be in some.
        """
        stamp = self.stamp()
        new = self._write(stamp, data)
        published = 0
        try:
            if len(folders) == 1:
                os.rename(new, f"{folders[0]}/{stamp}.1")
                published = 1
            else:
                for folder in folders:
                    os.link(new, f"{folder}/{stamp}.1")
                    published += 1
                os.unlink(new)
            if self._flush:
                for folder in folders:
                    _sync_folder(folder)
        except OSError as error:
            kind = Indefinite if published else Definite
            raise kind(f"published in {published} of {len(folders)} folders: {error}") from None

    def replace(self, data: bytes, folder: str, name: str) -> None:
        """Replace a file as a whole: a reader sees the old one or the new one. Errors as in `publish`."""
        new = self._write(self.stamp(), data)
        try:
            os.rename(new, f"{folder}/{name}")
        except OSError as error:
            raise Definite(f"not replaced: {error}") from None
        if self._flush:
            try:
                _sync_folder(folder)
            except OSError as error:
                raise Indefinite(f"replaced, but perhaps not on disk: {error}") from None

    def _write(self, stamp: str, data: bytes) -> str:
        new = f"{self._new}/{stamp}"
        try:
            fd = os.open(new, _CREATE, 0o600)
            try:
                if os.write(fd, data) != len(data):
                    raise OSError(errno.ENOSPC, "only part of it could be written")
                if self._flush:
                    _sync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            Path(new).unlink(missing_ok=True)
            raise Definite(f"not written: {error}") from None
        return new


def read_plain(path: str, longest: int) -> bytes:
    """The content of a plain file of at most `longest` bytes; `Malformed` or `TooLarge` for anything else.

    Follows no link, waits for no pipe, reads nothing that is too long. FileNotFoundError if it is gone;
    any other OSError is not the file's fault.
    """
    try:
        fd = os.open(path, _OPEN)
    except OSError as error:
        if error.errno not in _NOT_PLAIN:
            raise
        raise Malformed(f"not a plain file that can be opened: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Malformed(f"not a plain file: {stat.filemode(status.st_mode)}")
        if status.st_size > longest:
            raise TooLarge(f"{status.st_size} bytes in the file, at most {longest}")
        return os.read(fd, status.st_size)
    finally:
        os.close(fd)


def read_envelope(path: str, decode: Callable[[bytes], Envelope]) -> Envelope:
    """The envelope in a file, its body still encoded; errors as in `read_plain`."""
    data = read_plain(path, MAX_BYTES + _ENVELOPE_BYTES)
    try:
        envelope = decode(data)
    except UNREADABLE as error:
        raise Malformed(f"not an envelope: {error}") from None
    if len(envelope.body) > MAX_BYTES:
        raise TooLarge(f"a body of {len(envelope.body)} bytes, at most {MAX_BYTES}")
    return envelope


def _sync(fd: int) -> None:
    """Flush to the disk itself: on macOS, fsync alone stops at the drive's memory."""
    os.fsync(fd)
    if hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
