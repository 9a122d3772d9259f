"""Whoever is killed, paused or interrupted, whenever: no process, no socket and no folder stays behind.

Each test starts a real user: a Python program with a session, servers and a run that would go on for a
minute. It does something terrible to one of the processes and looks around.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from thin import Folder

from sandbox.errors import RunFailed
from sandbox.harness import run as run_module
from sandbox.harness.checker import State, account, judge
from sandbox.harness.cleaning import PREFIX, sweep_stale
from sandbox.harness.run import run_history
from sandbox.harness.session import Session, default_session, end_default_session
from sandbox.harness.workload import Workload
from sandbox.servers.process import children_of

DEADLINE = 10.0

USER = """
import json, sys
from thin import Folder
from sandbox.errors import RunFailed
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.workload import Workload

def tell(cast):
    if "pause" in sys.argv:
        cast["metering-1"].pause()
    members = {name: member.pid for name, member in cast.members.items()}
    print(json.dumps({"folder": str(cast.session.folder), "members": members}), flush=True)

with Session() as session:
    for medium in [word for word in sys.argv[1:] if word in ("redis", "postgres")]:
        session.server(medium)
    try:
        run_history(Folder(), Workload(operations=12000, rate=200, receivers=2, senders=2), session, [(0.1, tell)])
    except RunFailed as error:
        print(error, flush=True)
        raise SystemExit(3)
