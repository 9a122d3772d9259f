"""Where receivers are found: each announces itself by one file in the folder of its group.

    rpc/<group>/<name>.sock    a Unix socket that listens
    rpc/<group>/<name>.tcp     {"port": ..., "secret": ...} of a socket that listens on the loopback interface

No port is fixed: the system chooses it. Whoever cannot read the file does not have the secret and is refused.
An address "rpc" of the site takes the place of the folder ``rpc`` - there a proxy can announce itself instead.

A killed receiver's file stays behind. Whoever connects to it is refused at once, and looks for another.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from sandbox.errors import BadArgument
from sandbox.site import Site

Transport = Literal["unix", "tcp"]
#: longest path of a socket file, in bytes: 104 with the closing zero on macOS
LONGEST_PATH = 103
#: connections that the kernel holds for a receiver that is slow to accept them
BACKLOG = 512
#: a full backlog makes a connect over TCP wait; a sender must not, in s
_PATIENCE = 0.1
#: transport -> ending of the files that announce
SUFFIX = {"unix": ".sock", "tcp": ".tcp"}
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_LOOPBACK = "127.0.0.1"


class _Tcp(Struct, frozen=True, forbid_unknown_fields=True):
    port: Annotated[int, Meta(ge=1, le=65535)]
    secret: Annotated[str, Meta(min_length=32, max_length=128)]


@dataclass(frozen=True)
class Announced:
    """A listening socket, the file that announces it, and what a TCP peer must say first ("" on a Unix socket)."""

    listener: socket.socket
    file: Path
    secret: str

    def withdraw(self) -> None:
        """Stop listening; the file goes first, so that nobody comes in vain."""
        self.file.unlink(missing_ok=True)
        self.listener.close()


def folder_of(site: Site, group: str) -> Path:
    """The folder in which the receivers of a group announce themselves."""
    return Path(site.addresses.get("rpc", site.folder / "rpc")) / _plain("group", group)


def announce(folder: Path, name: str, transport: Transport) -> Announced:
    """Listen, and only then let it be seen. `BadArgument`: the name is taken, or its path too long for a socket."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (_plain("name", name) + SUFFIX[transport])
    # a dead receiver's port may be a stranger's by now, so only a socket file can tell that its owner lives
    if transport == "unix" and (reached := reach(file, transport)) is not None:
        reached[0].close()
        raise BadArgument("name", expected="one that no running receiver has", got=name)
    listen = _listen_unix if transport == "unix" else _listen_tcp
    return listen(file)


def _listen_unix(file: Path) -> Announced:
    if len(os.fsencode(file)) > LONGEST_PATH:
        raise BadArgument(
            "socket file",
            expected=f"a path of at most {LONGEST_PATH} bytes",
            got=str(file),
            hint="Take a shorter Site.folder or name, or transport='tcp'.",
        )
    hidden = file.with_suffix(".new")
    hidden.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(hidden))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    hidden.replace(file)
    return Announced(listener, file, "")


def _listen_tcp(file: Path) -> Announced:
    listener = socket.socket(socket.AF_INET)
    listener.bind((_LOOPBACK, 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    there = _Tcp(listener.getsockname()[1], os.urandom(32).hex())
    hidden = file.with_suffix(".new")
    hidden.unlink(missing_ok=True)
    with os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(msgspec.json.encode(there))
    hidden.replace(file)
    return Announced(listener, file, there.secret)


def reach(file: Path, transport: Transport) -> tuple[socket.socket, str] | None:
    """A socket that is connected to whoever announced itself by `file`, and its secret; None: nobody is there."""
    sock, secret = socket.socket(socket.AF_UNIX if transport == "unix" else socket.AF_INET), ""
    try:
        address: str | tuple[str, int] = str(file)
        if transport == "tcp":
            there = msgspec.json.decode(file.read_bytes()[:1000], type=_Tcp)
            address, secret = (_LOOPBACK, there.port), there.secret
        # the kernel answers for the peer, at once unless the peer's backlog is full
        sock.settimeout(0 if transport == "unix" else _PATIENCE)
        if sock.connect_ex(address) == 0:
            return sock, secret
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):  # a path too long, a file that is gone or not ours
        pass
    sock.close()
    return None


def _plain(what: str, name: str) -> str:
    """`name`, unless it could lead out of its folder."""
    if not _NAME.fullmatch(name):
        raise BadArgument(what, expected="letters, digits, dots, dashes, underscores, no leading dot", got=name)
    return name
