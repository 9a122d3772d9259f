"""Servers answer when started, keep address and data over a kill, listen nowhere, and tell the way out."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
import redis

from sandbox.errors import BadArgument, ServerUnavailable
from sandbox.servers import MEDIA, Server, popen_spawn, start, sweep
from sandbox.servers import postgres as postgres_module
from sandbox.servers.process import group_is_alive, wait_for_group
from sandbox.servers.valkey import connect

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

Start = Callable[[str, str], Server]


@pytest.fixture(autouse=True)
def no_servers_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX_POSTGRES_URL", raising=False)
    monkeypatch.delenv("SANDBOX_REDIS_URL", raising=False)


@pytest.fixture
def launch(short_folder: Path) -> Iterator[Start]:
    """Starts a server in a folder by name; all are stopped at the end."""
    servers: list[Server] = []

    def launch(medium: str, name: str = "server") -> Server:
        servers.append(start(medium, short_folder / name, popen_spawn))
        return servers[-1]

    yield launch
    for server in servers:
        server.stop()


def write(server: Server, value: str) -> None:
    """Store a value, acknowledged by the server."""
    if server.medium == "postgres":
        with psycopg.connect(server.address, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
            connection.execute("INSERT INTO kept VALUES (%s)", [value])
    else:
        with connect(server.address) as client:
            client.xadd("kept", {"value": value})


def read(server: Server) -> list[str]:
    """All values stored so far."""
    if server.medium == "postgres":
        with psycopg.connect(server.address) as connection:
            return [value for (value,) in connection.execute("SELECT value FROM kept")]
    with connect(server.address) as client:
        return [fields[b"value"].decode() for _, fields in client.xrange("kept")]


def tcp_listeners(server: Server) -> list[str]:
    """Hexadecimal local addresses on which any process of the server listens."""
    folders = [Path(f"/proc/{pid}/fd") for pid in server.processes()]
    ours = {str(fd.readlink()) for folder in folders for fd in folder.iterdir() if fd.is_symlink()}
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in ours]


def is_running(pid: int) -> bool:
    """Whether a process runs, of whatever group; the dead whom nobody has collected do not count."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()[:1] not in ("", "Z")


def shared_memory_blocks() -> set[int]:
    return {int(line.split()[1]) for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def block_of(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1])


def never_spawn(*_: object) -> NoReturn:
    raise AssertionError("something was started")


# --- the life of a server ---------------------------------------------------------------------


@pytest.mark.parametrize("medium", MEDIA)
def test_what_was_acknowledged_survives_kill_and_restart_at_the_same_address(medium: str, launch: Start) -> None:
    # Given a server that has acknowledged a value
    server = launch(medium, "server")
    address, pid = server.address, server.pid
    write(server, "before")

    # When it is killed and restarted
    server.kill()
    assert server.pid is None
    server.restart()

    # Then the value is there, another process serves it at the same address, and it takes new ones
    write(server, "after")
    assert read(server) == ["before", "after"]
    assert server.address == address
    assert server.pid not in (None, pid)


@pytest.mark.parametrize("medium", MEDIA)
def test_a_restart_of_a_running_server_kills_it_first(medium: str, launch: Start) -> None:
    server = launch(medium, "server")
    write(server, "before")
    first = server.pid
    server.restart()
    assert first is not None
    assert not group_is_alive(first)
    assert read(server) == ["before"]


@pytest.mark.parametrize("medium", MEDIA)
def test_after_kill_none_of_its_processes_runs(medium: str, launch: Start) -> None:
    server = launch(medium, "server")
    processes = server.processes()
    assert processes[0] == server.pid
    assert len(processes) > 3 or medium != "postgres"
    server.kill()
    assert not any(is_running(pid) for pid in processes)
    assert server.processes() == []


@pytest.mark.parametrize("medium", ["redis", "postgres"])
def test_a_paused_server_is_killed_too(medium: str, launch: Start) -> None:
    server = launch(medium, "server")
    processes = server.processes()
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    server.kill()
    assert not any(is_running(pid) for pid in processes)


@pytest.mark.parametrize("medium", ["redis", "postgres"])
def test_two_servers_of_a_kind_run_side_by_side(medium: str, launch: Start) -> None:
    first, second = launch(medium, "first"), launch(medium, "second")
    write(first, "one")
    write(second, "two")
    assert (read(first), read(second)) == (["one"], ["two"])


@pytest.mark.parametrize("medium", ["redis", "postgres"])
def test_a_server_started_in_the_folder_of_a_killed_one_takes_up_its_data(medium: str, launch: Start) -> None:
    server = launch(medium, "server")
    write(server, "kept")
    server.kill()
    assert read(launch(medium, "server")) == ["kept"]


def test_postgres_restarts_although_only_its_leader_was_killed(launch: Start) -> None:
    server = launch("postgres", "server")
    write(server, "kept")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)  # its children live on for a moment, in its shared memory
    server.restart()
    assert read(server) == ["kept"]


