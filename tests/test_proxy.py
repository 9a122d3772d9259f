"""The proxy does to real sockets what it says, counts it, and does nothing else; nothing of it stays behind.

A `Wire` has both ends in the test's own hands: the client's socket, and the server's that the proxy connects to. That
the proxy has a byte is known from what it has counted, so that "it has not arrived" needs no waiting.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from sandbox.faults.proxy import Proxy
from sandbox.faults.proxy.pipes import LIMIT
from sandbox.harness.session import Session

PATIENCE = 20.0
BROKEN = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One session for all proxies here."""
    with Session() as made:
        yield made


class Wire:
    """A server that the test plays itself, a proxy before it, and connections through both."""

    def __init__(self, session: Session, kind: str, seed: int = 0) -> None:
        site = session.site()
        self.listener = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        self.listener.settimeout(PATIENCE)
        if kind == "unix":
            self.listener.bind(str(site.folder / "server"))
            address = f"unix://{site.folder}/server"
        else:
            self.listener.bind(("127.0.0.1", 0))
            address = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.listener.listen()
        self.proxy = Proxy(session, site.with_address("redis", address), "redis", seed=seed)
        self._ends: list[socket.socket] = []

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a new connection."""
        client = self.call()
        return client, self.accept()

    def call(self) -> socket.socket:
        """The client's end of one that may not be let through."""
        unix = self.proxy.address.startswith("unix://")
        place: Any = self.proxy.address.removeprefix("unix://")
        if not unix:
            place = ("127.0.0.1", int(place.removesuffix("/0").rpartition(":")[2]))
        client = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        client.settimeout(PATIENCE)
        self._ends.append(client)
        client.connect(place)
        return client

    def accept(self) -> socket.socket:
        """The server's end of a new connection."""
        server, _ = self.listener.accept()
        server.settimeout(PATIENCE)
        self._ends.append(server)
        return server

    def close(self) -> None:
        """Close whatever the test has opened."""
        for end in [*self._ends, self.listener]:
            end.close()
        self.proxy.close()


@pytest.fixture(params=["unix", "tcp"])
def wire(request: pytest.FixtureRequest, session: Session) -> Iterator[Wire]:
    """A wire of each kind."""
    made = Wire(session, request.param)
    yield made
    made.close()


@pytest.fixture
def unix(session: Session) -> Iterator[Wire]:
    """A wire of Unix sockets, for what does not depend on the kind."""
    made = Wire(session, "unix")
    yield made
    made.close()


def received(end: socket.socket, count: int) -> bytes:
    """Exactly so many bytes, or fewer if the stream ends before."""
    data = b""
    while len(data) < count and (more := end.recv(count - len(data))):
        data += more
    return data


def rest(end: socket.socket) -> bytes:
    """Everything until the stream ends or breaks."""
    data = b""
    try:
        while more := end.recv(65536):
            data += more
    except BROKEN:
        pass
    return data


def silent(end: socket.socket) -> bool:
    """Whether nothing is there to be read or accepted."""
    return not select.select([end], [], [], 0)[0]