"""


class User:
    """A program that uses the sandbox, all processes that it has started, and its folder."""

    def __init__(self, *words: str) -> None:
        here = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, *words],
            env={**os.environ, "PYTHONPATH": here},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group of its own, so that an interrupt reaches it and not the tests
        )
        assert self.process.stdout is not None
        told: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        assert told, self.errors()
        self.folder = Path(told["folder"])
        self.members: dict[str, int] = told["members"]
        self.guard = children_of(self.process.pid)[0]
        self.started = descendants(self.process.pid)
        assert set(self.members.values()) < set(self.started) and self.folder.exists()

    def errors(self) -> str:
        """What it had to say when it was over."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def end(self) -> None:
        """End everything by hand, so that a failed test leaves nothing either."""
        for pid in [self.process.pid, *getattr(self, "started", [])]:
            if running(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def user_with() -> Iterator[Callable[..., User]]:
    """Start users; whatever is left of them is ended after the test."""
    users: list[User] = []

    def start(*words: str) -> User:
        users.append(User(*words))
        return users[-1]

    yield start
    for user in users:
        user.end()


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    below = children_of(pid)
    return [*below, *(deeper for child in below for deeper in descendants(child))]


def running(pid: int) -> bool:
    """Whether a process is there and not a zombie that waits for its parent."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.strip().startswith("Z")


def users_of(folder: Path) -> list[str]:
    """Processes and sockets that have to do with a folder (on Linux, where one can look)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            traces = [(process / "cmdline").read_bytes().decode(errors="replace"), str((process / "cwd").readlink())]
            traces += [str(link.readlink()) for link in (process / "fd").iterdir()]
            traces.append((process / "maps").read_text(errors="replace"))
        except OSError:
            continue  # it has gone meanwhile
        if any(str(folder) in trace for trace in traces):
            found.append(f"process {process.name}: {traces[0]}")
    sockets = Path("/proc/net/unix")
    if sockets.exists():
        found += [line for line in sockets.read_text().splitlines() if str(folder) in line]
    return found


def eventually(check: Callable[[], bool]) -> bool:
    """Whether it becomes true within the deadline."""
    end = time.monotonic() + DEADLINE
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def check_that_nothing_is_left(user: User) -> None:
    """No process that it had started, no folder, nobody who uses the folder, no socket."""
    user.process.wait(timeout=DEADLINE)
    eventually(lambda: not user.folder.exists() and not any(map(running, user.started)))
    assert [pid for pid in user.started if running(pid)] == []
    assert not user.folder.exists()
    assert users_of(user.folder) == []


def kill(*pids: int) -> None:
    """SIGKILL to all of them before any of them can notice another's end."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


paused = pytest.mark.parametrize("words", [(), ("pause",)], ids=["all running", "one paused"])


@paused
def test_the_users_process_is_killed(user_with: Callable[..., User], words: tuple[str, ...]) -> None:
    user = user_with(*words)

    kill(user.process.pid)

    check_that_nothing_is_left(user)


@paused
def test_the_users_process_is_interrupted(user_with: Callable[..., User], words: tuple[str, ...]) -> None:
    user = user_with(*words)

    os.killpg(user.process.pid, signal.SIGINT)  # as a terminal does: to the whole group

    check_that_nothing_is_left(user)
    assert "KeyboardInterrupt" in user.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_users_process_is_ended_by_another_signal(user_with: Callable[..., User], number: signal.Signals) -> None:
    user = user_with()

    os.kill(user.process.pid, number)

    check_that_nothing_is_left(user)


@paused
def test_the_guard_is_killed(user_with: Callable[..., User], words: tuple[str, ...]) -> None:
    user = user_with(*words)

    kill(user.guard)

    # Then the user is told, and need not do anything about it
    check_that_nothing_is_left(user)
    assert user.process.returncode == 3
    assert user.process.stdout is not None
    assert b"the guard has died" in user.process.stdout.read()


@paused
def test_the_guard_and_the_users_process_are_killed_at_once(
    user_with: Callable[..., User], words: tuple[str, ...]
) -> None:
    user = user_with(*words)

    kill(user.process.pid, user.guard)

    check_that_nothing_is_left(user)


@pytest.mark.parametrize(("name", "words"), [("sender-0", ()), ("metering-0", ("pause",))])
def test_a_participant_is_killed_and_then_the_run_is_stopped(
    user_with: Callable[..., User], words: tuple[str, ...], name: str
) -> None:
    user = user_with(*words)

    kill(user.members[name])
    assert eventually(lambda: not running(user.members[name]))
    os.killpg(user.process.pid, signal.SIGINT)

    check_that_nothing_is_left(user)


def test_a_paused_guard_is_no_hiding_place(user_with: Callable[..., User]) -> None:
    # Given a guard that can neither answer nor clean up
    user = user_with()
    os.kill(user.guard, signal.SIGSTOP)

    # When it is killed as it stands, and the user with it
    kill(user.process.pid, user.guard)

    check_that_nothing_is_left(user)


@pytest.mark.parametrize(
    ("medium", "victims"),
    [("redis", "guard"), ("redis", "both"), *(("postgres", who) for who in ("user", "guard", "both", "interrupt"))],
)
def test_with_a_server_running(user_with: Callable[..., User], medium: str, victims: str) -> None:
    user = user_with(medium, "pause")
    assert len(user.started) > 2 + len(user.members)  # guard, sweeper, participants - and the server

    if victims == "interrupt":
        os.killpg(user.process.pid, signal.SIGINT)
    else:
        pids = {"user": [user.process.pid], "guard": [user.guard], "both": [user.process.pid, user.guard]}
        kill(*pids[victims])

    check_that_nothing_is_left(user)


# --- a session that goes on ------------------------------------------------------------------------


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of one's own."""
    with Session() as made:
        yield made


def test_a_closed_session_leaves_nothing() -> None:
    others = set(children_of(os.getpid()))
    session = Session()
    folder, mine = session.folder, set(children_of(os.getpid())) - others
    session.participant("somebody")
    below = [pid for child in mine for pid in descendants(child)]
    assert below

    session.close()

    assert not folder.exists()
    assert eventually(lambda: not any(map(running, below)))
    assert users_of(folder) == []


def test_closing_twice_is_as_good_as_once(session: Session) -> None:
    session.close()
    session.close()

    assert not session.alive


def test_a_closed_session_says_how_to_go_on(session: Session) -> None:
    session.close()

    with pytest.raises(RunFailed, match="start a new one"):
        session.participant("late")


def test_a_session_can_be_used_again_after_an_interrupted_run(session: Session) -> None:
    # Given a run that was stopped in the middle, as the stop button does
    pids: list[int] = []

    def stop(cast: Any) -> None:
        pids.extend(member.pid for member in cast.members.values())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_history(Folder(), Workload(operations=5000), session, [(0.1, stop)])
    assert eventually(lambda: not any(map(running, pids)))

    # When the next one runs
    history = run_history(Folder(), Workload(operations=50, warmup=0), session)

    # Then it has all of its own deliveries and none of the other's
    accounts = account(history, next(iter(history.workload.weights)))
    assert (accounts.delivered, accounts.lost, accounts.unexpected, accounts.duplicated) == (50, 0, 0, 0)


def test_the_default_session_starts_again_when_its_guard_has_died() -> None:
    end_default_session()
    before = children_of(os.getpid())
    first = default_session()
    assert default_session() is first
    folder = first.folder
    (guard,) = set(children_of(os.getpid())) - set(before)
    kill(guard)
    assert eventually(lambda: not first.alive)

    second = default_session()

    assert second is not first
    second.participant("anybody").close()
    assert eventually(lambda: not folder.exists())
    end_default_session()


def test_a_participant_that_dies_is_reported_with_its_signal(session: Session) -> None:
    member = session.participant("victim")

    member.kill()

    with pytest.raises(EOFError):
        member.receive(timeout=5)
    assert eventually(lambda: session.exit_status(member.pid) == -signal.SIGKILL)


def test_a_paused_participant_can_be_killed_and_a_resumed_one_goes_on(session: Session) -> None:
    dead, alive = session.participant("dead"), session.participant("alive")
    dead.pause()
    alive.pause()

    dead.kill()
    alive.begin(lambda link, a, b: a + b, 2, 3)
    assert not alive.poll()
    alive.resume()

    assert alive.finish(timeout=5) == 5
    with pytest.raises(EOFError):
        dead.receive(timeout=5)


def test_what_fails_in_a_participant_comes_with_its_traceback_and_the_participant_goes_on(session: Session) -> None:
    member = session.participant("clumsy")

    member.begin(lambda link: 1 // 0)
    with pytest.raises(RunFailed, match=r"(?s)clumsy failed:.*ZeroDivisionError"):
        member.finish(timeout=5)

    member.begin(lambda link: "still here")
    assert member.finish(timeout=5) == "still here"


def test_thirty_participants_at_once_each_have_their_own_pipe(session: Session) -> None:
    members = [session.participant(f"p{i}") for i in range(30)]
    for number, member in enumerate(members):
        member.begin(lambda link, number: (number, os.getpid()), number)

    assert [member.finish(timeout=10) for member in members] == [(i, m.pid) for i, m in enumerate(members)]


def test_a_site_is_private_and_its_name_is_its_own_among_all_sessions(session: Session) -> None:
    with Session() as other:
        sites = [session.site(), session.site(), other.site()]

    assert len({site.name for site in sites}) == 3
    assert all(site.name.isidentifier() for site in sites)
    assert sites[0].folder.stat().st_mode & 0o777 == 0o700
    assert session.folder.stat().st_mode & 0o777 == 0o700


def test_an_unasked_death_of_a_participant_is_noticed_by_its_run(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "PATIENCE", 0.5)

    def strike(cast: Any) -> None:
        os.kill(cast["metering-0"].pid, signal.SIGKILL)

    history = run_history(Folder(), Workload(operations=60, warmup=0), session, [(0.05, strike)])

    verdict = judge(history)
    assert verdict.state is State.UNKNOWN
    assert "metering-0 died during the run (status -9) and nobody had asked for it" in verdict.reasons


# --- what earlier sessions have left ----------------------------------------------------------------


def left_behind(base: Path, name: str, lock: bool = True, age: float = 3600) -> Path:
    """The folder of a session, last touched so many seconds ago."""
    folder = base / f"{PREFIX}{name}"
    folder.mkdir()
    if lock:
        (folder / "lock").touch()
    (folder / "s1_1").mkdir()
    then = time.time() - age
    os.utime(folder, (then, then))
    return folder


def test_a_new_session_sweeps_the_folder_of_one_that_is_dead(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(str(short_folder)) > 50:
        pytest.skip("temporary space has a name too long for sockets here, and is not used")
    stale = left_behind(short_folder, "stale")
    monkeypatch.setenv("TMPDIR", str(short_folder))

    with Session() as session:
        assert session.folder.parent == short_folder
        assert not stale.exists()


def test_a_folder_whose_guard_died_before_it_had_a_lock_is_swept(short_folder: Path) -> None:
    stale = left_behind(short_folder, "early", lock=False)

    sweep_stale(short_folder)

    assert not stale.exists()


def test_a_folder_that_is_locked_young_or_somebody_elses_stays(short_folder: Path) -> None:
    locked, young = left_behind(short_folder, "locked"), left_behind(short_folder, "young", age=1)
    other = short_folder / "something-else"
    other.mkdir()
    with (locked / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(locked, (0, 0))

        sweep_stale(short_folder)

        assert locked.exists() and young.exists() and other.exists()


def test_a_link_is_not_followed(short_folder: Path) -> None:
    home = short_folder / "home"
    home.mkdir()
    (home / "thesis").write_text("three years of work")
    (short_folder / f"{PREFIX}trap").symlink_to(home)
    os.utime(home, (0, 0))

    sweep_stale(short_folder)

    assert [path.name for path in home.iterdir()] == ["thesis"]