@pytest.mark.parametrize(("medium", "flush"), [("redis", "everysec"), ("redis_always", "always")])
def test_valkey_flushes_as_its_label_says(medium: str, flush: str, launch: Start) -> None:
    server = launch(medium, "server")
    with connect(server.address) as client:
        settings = {**client.config_get("appendonly"), **client.config_get("appendfsync")}
    assert settings == {"appendonly": "yes", "appendfsync": flush}
    assert ("every second" in server.label) == (flush == "everysec")


def test_postgres_flushes_before_it_commits(launch: Start) -> None:
    server = launch("postgres", "server")
    with psycopg.connect(server.address) as connection:
        settings = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]
    assert settings == [("on",), ("on",)]


@pytest.mark.parametrize("medium", MEDIA)
def test_the_label_names_the_version_that_the_server_itself_reports(medium: str, launch: Start) -> None:
    server = launch(medium, "server")
    assert server.version[0].isdigit()
    assert server.version in server.label
    assert "(embedded" in server.label
    assert not server.external


@needs_proc
def test_a_killed_postgres_leaves_no_shared_memory(launch: Start, short_folder: Path) -> None:
    server = launch("postgres", "server")
    block = block_of(short_folder / "server")
    assert block in shared_memory_blocks()
    server.kill()
    assert block not in shared_memory_blocks()


@needs_proc
def test_sweep_ends_what_a_signal_to_the_group_leaves_of_postgres(launch: Start, short_folder: Path) -> None:
    # Given a server with a paused child, whose process group somebody has killed
    server = launch("postgres", "server")
    leader, child, *_ = server.processes()
    block = block_of(short_folder / "server")
    os.kill(child, signal.SIGSTOP)
    os.killpg(leader, signal.SIGKILL)
    wait_for_group(leader)
    assert is_running(child)
    assert block in shared_memory_blocks()

    # When its folder is swept, Then nothing is left
    sweep(short_folder)
    assert not is_running(child)
    assert block not in shared_memory_blocks()


# --- nobody gets in ---------------------------------------------------------------------------


@needs_proc
@pytest.mark.parametrize("medium", MEDIA)
def test_no_tcp_port_is_opened(medium: str, launch: Start) -> None:
    assert tcp_listeners(launch(medium, "server")) == []


@pytest.mark.parametrize(("medium", "file"), [("redis", "s"), ("postgres", ".s.PGSQL.5432")])
def test_folder_and_socket_file_are_closed_to_others(medium: str, file: str, launch: Start, short_folder: Path) -> None:
    launch(medium, "server")
    for path in (short_folder / "server", short_folder / "server" / file):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_valkey_with_too_long_a_folder_listens_on_loopback_with_a_password(launch: Start, short_folder: Path) -> None:
    # Given a folder in which no socket file can be made
    server = launch("redis", "x" * 100)
    assert server.address.startswith("redis://:")

    # Then it works, before and after a kill
    write(server, "kept")
    server.kill()
    server.restart()
    assert read(server) == ["kept"]

    # and refuses whoever does not know the password, which its command line and label do not tell
    password, _, place = server.address.removeprefix("redis://:").partition("@")
    with connect(f"redis://{place}") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert password not in server.label
    if sys.platform == "linux":
        assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()
        assert [listener[:8] for listener in tcp_listeners(server)] == ["0100007F"]  # 127.0.0.1 and nothing else
    assert stat.S_IMODE((short_folder / ("x" * 100) / "valkey.conf").stat().st_mode) == 0o600


# --- what cannot be started -------------------------------------------------------------------


def test_a_valkey_that_ends_while_starting_shows_its_last_log_lines(launch: Start, short_folder: Path) -> None:
    server = launch("redis", "server")
    write(server, "kept")
    server.kill()
    (short_folder / "server" / "valkey.conf").write_text("no-such-setting yes\n")
    with pytest.raises(ServerUnavailable, match=r"(?s)ended while starting.*no-such-setting.*What to do: "):
        server.restart()
    assert server.pid is None


def test_a_postgres_that_ends_while_starting_shows_its_last_log_lines(launch: Start, short_folder: Path) -> None:
    server = launch("postgres", "server")
    server.kill()
    (short_folder / "server" / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(ServerUnavailable, match=r"(?s)ended while starting.*no_such_setting.*What to do: "):
        server.restart()
    assert server.pid is None


def test_a_failed_initdb_is_told_and_tried_again_by_the_next_start(launch: Start, short_folder: Path) -> None:
    # Given a binary folder whose initdb fails
    fake = short_folder / "bin"
    fake.mkdir()
    (fake / "initdb").write_text("#!/bin/sh\necho the disk is full\nexit 3\n")
    (fake / "postgres").write_text("#!/bin/sh\nexit 0\n")
    for file in fake.iterdir():
        file.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_module, "find_binaries", lambda: fake)
        with pytest.raises(ServerUnavailable, match=r"(?s)initdb failed \(exit status 3\).*the disk is full"):
            launch("postgres", "server")
    # When the cause is gone, Then the same folder works
    write(launch("postgres", "server"), "kept")


