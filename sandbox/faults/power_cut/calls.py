"""What a system call does to files, in our words: which file, which bytes, which name.

Arguments are read where they lie, in the memory of the process that makes the call, while it stands still.
"""

from __future__ import annotations

import os
import platform
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from sandbox.faults.power_cut.ptrace import Call

What = Literal["mark", "writes", "sends", "flushes", "names", "unnames"]
#: a file or folder: its device and inode
File = tuple[int, int]

#: bytes of one call that are looked through at most
_MOST = 4 << 20
_POINTERS = struct.Struct("@PN")
_AT_FDCWD = -100
_HERE = {"x86_64": 0, "aarch64": 1, "arm64": 1}
#: the numbers of a call on x86-64 and on ARM64; None: it has none there
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "write": (1, 64),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "pwritev": (296, 70),
    "pwritev2": (328, 287),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "sync": (162, 81),
    "syncfs": (306, 267),
    "open": (2, None),
    "creat": (85, None),
    "openat": (257, 56),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, None),
    "linkat": (265, 37),
    "unlink": (87, None),
    "unlinkat": (263, 35),
}


class Event(NamedTuple):
    """One thing that was done, in the order of its end.

    process  who: "sender", "postgres"
    file     which file or folder; None where it is none (a socket, all files)
    path     its name, for a reader: the last words of it
    data     of what is written or sent, and of a mark
    folder   of a name that is given or taken: the folder in which it is
    forced   it is written through to the disk (O_SYNC, O_DSYNC)
    """

    what: What
    process: str
    file: File | None = None
    path: str = ""
    data: bytes = b""
    folder: File | None = None
    forced: bool = False


def numbers() -> dict[int, str]:
    """Number -> name of the calls that are looked at, on this machine; empty: it is of a kind that we do not know."""
    column = _HERE.get(platform.machine())
    found = {} if column is None else {each[column]: name for name, each in _NUMBERS.items()}
    return {number: name for number, name in found.items() if number is not None}


