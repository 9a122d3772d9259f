"""Real servers and whole runs through the proxy, receivers that come and go behind it, and its own end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from test_proxy import PATIENCE, Wire, rest, until

from sandbox.channel import Channel
from sandbox.db_share.skip_locked import SkipLocked
from sandbox.errors import BadArgument, RunFailed
from sandbox.exchange.schema import Verb
from sandbox.faults.proxy import Proxy, media
from sandbox.faults.proxy.addresses import find, through
from sandbox.file_share.spool import Spool
from sandbox.harness.cast import Cast
from sandbox.harness.checker import Accounts, account
from sandbox.harness.history import Process, Role
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.stage import Director, Part, Stage
from sandbox.harness.workload import Workload
from sandbox.messaging.streams import Streams
from sandbox.rpc.directory import Announced, Transport, announce, reach
from sandbox.rpc.socket import Socket
from sandbox.servers.valkey import connect
from sandbox.site import Site


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One session for all proxies here."""
    with Session() as made:
        yield made


# --- whole runs -----------------------------------------------------------------------------------


class Between(Director):
    """Puts a proxy before the medium of the channel, does something to it at its time, and heals it at the end."""

    def __init__(self, fault: Callable[[Proxy], object], at: float = 0.1) -> None:
        self._fault, self._at = fault, at
        self.carried = 0

    def prepare(self, stage: Stage) -> None:
        (medium,) = media(stage.channel)
        self.proxy = Proxy(stage.session, stage.site, medium)
        stage.change(self._through)

    def _through(self, process: Process, part: Part) -> Part:
        if process.role is Role.RECEIVER and "rpc" in self.proxy.site.addresses:
            return part  # it is the proxy that has to find it, and it alone
        return replace(part, site=self.proxy.site)

    def interventions(self) -> list[tuple[float, Callable[[Cast], None]]]:
        return [(self._at, self._strike)]

    def _strike(self, _: Cast) -> None:
        self.carried = self.proxy.connections()
        self._fault(self.proxy)

    def heal(self, cast: Cast) -> None:
        self.proxy.heal()


def run_through(session: Session, channel: Channel, fault: Callable[[Proxy], object]) -> tuple[Between, list[Accounts]]:
    """A small run: the accounts of its tells and of its asks."""
    workload = Workload({"tell": 1, "ask": 1}, operations=60, rate=300.0, warmup=0)
    director = Between(fault)
    history = run_history(channel, workload, session, director=director)
    director.proxy.close()
    assert director.carried >= 1, "it did go through the proxy"
    return director, [account(history, verb) for verb in (Verb.TELL, Verb.ASK)]


THROUGH = pytest.mark.parametrize(
    "channel",
    [Streams(), SkipLocked(), Socket(), Socket(transport="tcp")],
    ids=["streams", "skip_locked", "socket-unix", "socket-tcp"],
)


@THROUGH
def test_a_run_through_a_proxy_at_rest_is_like_one_without(session: Session, channel: Channel) -> None:
    director, accounts = run_through(session, channel, lambda proxy: None)
    assert sum(each.ok for each in accounts) == 60
    assert all((each.lost, each.duplicated, each.contradicted) == (0, 0, 0) for each in accounts)
    assert director.proxy.witnesses == 0


@THROUGH
def test_a_run_over_a_slow_line_is_a_run(session: Session, channel: Channel) -> None:
    director, accounts = run_through(session, channel, lambda proxy: proxy.latency(0.005, jitter=0.002))
    assert sum(each.ok for each in accounts) == 60
    assert director.proxy.counts().keys() == {"delayed"}


@THROUGH
def test_a_run_outlives_a_reset_and_loses_nothing_that_was_acknowledged(session: Session, channel: Channel) -> None:
    director, accounts = run_through(session, channel, Proxy.reset)
    assert all(each.conserved and (each.lost, each.contradicted) == (0, 0) for each in accounts)
    assert director.proxy.counts() == {"reset": director.carried}
    assert sum(each.ok for each in accounts) >= 30, "it goes on afterwards"


# --- servers --------------------------------------------------------------------------------------