@pytest.mark.parametrize("medium", ["redis", "postgres"])
def test_a_missing_binary_is_told_with_the_way_out(
    medium: str, monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    with pytest.raises(ServerUnavailable, match=r"on PATH\nWhat to do: `pip install .*SANDBOX_\w+_URL"):
        start(medium, short_folder / "server", never_spawn)


def test_postgres_in_too_long_a_folder_says_so_before_anything_is_started(short_folder: Path) -> None:
    with pytest.raises(ServerUnavailable, match=r"(?s)too long.*TMPDIR"):
        start("postgres", short_folder / ("x" * 100), never_spawn)


def test_an_unknown_medium_is_refused_with_those_that_exist(short_folder: Path) -> None:
    with pytest.raises(BadArgument, match="expected one of redis, redis_always, postgres, got 'kafka'"):
        start("kafka", short_folder, never_spawn)


def test_as_root_the_first_way_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres_module, "WAYS_AS_ROOT", (("no-such-command",), ("false",), ("env",)))
    assert postgres_module.way_to_run(postgres_module.find_binaries()) == ["env"]


def test_as_root_without_a_way_that_works_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres_module, "WAYS_AS_ROOT", (("false",),))
    with pytest.raises(ServerUnavailable, match=r"(?s)refuses to run as root.*work as a plain user"):
        postgres_module.way_to_run(postgres_module.find_binaries())


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root needs another way")
@pytest.mark.parametrize("way", postgres_module.WAYS_AS_ROOT, ids=lambda way: way[0])
def test_every_way_to_run_postgres_as_root_works(
    way: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, launch: Start
) -> None:
    monkeypatch.setattr(postgres_module, "WAYS_AS_ROOT", (way,))
    try:
        postgres_module.way_to_run(postgres_module.find_binaries())
    except ServerUnavailable as reason:
        pytest.skip(str(reason))  # containers may forbid one of them; the next is taken there
    server = launch("postgres", "server")
    write(server, "kept")
    server.kill()
    server.restart()
    assert read(server) == ["kept"]


# --- yours, by URL ----------------------------------------------------------------------------


@pytest.mark.parametrize(("medium", "variable"), [("redis", "SANDBOX_REDIS_URL"), ("postgres", "SANDBOX_POSTGRES_URL")])
def test_with_a_url_given_nothing_is_started_and_nothing_is_killed(
    medium: str, variable: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    # Given a server of the user's own
    address = request.getfixturevalue(f"{medium}_address")
    monkeypatch.setenv(variable, address)

    # When the session wants one, Then it gets that one
    server = start(medium, short_folder / "server", never_spawn)
    assert (server.external, server.address, server.pid) == (True, address, None)
    assert "(yours" in server.label
    assert server.version in server.label

    # and can neither kill nor restart it
    for act in (server.kill, server.restart):
        with pytest.raises(BadArgument, match=f"Unset {variable}"):
            act()
    server.stop()
    assert start(medium, short_folder / "server", never_spawn).version == server.version


def test_a_redis_of_yours_that_does_not_flush_always_is_refused_where_that_is_promised(
    redis_address: str, monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    monkeypatch.setenv("SANDBOX_REDIS_URL", redis_address)
    with pytest.raises(ServerUnavailable, match=r"(?s)every second.*appendfsync always"):
        start("redis_always", short_folder / "server", never_spawn)


@pytest.mark.parametrize(
    ("medium", "variable", "address"),
    [
        ("redis", "SANDBOX_REDIS_URL", "redis://me:hunter2@127.0.0.1:1/0"),
        ("redis", "SANDBOX_REDIS_URL", "redis://me:hunter/2@127.0.0.1:1/0"),
        ("redis", "SANDBOX_REDIS_URL", "redis://127.0.0.1:1/0?password=hunter2"),
        ("redis", "SANDBOX_REDIS_URL", "hunter2"),
        ("postgres", "SANDBOX_POSTGRES_URL", "postgresql://me:hunter2@127.0.0.1:1/db"),
        ("postgres", "SANDBOX_POSTGRES_URL", "postgresql://me:hunter/2@127.0.0.1:1/db"),
        ("postgres", "SANDBOX_POSTGRES_URL", "postgresql://127.0.0.1:1/db?password=hunter2"),
        ("postgres", "SANDBOX_POSTGRES_URL", "host=127.0.0.1 port=1 password=hunter2"),
        ("postgres", "SANDBOX_POSTGRES_URL", "password=one hunter two"),
        ("postgres", "SANDBOX_POSTGRES_URL", "hunter2"),
    ],
)
def test_a_wrong_url_is_told_without_the_password(
    medium: str, variable: str, address: str, monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(ServerUnavailable) as error:
        start(medium, short_folder / "server", never_spawn)
    text = str(error.value)
    assert variable in text
    assert "What to do" in text
    assert "hunter" not in text
    assert error.value.__suppress_context__  # a traceback must not print the driver's own text either


def test_a_wrong_password_is_told_without_the_password(
    launch: Start, monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    place = launch("redis", "x" * 100).address.partition("@")[2]
    monkeypatch.setenv("SANDBOX_REDIS_URL", f"redis://:hunter2@{place}")
    with pytest.raises(ServerUnavailable, match=place) as error:
        start("redis", short_folder / "server", never_spawn)
    assert "hunter2" not in str(error.value)
