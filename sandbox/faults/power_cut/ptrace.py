"""What we need of the kernel's interface for tracers (Linux, 5.3 or later), through ctypes."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import NamedTuple

_CONT_TO_NEXT_CALL, _SEIZE, _INTERRUPT, _LISTEN, _SYSCALL_INFO = 24, 0x4206, 0x4207, 0x4208, 0x420E
# calls are told from signals; whoever is forked or cloned is traced as well; all of them die with the tracer
_OPTIONS = 0x01 | 0x02 | 0x04 | 0x08 | 0x100000
_ENTRY, _EXIT = 1, 2
#: `waitpid`: threads too
WALL = 0x40000000
#: what `os.WSTOPSIG` says of a stop at a system call
AT_CALL = 5 | 0x80
#: the event of a stop that is none of a system call's
EVENT_STOP = 128

_PR_SET_PTRACER = 0x59616D61


class Call(NamedTuple):
    """A system call, as it begins or as it ends.

    ends    whether it ends;  number, arguments: as it began;  result: when it ends
    """

    ends: bool
    number: int
    arguments: tuple[int, ...]
    result: int = 0


class _Info(ctypes.Structure):
    _fields_ = (
        *(("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32)),
        *(("ip", ctypes.c_uint64), ("sp", ctypes.c_uint64), ("data", ctypes.c_uint64 * 8)),
    )


def seize(thread: int) -> None:
    """Trace a thread from now on, and stop it for a moment. `PermissionError` where the system does not let us."""
    _ptrace(_SEIZE, thread, 0, _OPTIONS)
    _ptrace(_INTERRUPT, thread, 0, 0)


def go_on(thread: int, signal: int = 0) -> None:
    """Let a stopped thread run to the beginning or end of its next system call, with a signal to be delivered."""
    _ptrace(_CONT_TO_NEXT_CALL, thread, 0, signal)


def stay(thread: int) -> None:
    """Leave a thread that a signal has stopped as it is, until a signal lets it go on."""
    _ptrace(_LISTEN, thread, 0, 0)


def call_at(thread: int) -> Call | None:
    """At which system call a thread stands that has stopped at one; the arguments only as it begins."""
    info = _Info()
    _ptrace(_SYSCALL_INFO, thread, ctypes.sizeof(info), ctypes.addressof(info))
    if info.op == _ENTRY:
        return Call(False, info.data[0], tuple(info.data[1:7]))
    if info.op == _EXIT:
        return Call(True, 0, (), ctypes.c_int64(info.data[0]).value)
    return None


def let_be_traced() -> None:
    """Let any process of the same user trace this one, where (Yama) only its parents may."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1 & (2 ** (8 * ctypes.sizeof(ctypes.c_ulong)) - 1)))


def _ptrace(request: int, thread: int, address: int, data: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    if libc.ptrace(request, thread, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
