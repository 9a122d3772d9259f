"""Where a medium is behind its address, and the same address with the proxy in its place."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from sandbox.errors import BadArgument, ServerUnavailable
from sandbox.site import Site

LOOPBACK = "127.0.0.1"
#: path of a socket file, or host and port
Place = str | tuple[str, int]


@dataclass(frozen=True)
class Target:
    """Whom the proxy connects to.

    family  `socket.AF_UNIX`, `AF_INET` or `AF_INET6`; the proxy itself listens on a Unix socket, or on the loopback
            interface, as its target does
    place   as `socket.connect` wants it
    """

    family: int
    place: Place


def find(site: Site, medium: str) -> Target | Path:
    """Where the site has a medium: one socket, or for "rpc" the folder in which receivers announce themselves.

    Raises `BadArgument` for an address in which no single place can be found.
    """
    if medium == "rpc":
        return Path(site.addresses.get("rpc", site.folder / "rpc"))
    address = site.address(medium)
    return _target(_postgres(address) if medium == "postgres" else _broker(address), medium)


def through(site: Site, medium: str, here: Place | Path) -> str:
    """The site's address of a medium with the proxy in its place; user, password and database stay as they were."""
    if medium == "rpc":
        return str(here)
    address = site.address(medium)
    return _postgres_through(address, here) if medium == "postgres" else _broker_through(address, here)


def socket_file(medium: str, target: Target) -> str:
    """What the file of the proxy's own Unix socket must be called."""
    return Path(str(target.place)).name if medium == "postgres" else "s"  # libpq knows the folder and the port only


def _target(place: Place, medium: str) -> Target:
    if isinstance(place, str):
        return Target(socket.AF_UNIX, place)
    try:
        family, _, _, _, found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ServerUnavailable(f"The {medium} server", f"its host {place[0]} is not known ({error})") from None
    return Target(family, (str(found[0]), int(found[1])))


def _postgres(address: str) -> Place:
    parts = _settings(address)
    host, port = parts.get("hostaddr") or parts.get("host", ""), parts.get("port", "5432")
    if not host or "," in host or not port.isdecimal():
        raise BadArgument(
            "address of PostgreSQL",
            expected="one that names one host and one port",
            got=f"host {host!r}, port {port!r}",
            hint="A proxy stands before one server: name it in SANDBOX_POSTGRES_URL.",
        )
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port))


def _settings(address: str) -> Mapping[str, str]:
    """The settings of a libpq address, completed by what libpq takes from its environment."""
    from psycopg import pq

    try:
        given = pq.Conninfo.parse(address.encode())
    except Exception:  # psycopg's own error quotes the address, in which a password may stand
        raise BadArgument("address of PostgreSQL", expected="a libpq connection string", got="another one") from None
    options = [*pq.Conninfo.get_defaults(), *given]
    return {option.keyword.decode(): option.val.decode() for option in options if option.val is not None}


def _postgres_through(address: str, here: Place | Path) -> str:
    from psycopg.conninfo import make_conninfo

    if isinstance(here, tuple):  # `host` stays, so that a certificate is still compared with the right name
        return make_conninfo(address, hostaddr=here[0], port=here[1])
    return make_conninfo(address, host=str(Path(here).parent))


def _broker(address: str) -> Place:
    parts = urlsplit(address)
    if parts.scheme == "unix" and parts.path:
        return unquote(parts.path)
    if parts.scheme == "redis" and parts.hostname:
        return (parts.hostname, parts.port or 6379)
    expected = "unix:///path.sock or redis://host:port/0"
    raise BadArgument("address of the broker", expected=expected, got=f"scheme {parts.scheme!r}")


def _broker_through(address: str, here: Place | Path) -> str:
    parts = urlsplit(address)
    user, at, _ = parts.netloc.rpartition("@")
    if isinstance(here, tuple):
        netloc, path = f"{user}{at}{here[0]}:{here[1]}", parts.path
    else:
        netloc, path = f"{user}{at}", quote(str(here))
    query = f"?{urlencode(parse_qs(parts.query), doseq=True)}" if parts.query else ""
    return f"{parts.scheme}://{netloc}{path}{query}"  # by hand: `urlunsplit` makes unix:/path of it