class Reader:
    """Reads the calls of one process. `MARK`: what the ends write to say where they are; see `trial`."""

    def __init__(self, pid: int, name: str, mark: bytes) -> None:
        self._pid, self.name, self._mark = pid, name, mark
        self._numbers = numbers()
        self._made = self._gone = False
        self._old: File | None = None

    def begins(self, call: Call) -> None:
        """As a call begins: what cannot be told any more when it has ended."""
        name = self._numbers.get(call.number)
        arguments = call.arguments
        if name in ("open", "creat"):
            self._made = not os.path.lexists(self._path(_AT_FDCWD, arguments[0]))
        elif name == "openat":
            self._made = not os.path.lexists(self._path(arguments[0], arguments[1]))
        elif name in ("unlink", "unlinkat", "rename", "renameat", "renameat2"):
            at = name in ("unlinkat", "renameat", "renameat2")
            self._old = _identity(self._path(*(arguments[:2] if at else (_AT_FDCWD, arguments[0]))))

    def ends(self, call: Call, result: int) -> list[Event]:
        """When a call has ended well: what it has done."""
        name = self._numbers.get(call.number)
        if name is None or result < 0:
            return []
        does: dict[str, Callable[[str, tuple[int, ...], int], list[Event]]] = {
            **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg"), self._writes),
            **dict.fromkeys(("fsync", "fdatasync", "sync", "syncfs"), self._flushes),
            **dict.fromkeys(("open", "openat", "creat"), self._opens),
            **dict.fromkeys(("rename", "renameat", "renameat2", "link", "linkat"), self._moves),
            **dict.fromkeys(("unlink", "unlinkat"), self._unnames),
        }
        return does[name](name, call.arguments, result)

    def writes_mapped(self) -> str:
        """A file that this process may write through mapped memory; "" when there is none.

        That of SQLite is none: it holds where in its log a page is, and no row.
        """
        for line in Path(f"/proc/{self._pid}/maps").read_text().splitlines():
            words = line.split(maxsplit=5)
            shared = words[1].startswith("rw") and words[1].endswith("s")
            if shared and len(words) > 5 and not words[5].endswith("-shm") and Path(words[5]).is_file():
                return _last_words(words[5])
        return ""

    # --- one sort of call each ----------------------------------------------------------------------

    def _writes(self, name: str, arguments: tuple[int, ...], result: int) -> list[Event]:
        data = self._written(name, arguments, min(result, _MOST))
        if data.startswith(self._mark):
            return [Event("mark", self.name, data=data)]
        link = f"/proc/{self._pid}/fd/{arguments[0]}"
        try:
            status, path = os.stat(link), os.readlink(link)  # noqa: PTH115, PTH116 - a link of /proc is no path
        except OSError:
            return []
        if not stat.S_ISREG(status.st_mode):
            return [Event("sends", self.name, path=path.partition(":")[0], data=data)]
        forced = bool(self._flags(arguments[0]) & (os.O_SYNC | os.O_DSYNC))
        file = (status.st_dev, status.st_ino)
        return [Event("writes", self.name, file, _last_words(path), data, forced=forced)]

    def _flushes(self, name: str, arguments: tuple[int, ...], result: int) -> list[Event]:
        if name in ("sync", "syncfs"):
            return [Event("flushes", self.name, path="everything")]
        link = f"/proc/{self._pid}/fd/{arguments[0]}"
        try:
            return [Event("flushes", self.name, _identity(link, True), _last_words(os.readlink(link)))]  # noqa: PTH115
        except OSError:
            return []

    def _opens(self, name: str, arguments: tuple[int, ...], result: int) -> list[Event]:
        flags = {"open": 1, "openat": 2}.get(name)
        if not self._made or (flags is not None and not arguments[flags] & os.O_CREAT):
            return []
        return self._named(os.readlink(f"/proc/{self._pid}/fd/{result}"))  # noqa: PTH115

    def _moves(self, name: str, arguments: tuple[int, ...], result: int) -> list[Event]:
        at = name.endswith("at") or name == "renameat2"
        old, new = (arguments[:2], arguments[2:4]) if at else ((_AT_FDCWD, arguments[0]), (_AT_FDCWD, arguments[1]))
        gone = []
        if name.startswith("rename"):
            old_path = self._path(*old)
            gone = [Event("unnames", self.name, self._old, _last_words(old_path), folder=_folder(old_path))]
        return [*gone, *self._named(self._path(*new))]

    def _unnames(self, name: str, arguments: tuple[int, ...], result: int) -> list[Event]:
        path = self._path(*(arguments[:2] if name == "unlinkat" else (_AT_FDCWD, arguments[0])))
        return [Event("unnames", self.name, self._old, _last_words(path), folder=_folder(path))]

    def _named(self, path: str) -> list[Event]:
        return [Event("names", self.name, _identity(path), _last_words(path), folder=_folder(path))]

    # --- the memory of the process ------------------------------------------------------------------

    def _written(self, name: str, arguments: tuple[int, ...], count: int) -> bytes:
        if name in ("write", "pwrite64", "sendto"):
            return self._memory(arguments[1], count)
        vector, pieces = arguments[1], arguments[2]
        if name == "sendmsg":  # struct msghdr: name, its length, vector, its length
            vector, pieces = _POINTERS.unpack(self._memory(arguments[1] + 16, _POINTERS.size))
        whole = b""
        for start, length in _POINTERS.iter_unpack(self._memory(vector, min(pieces, 1024) * _POINTERS.size)):
            whole += self._memory(start, min(length, count - len(whole)))
            if len(whole) >= count:
                break
        return whole

    def _memory(self, address: int, count: int) -> bytes:
        memory = os.open(f"/proc/{self._pid}/mem", os.O_RDONLY)
        try:
            return os.pread(memory, count, address)
        except OSError:
            return b""
        finally:
            os.close(memory)

    def _path(self, folder: int, address: int) -> str:
        text = b""
        while b"\0" not in text and len(text) < 4096:  # page by page: the next one may not be there
            more = self._memory(address + len(text), 4096 - (address + len(text)) % 4096)
            if not more:
                break
            text += more
        name = os.fsdecode(text.partition(b"\0")[0])
        descriptor = struct.unpack("i", struct.pack("I", folder & 0xFFFFFFFF))[0]
        base = f"/proc/{self._pid}/" + ("cwd" if descriptor == _AT_FDCWD else f"fd/{descriptor}")
        return os.path.join(base, name)

    def _flags(self, descriptor: int) -> int:
        for line in Path(f"/proc/{self._pid}/fdinfo/{descriptor}").read_text().splitlines():
            if line.startswith("flags:"):
                return int(line.split()[1], 8)
        return 0


def _identity(path: str, follow: bool = False) -> File | None:
    try:
        status = os.stat(path, follow_symlinks=follow)  # noqa: PTH116 - device and inode, of whatever it is
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _folder(path: str) -> File | None:
    return _identity(os.path.dirname(path), True)  # noqa: PTH120


def _last_words(path: str) -> str:
    """Enough of a path for a reader, and nothing of the machine's folders."""
    return "/".join(Path(path).parts[-2:])
