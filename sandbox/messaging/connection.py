"""One connection to the broker: commands go out without waiting, responses come back in order.

Why not redis-py: it retries ten times by default, so that one lost response makes two entries; it gives
up a blocking read after five seconds; it waits for every response; and its import costs 0.1 s in every
participant. What is left without it is a socket, with hiredis to pack and to parse.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from sandbox.errors import BadArgument, ConnectionLost, RunFailed, ServerUnavailable

#: what a command may consist of
Word = str | bytes | int
#: the bytes of a command (hiredis declares a command of a single word, and takes any number)
pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)
#: an error response: the server has read the command and refused it
Refused = hiredis.ReplyError

#: seconds for the first connection of an end, for one attempt to get a broken one back, and between two of these
CONNECT, RECONNECT, PAUSE = 5.0, 0.25, 0.05

_CHUNK = 1 << 18
_MISSING = object()


class Address(NamedTuple):
    """Where the broker is: ``unix:///path.sock`` or ``redis://[user:password@]host[:port][/database]``."""

    place: str | tuple[str, int]
    user: str
    password: str
    database: int

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address in a URL. Raises `BadArgument`, without the URL: it may hold a password."""
        try:
            parts = urlsplit(url)
            host, port = unquote(parts.hostname or ""), parts.port or 6379
            path = unquote(parts.path)
            number = path.strip("/") if parts.scheme == "redis" else parse_qs(parts.query).get("db", [""])[0]
            database = int(number or 0)
        except ValueError:
            raise cls._unreadable("one that is none") from None
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme == "unix" and path:
            return cls(path, user, password, database)
        if parts.scheme == "redis" and host:
            return cls((host, port), user, password, database)
        raise cls._unreadable(f"scheme {parts.scheme!r}")

    @staticmethod
    def _unreadable(got: str) -> BadArgument:
        return BadArgument("address of the broker", expected="unix:///path.sock or redis://host:port/0", got=got)

    def __str__(self) -> str:
        return self.place if isinstance(self.place, str) else f"{self.place[0]}:{self.place[1]}"


def connect(address: Address, timeout: float) -> socket.socket:
    """A blocking socket to a broker that answers (not one that still loads its file).

    Raises `ConnectionLost` with the reason, after at most about `timeout` s.
    """
    try:
        sock = _connected(address.place, timeout)
        try:
            _greet(sock, address)
        except BaseException:
            sock.close()
            raise
    except (OSError, hiredis.HiredisError) as error:
        raise ConnectionLost(f"no connection to the broker at {address}: {error}") from None
    sock.settimeout(None)
    return sock


def _connected(place: str | tuple[str, int], timeout: float) -> socket.socket:
    if not isinstance(place, str):
        sock = socket.create_connection(place, timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout)
        sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return sock


def _greet(sock: socket.socket, address: Address) -> None:
    greeting: list[tuple[Word, ...]] = []
    if address.password:
        greeting.append(("AUTH", address.user or "default", address.password))
    if address.database:
        greeting.append(("SELECT", address.database))
    greeting.append(("PING",))
    sock.sendall(b"".join(pack(command) for command in greeting))
    reader = hiredis.Reader(notEnoughData=_MISSING)
    for _ in greeting:
        while (response := reader.gets()) is _MISSING:
            data = sock.recv(4096)
            if not data:
                raise OSError("it closes the connection at once")
            reader.feed(data)
        if isinstance(response, Exception):
            raise response


class Line:
    """A connection whose commands carry a tag, which comes back with the response.

    open    tags of the commands whose response has not come, oldest first
    unsent  bytes that the kernel has not taken yet: its buffer is full, because the broker does not read

    Once `ConnectionLost` was raised by `receive`, the line is closed and what is left in `open` has
    no response; make a new line.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        """Connect; `ConnectionLost` after at most about `timeout` s."""
        self._socket = connect(address, timeout)
        self._socket.setblocking(False)
        #: for `select`
        self.fileno = self._socket.fileno
        self._reader = hiredis.Reader(notEnoughData=_MISSING)
        self.open: deque[Any] = deque()
        self.unsent = bytearray()

    def put(self, tag: Any, command: tuple[Word, ...]) -> None:
        """Add a command to what `flush` sends."""
        self.unsent += pack(command)
        self.open.append(tag)

    def flush(self) -> None:
        """Send what the kernel takes now; never waits.

        Raises `ConnectionLost` when it takes nothing any more. Responses that came before can still be received.
        """
        try:
            sent = self._socket.send(self.unsent)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionLost(_lost(error)) from None
        del self.unsent[:sent]

    def send(self, tag: Any, packed: bytes) -> None:
        """Send one command now, packed already; never waits.

        Raises `ConnectionLost` when surely no byte of it has gone; it is not open then.
        """
        if self.unsent:
            self.unsent += packed
        else:
            try:
                sent = self._socket.send(packed)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise ConnectionLost(_lost(error)) from None
            self.unsent += packed[sent:]
        self.open.append(tag)

    def receive(self) -> list[tuple[Any, Any]]:
        """Tag and response of each command whose response has come; an error response is a `Refused`.

        Raises `ConnectionLost` when the connection has ended and nothing more will come.
        """
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError as error:
            raise self._ended(_lost(error)) from None
        if not data:
            raise self._ended("the broker closed the connection")
        reader, tags = self._reader, self.open
        found = []
        try:
            reader.feed(data)
            while (response := reader.gets()) is not _MISSING:
                found.append((tags.popleft(), response))
        except (hiredis.ProtocolError, IndexError) as error:
            raise self._ended(f"what came is not the broker's protocol ({error})") from None
        return found

    def call(self, *command: Word, timeout: float = 5.0) -> Any:
        """Send one command and wait for its response, when no other is open.

        Raises `RunFailed` when the broker refuses it, `ConnectionLost` when no response comes within `timeout` s.
        """
        self.put(None, command)
        self.flush()
        while self.open:
            if not wait([self], timeout):
                raise self._ended(f"no response within {timeout:g} s")
            for _, response in self.receive():
                if isinstance(response, Refused):
                    raise RunFailed(f"the broker refused {command[0]!s}: {response}")
                return response
        raise AssertionError("a response without a tag")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _ended(self, reason: str) -> ConnectionLost:
        self.close()
        return ConnectionLost(reason)


def wait(lines: Sequence[Line], timeout: float) -> list[Line]:
    """The lines on which something has come; waits up to `timeout` s for the first.

    By `select`, whose timeout is exact to a microsecond: `poll` would round a pacer's wait up to a millisecond.
    """
    end = time.monotonic() + timeout
    while True:
        writers = [line for line in lines if line.unsent]
        readable, writable, _ = select.select(lines, writers, (), timeout if timeout > 0 else 0)
        for line in writable:
            try:
                line.flush()
            except ConnectionLost:  # then reading finds out as well, and first finds what had come before
                if line not in readable:
                    readable.append(line)
        if readable or not writable:
            return readable
        timeout = end - time.monotonic()


def open_line(address: Address, timeout: float) -> Line:
    """The first line of an end: `ServerUnavailable` with the way out where there is no broker."""
    try:
        return Line(address, timeout)
    except ConnectionLost as error:
        raise ServerUnavailable(
            "The broker", str(error), way_out="What to do: start it, or correct the address in the site."
        ) from None


def _lost(error: OSError) -> str:
    return f"the connection to the broker broke: {os.strerror(error.errno) if error.errno else error}"