def test_a_client_of_the_broker_talks_through_it_and_notices_a_lost_answer(
    session: Session, redis_address: str
) -> None:
    site = session.site().with_address("redis", redis_address)
    with Proxy(session, site, "redis") as proxy, connect(proxy.address) as client:
        key = site.name
        client.incr(key)
        proxy.lose_answers()
        with pytest.raises(redis.ConnectionError):
            client.incr(key)
        proxy.heal()
        assert client.get(key) == b"2", "its work was done"
        client.delete(key)
        assert proxy.counts() == {"answer lost": 1}


def test_a_client_of_the_database_notices_a_reset_behind_it(session: Session, postgres_address: str) -> None:
    site = session.site().with_address("postgres", postgres_address)
    with Proxy(session, site, "postgres") as proxy:
        with psycopg.connect(proxy.address, autocommit=True) as connection:
            assert connection.execute("SELECT repeat('x', 1000000)").fetchone() == ("x" * 1_000_000,)
            proxy.reset()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with psycopg.connect(proxy.address, autocommit=True) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("medium", "address", "here", "there"),
    [
        ("redis", "unix:///a/b.sock", "/p/s", "unix:///p/s"),
        ("redis", "unix://:se%40cret@/a%20b/s?db=3", "/p q/s", "unix://:se%40cret@/p%20q/s?db=3"),
        ("redis_always", "redis://u:p@127.0.0.1:6380/2", ("127.0.0.1", 99), "redis://u:p@127.0.0.1:99/2"),
        ("postgres", "host='/a b' port=5433 user=u dbname=d", "/p/.s.PGSQL.5433", "host=/p user=u dbname=d port=5433"),
        ("postgres", "postgresql://u:p@localhost:7/d", ("127.0.0.1", 99), "localhost 127.0.0.1 99 u p d"),
        ("rpc", "/somewhere", Path("/p"), "/p"),
    ],
)
def test_an_address_keeps_all_but_the_place(medium: str, address: str, here: Any, there: str) -> None:
    site = Site(Path("/x"), "s", addresses={medium: address})
    got = through(site, medium, here)
    if medium == "postgres":
        settings = psycopg.conninfo.conninfo_to_dict(got)
        expected = psycopg.conninfo.conninfo_to_dict(there) if "=" in there else None
        assert (
            settings == expected
            or " ".join(str(settings[name]) for name in ("host", "hostaddr", "port", "user", "password", "dbname"))
            == there
        )
    else:
        assert got == there


@pytest.mark.parametrize(
    ("medium", "address"),
    [
        ("redis", "rediss://host:1/0"),
        ("redis", "no address"),
        ("postgres", "host=a,b port=1,2"),
        ("postgres", "password=geheim nonsense"),
        ("kafka", ""),
    ],
)
def test_an_address_before_which_no_proxy_can_stand_is_refused_and_no_password_shown(medium: str, address: str) -> None:
    addresses = {} if medium == "kafka" else {medium: address}
    with pytest.raises(BadArgument) as caught:
        find(Site(Path("/x"), "s", addresses=addresses), medium)
    assert "geheim" not in str(caught.value)


def test_only_what_goes_over_a_network_can_be_proxied() -> None:
    assert [media(channel) for channel in (Spool(), Streams(), SkipLocked(), Socket())] == [
        (),
        ("redis",),
        ("postgres",),
        ("rpc",),
    ]


# --- receivers that come and go -------------------------------------------------------------------


@pytest.fixture
def mirrored(session: Session) -> Iterator[tuple[Path, Path, Proxy]]:
    """The folder of one group, the same one as the proxy repeats it, and the proxy."""
    site = session.site()
    with Proxy(session, site, "rpc") as proxy:
        yield site.folder / "rpc" / "metering", Path(proxy.address) / "metering", proxy


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_receiver_is_found_behind_the_proxy_as_long_as_it_listens(
    mirrored: tuple[Path, Path, Proxy], transport: Transport
) -> None:
    here, there, _ = mirrored
    announced = announce(here, "metering-0", transport)
    announced.listener.setblocking(True)
    until(lambda: _exists(there, announced))
    reached = reach(there / announced.file.name, transport)
    assert reached is not None and reached[1] == announced.secret
    with reached[0] as client, announced.listener.accept()[0] as server:
        client.sendall(b"call")
        assert server.recv(4) == b"call"
    announced.withdraw()
    until(lambda: not _exists(there, announced))


