"""A participant: one process that does what it is told over a pipe, and dies with its guard.

Both ends of a participant stand here: `participate` runs in it, `Participant` is how the session
holds it. Code travels by value (`by_value`) over the pipe from its own parent, from nowhere else.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from sandbox.errors import RunFailed

if TYPE_CHECKING:
    from sandbox.harness.session import Session

#: how a task talks to the session while it runs: `send(message)`, `recv()`, `poll(timeout)`
Link = Connection


def participate(link_fd: int, life_fd: int) -> None:
    """Serve tasks until the link closes. `life_fd` is at its end when the guard has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the notebook's stop button is the session's business
    threading.Thread(target=_die_with_guard, args=(life_fd,), daemon=True).start()
    link = Connection(link_fd)
    while True:
        try:
            task = link.recv_bytes()
        except EOFError:
            return
        try:
            function, arguments = pickle.loads(task)  # of its own parent, over the pipe it was born with
            link.send(("done", function(link, *arguments)))
        except (BrokenPipeError, EOFError):
            return
        except BaseException:
            link.send(("failed", traceback.format_exc()))


def _die_with_guard(life_fd: int) -> None:
    os.read(life_fd, 1)
    os._exit(1)


class Participant:
    """The session's hold on one participant."""

    def __init__(self, session: Session, name: str, pid: int, link: Connection) -> None:
        self._session, self.name, self.pid, self._link = session, name, pid, link

    def begin(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have it run ``function(link, *arguments)``; the result comes with `finish`."""
        from sandbox.harness.by_value import dumps

        self._link.send_bytes(dumps((function, arguments)))

    def send(self, message: Any) -> None:
        """A message to the running task (nothing if it is dead)."""
        try:
            self._link.send(message)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self, timeout: float | None = None) -> Any:
        """The next message of the running task.

        Raises `RunFailed` with its traceback when the task failed, `EOFError` when the participant
        died, `TimeoutError` after `timeout` seconds.
        """
        if not self._link.poll(timeout):
            raise TimeoutError(f"{self.name} sent nothing for {timeout} s")
        try:
            message = self._link.recv()
        except ConnectionResetError:
            raise EOFError from None
        if isinstance(message, tuple) and message and message[0] == "failed":
            raise RunFailed(f"{self.name} failed:\n{message[1]}")
        return message

    def poll(self) -> bool:
        """Whether `receive` would return (or raise) at once."""
        return self._link.poll(0)

    def finish(self, timeout: float | None = None) -> Any:
        """Wait for the running task's result; other messages are passed over. Errors as in `receive`."""
        while True:
            message = self.receive(timeout)
            if isinstance(message, tuple) and message and message[0] == "done":
                return message[1]

    def kill(self) -> None:
        """SIGKILL, now; paused or not."""
        self._session.signal(self.pid, signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP."""
        self._session.signal(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._session.signal(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it: its link closes, and it is killed so that it cannot linger."""
        self._link.close()
        self._session.signal(self.pid, signal.SIGKILL)