def until(condition: Callable[[], object]) -> None:
    """Wait for something that has to come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.002)


def is_broken(end: socket.socket) -> bool:
    """Whether the connection ends here without another byte; of TCP, that it ends by a reset."""
    if end.family == socket.AF_UNIX:
        return rest(end) == b""
    with pytest.raises(BROKEN):
        end.recv(1)
    return True


# --- nothing switched on --------------------------------------------------------------------------


def test_nothing_is_touched_when_nothing_is_switched_on(wire: Wire) -> None:
    client, server = wire.connect()
    client.sendall(b"question")
    assert received(server, 8) == b"question"
    server.sendall(b"answer")
    assert received(client, 6) == b"answer"
    assert (wire.proxy.witnesses, wire.proxy.journal()) == (0, [])


def test_faults_of_intensity_zero_do_nothing(wire: Wire) -> None:
    client, server = wire.connect()
    wire.proxy.latency(0)
    wire.proxy.bandwidth(float("inf"))
    wire.proxy.reset_after(0, times=0)
    wire.proxy.lose_answers(times=0)
    for _ in range(50):
        client.sendall(b"question")
        assert received(server, 8) == b"question"
        server.sendall(b"answer")
        assert received(client, 6) == b"answer"
    assert (wire.proxy.witnesses, wire.proxy.journal()) == (0, [])


def test_a_half_closed_stream_goes_on_the_other_way(wire: Wire) -> None:
    client, server = wire.connect()
    client.sendall(b"all I have to say")
    client.shutdown(socket.SHUT_WR)
    assert rest(server) == b"all I have to say"
    server.sendall(b"understood")
    server.close()
    assert rest(client) == b"understood"
    until(lambda: wire.proxy.connections() == 0)


def test_what_a_server_says_before_it_goes_arrives_though_the_client_goes_on_sending(wire: Wire) -> None:
    client, server = wire.connect()
    server.sendall(b"last words" * 1000)
    server.shutdown(socket.SHUT_WR)
    client.sendall(b"x" * 1000)
    received(server, 1000)
    server.close()
    assert rest(client) == b"last words" * 1000


def test_whoever_sends_waits_for_whoever_does_not_read_and_no_byte_is_lost(wire: Wire) -> None:
    """Many times what the proxy may hold: else this would not show that there is a limit."""
    client, server = wire.connect()
    client.setblocking(False)
    sent, piece = 0, bytes(range(256)) * 256
    while select.select([], [client], [], 0.3)[1]:
        sent += client.send(piece[sent % 256 :])
        assert sent < 200 * LIMIT, "the proxy takes everything"
    client.setblocking(True)
    client.shutdown(socket.SHUT_WR)
    data = rest(server)
    assert len(data) == sent and data == (piece * (sent // len(piece) + 1))[:sent]


def test_where_no_server_listens_a_connection_ends_at_once(wire: Wire) -> None:
    wire.listener.close()
    with suppress(*BROKEN):  # perhaps before the client has noticed that it was connected
        assert rest(wire.call()) == b""
    assert wire.proxy.connections() == 0


# --- latency and bandwidth ------------------------------------------------------------------------


def test_delayed_bytes_arrive_in_order_and_each_chunk_is_a_witness(wire: Wire) -> None:
    client, server = wire.connect()
    wire.proxy.latency(0.004, jitter=0.004)
    sent = b""
    for number in range(100):
        client.sendall(line := b"%04d\n" % number)
        sent += line
    assert received(server, len(sent)) == sent
    counts = wire.proxy.counts()
    assert counts.keys() == {"delayed"} and 1 <= counts["delayed"] <= 100
    assert sum(touch.bytes for touch in wire.proxy.journal()) == len(sent)


def test_latency_of_one_direction_leaves_the_other_one_alone(unix: Wire) -> None:
    client, server = unix.connect()
    unix.proxy.latency(1000, direction="up")
    client.sendall(b"question")
    until(lambda: unix.proxy.witnesses)
    server.sendall(b"unasked")
    assert received(client, 7) == b"unasked"
    assert silent(server)
    assert [(touch.direction, touch.what, touch.bytes, touch.seconds) for touch in unix.proxy.journal()] == [
        ("up", "delayed", 8, 1000.0)
    ]


def test_the_same_seed_draws_the_same_delays_of_each_connection_and_direction(session: Session) -> None:
    def drawn(seed: int) -> dict[tuple[int, str], list[float]]:
        wire = Wire(session, "unix", seed)
        delays: dict[tuple[int, str], list[float]] = {}
        wire.proxy.latency(0.002, jitter=0.001)
        for pair in (wire.connect(), wire.connect()):
            for _ in range(3):
                for source, target in (pair, reversed(pair)):
                    source.sendall(b"x")
                    target.recv(1)
        for touch in wire.proxy.journal():
            delays.setdefault((touch.connection, touch.direction), []).append(touch.seconds)
        wire.close()
        return delays

    first, again, other = drawn(7), drawn(7), drawn(8)
    assert first == again and first.keys() == other.keys()
    lists = [tuple(delays) for found in (first, other) for delays in found.values()]
    assert all(len(delays) == 3 for delays in lists) and len(set(lists)) == 8, "each has delays of its own"
    assert all(0.001 <= delay <= 0.003 for delays in lists for delay in delays)


def test_a_narrow_line_carries_everything_and_every_wait_is_a_witness(wire: Wire) -> None:
    client, server = wire.connect()
    wire.proxy.bandwidth(1_000_000)
    client.sendall(bytes(50_000))
    assert received(server, 50_000) == bytes(50_000)
    assert wire.proxy.counts() == {"slowed": pytest.approx(9, abs=3)}  # portions of 5 ms: 5,000 bytes


# --- partitions -----------------------------------------------------------------------------------


def test_nothing_passes_a_partition_and_everything_goes_on_after_it(wire: Wire) -> None:
    client, server = wire.connect()
    wire.proxy.partition()
    client.sendall(b"question")
    server.sendall(b"unasked")
    until(lambda: wire.proxy.counts().get("held") == 2)
    assert silent(client) and silent(server)
    wire.proxy.heal()
    assert (received(server, 8), received(client, 7)) == (b"question", b"unasked")


def test_who_connects_during_a_partition_waits_until_it_is_healed(wire: Wire) -> None:
    wire.proxy.partition("down")
    client = wire.call()
    client.sendall(b"hello?")
    until(lambda: wire.proxy.counts().get("held"))
    assert silent(wire.listener)
    wire.proxy.heal()
    assert received(wire.accept(), 6) == b"hello?"
    touch = wire.proxy.journal()[0]
    assert (touch.connection, touch.direction, touch.what, touch.bytes) == (1, "both", "held", 0)


def test_a_half_open_connection_carries_questions_and_no_answers(wire: Wire) -> None:
    client, server = wire.connect()
    wire.proxy.partition("down")
    client.sendall(b"question")
    assert received(server, 8) == b"question"
    server.sendall(b"answer")
    until(lambda: wire.proxy.counts().get("held"))
    assert silent(client)
    wire.proxy.heal()
    assert received(client, 6) == b"answer"


def test_the_end_of_a_stream_does_not_pass_a_partition_either(wire: Wire) -> None:
    client, server = wire.connect()
    wire.proxy.partition()
    client.sendall(b"the end")
    client.close()
    until(lambda: wire.proxy.witnesses)
    assert silent(server)
    wire.proxy.heal()
    assert rest(server) == b"the end"


def test_bytes_that_were_on_their_way_are_caught_by_a_partition(unix: Wire) -> None:
    client, _ = unix.connect()
    unix.proxy.latency(1000)
    client.sendall(b"question")
    until(lambda: unix.proxy.witnesses)
    unix.proxy.partition("up")
    assert unix.proxy.counts() == {"delayed": 1, "held": 1}


def test_swallowed_bytes_never_arrive_and_their_connection_is_reset_when_all_is_healed(wire: Wire) -> None:
    client, server = wire.connect()
    wire.proxy.swallow("up")
    client.sendall(b"question")
    until(lambda: wire.proxy.counts().get("swallowed"))
    server.sendall(b"unasked")
    assert received(client, 7) == b"unasked"
    wire.proxy.heal()
    assert is_broken(server)
    assert wire.proxy.counts() == {"swallowed": 1, "reset": 1}


# --- breaks ---------------------------------------------------------------------------------------


def test_a_reset_breaks_every_connection_towards_both_sides_and_lets_new_ones_through(wire: Wire) -> None:
    ends = [*wire.connect(), *wire.connect()]
    assert wire.proxy.reset() == 2
    assert all(is_broken(end) for end in ends)
    assert wire.proxy.counts() == {"reset": 2}
    client, server = wire.connect()
    client.sendall(b"again")
    assert received(server, 5) == b"again"


def test_a_break_of_one_side_breaks_the_other_one(session: Session) -> None:
    wire = Wire(session, "tcp")
    client, server = wire.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    client.close()
    assert is_broken(server)
    assert wire.proxy.witnesses == 0, "that was nothing the proxy did"
    wire.close()


def test_a_connection_breaks_in_the_middle_of_a_frame(wire: Wire) -> None:
    client, server = wire.connect()
    client.sendall(b"before")
    assert received(server, 6) == b"before"
    wire.proxy.reset_after(4, times=1)
    client.sendall(b"question")
    assert rest(server) == b"ques"
    assert is_broken(client)
    assert [(touch.what, touch.bytes) for touch in wire.proxy.journal()] == [("cut", 4)]


def test_as_many_connections_break_as_were_asked_for(unix: Wire) -> None:
    unix.proxy.reset_after(0, direction="down", times=1)
    for broken in (True, False):
        client, server = unix.connect()
        server.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        received(server, 1)
        server.close()
        assert rest(client) == (b"" if broken else b"hello")
    assert unix.proxy.counts() == {"cut": 1}


@pytest.mark.parametrize("wait", [0.0, 0.05])
def test_an_answer_is_lost_after_the_work_was_done(wire: Wire, wait: float) -> None:
    client, server = wire.connect()
    wire.proxy.lose_answers(wait)
    client.sendall(b"question")
    assert received(server, 8) == b"question"
    server.sendall(b"answer")
    assert is_broken(client)
    assert [(touch.direction, touch.what, touch.bytes) for touch in wire.proxy.journal()] == [
        ("down", "answer lost", 6)
    ]


@pytest.mark.parametrize("newcomers", [False, True])
def test_answers_to_who_comes_later_are_lost_only_when_asked_for(unix: Wire, newcomers: bool) -> None:
    unix.proxy.lose_answers(newcomers=newcomers)
    client, server = unix.connect()
    server.sendall(b"welcome")
    server.close()
    assert rest(client) == (b"" if newcomers else b"welcome")
    assert unix.proxy.witnesses == newcomers