def _exists(folder: Path, announced: Announced) -> bool:
    return (folder / announced.file.name).exists()


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_who_is_killed_is_not_announced_any_more_until_it_comes_again(
    mirrored: tuple[Path, Path, Proxy], transport: Transport
) -> None:
    here, there, _ = mirrored
    first = announce(here, "metering-0", transport)
    first.listener.setblocking(True)
    until(lambda: _exists(there, first))
    reached = reach(there / first.file.name, transport)
    assert reached is not None
    reached[0].settimeout(PATIENCE)
    server = first.listener.accept()[0]

    # When its process is killed: the kernel closes its sockets, and nobody removes its file
    first.listener.close()
    server.close()

    # Then its client learns of it, and finds no announcement when it looks again
    assert rest(reached[0]) == b""
    assert not _exists(there, first) and first.file.exists()
    reached[0].close()

    # And one that announces itself anew is found
    second = announce(here, "metering-0", transport)
    until(lambda: _exists(there, second))
    second.withdraw()


def test_files_that_announce_nothing_are_passed_over(mirrored: tuple[Path, Path, Proxy]) -> None:
    here, there, _ = mirrored
    here.mkdir(parents=True)
    (here.parent / "no-folder").touch()
    for name, text in {"a.tcp": "{", "b.tcp": "[]", "c.tcp": '{"port": 1}', ".d.sock": "", "e.txt": ""}.items():
        (here / name).write_text(text)
    real = announce(here, "real", "unix")
    until(lambda: _exists(there, real))
    assert [entry.name for entry in there.iterdir()] == ["real.sock"]
    real.withdraw()


# --- its life -------------------------------------------------------------------------------------


def test_nothing_is_left_of_a_proxy_that_is_closed_but_what_it_has_witnessed(session: Session) -> None:
    wire = Wire(session, "unix")
    client, _ = wire.connect()
    wire.proxy.partition()
    client.sendall(b"held")
    until(lambda: wire.proxy.witnesses)
    wire.close()
    assert not Path(wire.proxy.address.removeprefix("unix://")).parent.exists()
    assert session.exit_status(wire.proxy.pid) == -signal.SIGKILL
    assert wire.proxy.counts() == {"held": 1} and wire.proxy.connections() == 0
    assert [touch.what for touch in wire.proxy.journal()] == ["held"]
    with pytest.raises(RunFailed, match="closed"):
        wire.proxy.heal()
    wire.proxy.close()


def test_a_proxy_ends_with_its_session() -> None:
    session = Session()
    wire = Wire(session, "tcp")
    client, server = wire.connect()
    wire.proxy.partition()
    session.close()
    assert rest(client) == b"" and rest(server) == b""
    with pytest.raises(ProcessLookupError):
        os.kill(wire.proxy.pid, 0)
    wire.close()


def test_the_death_of_a_proxy_is_told(session: Session) -> None:
    wire = Wire(session, "unix")
    os.kill(wire.proxy.pid, signal.SIGKILL)
    with pytest.raises(RunFailed, match="does not answer"):
        wire.proxy.latency(0.1)
    wire.close()


def test_a_request_that_is_interrupted_does_not_confuse_the_next_one(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire(session, "unix")
    wire.connect()

    def interrupted(self: Proxy) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Proxy, "_receive", interrupted)
        wire.proxy.reset()
    assert wire.proxy.counts() == {"reset": 1}
    wire.close()


@pytest.mark.parametrize(
    "act",
    [
        lambda proxy: proxy.latency(-1),
        lambda proxy: proxy.latency(0.1, jitter=0.2),
        lambda proxy: proxy.latency(float("nan")),
        lambda proxy: proxy.bandwidth(0),
        lambda proxy: proxy.partition("left"),
        lambda proxy: proxy.reset_after(-1),
        lambda proxy: proxy.lose_answers(wait=-1),
    ],
)
def test_what_cannot_be_meant_is_refused(session: Session, act: Callable[[Any], None], unix_wire: Wire) -> None:
    with pytest.raises(BadArgument):
        act(unix_wire.proxy)
    assert unix_wire.proxy.witnesses == 0


@pytest.fixture(scope="module")
def unix_wire(session: Session) -> Iterator[Wire]:
    """A wire for what does nothing to it."""
    made = Wire(session, "unix")
    yield made
    made.close()
