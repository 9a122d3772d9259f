"""The session's side of the proxy: an address for the client, and each fault as a method."""

from __future__ import annotations

import contextlib
import itertools
import math
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from sandbox.channel import Channel
from sandbox.errors import BadArgument, RunFailed
from sandbox.faults.proxy.addresses import find, socket_file, through
from sandbox.faults.proxy.controls import relay
from sandbox.faults.proxy.rules import Direction, Touch
from sandbox.harness.session import Session
from sandbox.site import Site

#: s after which a proxy that does not answer is given up
_PATIENCE = 10.0


def media(channel: Channel) -> tuple[str, ...]:
    """The media of a channel that a proxy can stand before; empty: what it does does not go over a network."""
    return (*channel.needs, *(("rpc",) if channel.style == "rpc" else ()))


class Proxy:
    """Stands between the clients of one medium and its server, in a process of its own that ends with the session.

        with Proxy(session, site, "redis") as proxy:
            sender = channel.sender(proxy.site, schema, "sender-0")
            proxy.latency(0.05, jitter=0.01)
            ...
            proxy.heal()

    With no fault switched on every byte passes, in order and without a delay on purpose, half-closed streams included;
    a break of one side breaks the other one. Each direction of each connection holds at most 256 KiB (and the kernel
    what it holds anyway); then whoever sends has to wait. Each fault stays until `heal`; one that is switched on again
    replaces itself, and one of intensity zero does nothing and witnesses nothing.

    `medium` is one of the site's addresses ("postgres", "redis", "redis_always"), or "rpc": then the proxy announces
    itself in a folder of its own for every receiver that announces itself in the site's, at most 4 ms after it, and
    once more with every call of a method here.

    address  where a client finds the proxy, in the form in which it finds the server
    site     the site with this address: for those participants that are to go through the proxy. Receivers of rpc keep
             theirs, where the proxy looks for them; whoever connects to a server goes through, sender and receiver
    pid      of its process

    Raises `BadArgument` for an address before which no proxy can stand; every method raises `RunFailed` when the
    proxy's process does not answer.
    """

    def __init__(self, session: Session, site: Site, medium: str, *, seed: int = 0) -> None:
        target = find(site, medium)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._last: dict[str, Any] = {}
        self._session = session
        self._folder = Path(tempfile.mkdtemp(prefix="p-", dir=session.folder))
        self._process = session.participant(f"proxy-{medium}")
        self.pid = self._process.pid
        try:
            file = self._folder if isinstance(target, Path) else self._folder / socket_file(medium, target)
            self._process.begin(relay, target, file, seed)
            here = self._receive()
        except BaseException:
            self.close()
            raise
        self.address = through(site, medium, here)
        self.site = site.with_address(medium, self.address)

    # --- faults -----------------------------------------------------------------------------------

    def latency(self, seconds: float, jitter: float = 0.0, direction: Direction = "both") -> None:
        """Every chunk is on its way `seconds` longer, give or take up to `jitter` s; the order is kept.

        The delays of one direction of one connection are drawn from the seed, one a chunk: the same ones in the same
        order each time. As on a real line a sender has at most 256 KiB on its way.
        """
        _at_least_zero(seconds=seconds, jitter=jitter)
        if jitter > seconds:
            raise BadArgument("jitter", expected=f"at most the latency ({seconds:g} s)", got=jitter)
        self._ask("latency", direction=_known(direction), seconds=seconds, jitter=jitter)

    def bandwidth(self, bytes_per_second: float, direction: Direction = "both") -> None:
        """No connection carries more than this in one direction; `math.inf` is no limit."""
        if not bytes_per_second > 0:
            hint = "For no byte at all, take partition()."
            raise BadArgument("bytes_per_second", expected="more than 0", got=bytes_per_second, hint=hint)
        self._ask("bandwidth", direction=_known(direction), rate=bytes_per_second)

    def partition(self, direction: Direction = "both") -> None:
        """Nothing gets through that way; connections stay open, and what is sent waits, to go on with `heal`.

        "up" or "down" is a half-open connection. No new connection is made in either case: whoever connects waits.
        """
        self._ask("hold", direction=_known(direction))

    def swallow(self, direction: Direction = "both") -> None:
        """Nothing gets through that way, and it is lost without anybody being told.

        A stream in which bytes are missing cannot go on, so `heal` resets the connections that have lost some.
        """
        self._ask("swallow", direction=_known(direction))

    def reset(self) -> int:
        """Break all open connections now, towards both sides; how many there were. New ones are let through.

        Over TCP both sides get a reset; a Unix socket knows none, and is closed.
        """
        broken: int = self._ask("reset")
        return broken

    def reset_after(self, count: int, direction: Direction = "up", times: float = math.inf) -> None:
        """Break each connection once `count` more bytes have got through that way: as a rule in the middle of a frame.

        Counted from now, or from its beginning for one that comes later; with 0 when the next bytes come. `times`:
        how many connections are broken at most.
        """
        _at_least_zero(count=count, times=times)
        self._ask("cut", direction=_known(direction), after=count, times=times)

    def lose_answers(self, wait: float = 0.0, times: float = math.inf, newcomers: bool = False) -> None:
        """The next bytes that a server sends are lost, and `wait` s later the connection is reset: its work was done.

        Meant are the connections that are open now, as a new one's first answers belong to its greeting; with
        `newcomers` those as well. `times`: how many connections lose an answer at most.
        """
        _at_least_zero(wait=wait, times=times)
        self._ask("lose", direction="down", wait=wait, times=times, newcomers=newcomers)

    def heal(self) -> None:
        """Switch everything off: what is held goes on, new connections are made, broken ones stay broken."""
        self._ask("heal")

    # --- what was really done ---------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """How often something was touched, by what was done (see `Touch.what`). Also after `close`."""
        counts: dict[str, int] = self._ask("counts")
        return counts

    @property
    def witnesses(self) -> int:
        """How often anything was touched. Also after `close`."""
        return sum(self.counts().values())

    def journal(self) -> list[Touch]:
        """What was really done, in its order: the first 20,000 touches. Also after `close`."""
        touches: list[Touch] = self._ask("touches")
        return touches

    def connections(self) -> int:
        """How many connections are open, those that are not let through included; 0 after `close`."""
        count: int = self._ask("connections")
        return count

    # --- its life ---------------------------------------------------------------------------------

    def close(self) -> None:
        """End its process, with all connections and what they still held, and remove its sockets. Safe to repeat."""
        if "counts" not in self._last:
            last = {"counts": {}, "touches": [], "connections": 0}
            with contextlib.suppress(RunFailed):  # it has died; what it had done went with it
                last |= {"counts": self.counts(), "touches": self.journal()}
            self._last = last
        self._process.kill()
        deadline = time.monotonic() + 5
        while self._session.alive and self._session.exit_status(self.pid) is None and time.monotonic() < deadline:
            time.sleep(0.002)
        self._process.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, name: str, **arguments: Any) -> Any:
        with self._lock:
            if self._last:
                if name in self._last:
                    return self._last[name]
                raise RunFailed(f"the proxy is closed; {name} comes too late")
            number = next(self._numbers)
            self._process.send((number, name, arguments))
            answered, well, answer = self._receive()
            while answered != number:  # the answer to a request whose caller was interrupted
                answered, well, answer = self._receive()
        if not well:
            raise RunFailed(f"the proxy could not {name}: {answer}")
        return answer

    def _receive(self) -> Any:
        try:
            return self._process.receive(_PATIENCE)
        except (EOFError, TimeoutError, OSError) as error:
            raise RunFailed(f"the proxy does not answer any more ({type(error).__name__})") from None


def _known(direction: Direction) -> Direction:
    if direction not in ("up", "down", "both"):
        raise BadArgument("direction", expected='"up", "down" or "both"', got=direction)
    return direction


def _at_least_zero(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise BadArgument(name, expected="0 or more", got=value)
