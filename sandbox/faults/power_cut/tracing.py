"""The process that traces the others: it starts the servers of a trial itself, and stops everybody at each call.

Its order is the true one: who is stopped at the end of a call has not gone on, so nothing that follows from the call
can have been seen before it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.faults.power_cut import ptrace
from sandbox.faults.power_cut.calls import Event, Reader, numbers
from sandbox.faults.power_cut.ptrace import Call
from sandbox.harness.cleaning import die_with_parent
from sandbox.harness.participant import Link
from sandbox.servers import Server, start
from sandbox.servers.process import PopenProcess

_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def trace(link: Link, folders: Mapping[str, Path], mark: bytes, words: Sequence[bytes]) -> None:
    """What the process does. Sends the servers' addresses, or why there are none; then is told whom to trace.

    folders  medium -> the folder of its server
    mark     what the ends write to say where they are; the one that ends with "end" ends it all
    words    what is looked for in all that is written; the rest of it is not kept

    Sends what happened in the end: the events in their order, and which file somebody may have written unseen.
    """
    servers: list[Server] = []
    try:
        for medium, folder in folders.items():
            servers.append(start(medium, folder, _spawn))
            if servers[-1].external:
                link.send(f"the server is yours: {servers[-1].label}")
                return
        link.send({server.medium: server.address for server in servers})
        ends: dict[str, int] = link.recv()
        tracer = _Tracer(mark, words)
        try:
            for server in [*servers, *servers]:  # twice: one that a server has just started is found then
                tracer.seize(server.processes(), server.label.split()[0])
            for name, pid in ends.items():
                tracer.seize([pid], name)
        except OSError as error:
            link.send(f"this system lets no process be traced ({error.strerror})")
            return
        link.send("traced")
        unseen = tracer.watch(ends["sender"])
        link.send((tracer.events, unseen))
    except SandboxError as error:
        link.send(str(error).splitlines()[0])
    finally:
        for server in servers:
            _end(server)


def _spawn(argv: Sequence[str], env: Mapping[str, str], log: Path) -> PopenProcess:
    """Starts a server as a child of this process, which may trace its own children, and which it does not survive."""
    with log.open("ab") as output:
        return PopenProcess(
            subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        )


class _Tracer:
    """Everybody who is traced. events: what they did, in its order."""

    def __init__(self, mark: bytes, words: Sequence[bytes]) -> None:
        self._mark, self._words, self._calls = mark, words, numbers()
        self._readers: dict[int, Reader] = {}
        self._threads: dict[int, Reader] = {}
        self._under_way: dict[int, Call] = {}
        self.events: list[Event] = []

    def seize(self, pids: Sequence[int], name: str) -> None:
        """Trace processes with all their threads, and whatever they start from now on."""
        for pid in pids:
            self._readers.setdefault(pid, Reader(pid, name, self._mark))
            with contextlib.suppress(FileNotFoundError):  # it has ended since it was looked up
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    _seize(int(thread.name))

    def watch(self, sender: int) -> str:
        """Until the last mark, or the end of the sender; a file that may have been written unseen, or ""."""
        while True:
            try:
                thread, status = os.waitpid(-1, ptrace.WALL)
            except ChildProcessError:
                return ""
            if not os.WIFSTOPPED(status):
                self._threads.pop(thread, None)
                self._readers.pop(thread, None)
                if thread == sender:
                    return ""
                continue
            number, event = os.WSTOPSIG(status), status >> 16
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it was killed where it stood
                if number == ptrace.AT_CALL:
                    self._at_call(thread)
                    if self.events and self.events[-1].data == self._mark + b"end":
                        return next(filter(None, (each.writes_mapped() for each in self._ends())), "")
                if event == ptrace.EVENT_STOP and number in _STOPS:
                    ptrace.stay(thread)
                else:
                    ptrace.go_on(thread, 0 if event or number == ptrace.AT_CALL else number)

    def _ends(self) -> list[Reader]:
        return [reader for reader in self._readers.values() if reader.name in ("sender", "receiver")]

    def _at_call(self, thread: int) -> None:
        call = ptrace.call_at(thread)
        if call is None:
            return
        if not call.ends:
            if call.number in self._calls:
                self._under_way[thread] = call
                self._reader(thread).begins(call)
            return
        begun = self._under_way.pop(thread, None)
        if begun is not None:
            for event in self._reader(thread).ends(begun, call.result):
                self.events.append(self._less(event))

    def _less(self, event: Event) -> Event:
        """Without the data that is not looked for."""
        if event.what == "mark":
            return event
        return event._replace(data=b" ".join(word for word in self._words if word in event.data))

    def _reader(self, thread: int) -> Reader:
        """Of the process that a thread belongs to; one that was started meanwhile is called after its parent."""
        if thread not in self._threads:
            pid = _number_of(thread, "Tgid")
            if pid not in self._readers:
                parent = self._readers.get(_number_of(thread, "PPid"))
                self._readers[pid] = Reader(pid, parent.name if parent else "its child", self._mark)
            self._threads[thread] = self._readers[pid]
        return self._threads[thread]


def _seize(thread: int) -> None:
    """Trace it, unless it is traced already, as its parent was seized before it came, or it has just ended.

    `PermissionError` where it still lives and may not be traced.
    """
    refused: PermissionError | None = None
    for _ in range(20):
        try:
            return ptrace.seize(thread)
        except ProcessLookupError:
            return None
        except PermissionError as error:  # also said of one that is about to end
            if _number_of(thread, "TracerPid") == os.getpid() or _word_of(thread, "State") in "ZX":
                return None
            refused = error
            time.sleep(0.005)
    assert refused is not None
    raise refused


def _word_of(thread: int, what: str) -> str:
    for line in Path(f"/proc/{thread}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return line.split()[1]
    return ""


def _number_of(thread: int, what: str) -> int:
    return int(_word_of(thread, what) or 0)


def _end(server: Server) -> None:
    """Kill its processes and collect all their threads, which only their tracer can; then give back what they leave."""
    for pid in server.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    with contextlib.suppress(ChildProcessError):
        while (server.processes()[1:] or _lives(server.pid)) and time.monotonic() < deadline:
            if os.waitpid(-1, ptrace.WALL | os.WNOHANG)[0] == 0:
                time.sleep(0.002)
    server.stop()


def _lives(pid: int | None) -> bool:
    try:
        return pid is not None and _number_of(pid, "Tgid") == pid
    except OSError:
        return False
