"""Carry out one run: prepare, load, heal, drain, verify. Knows no channel by name.

prepare   a site, the channel installed, every participant connected and ready
load      warm-up and measured operations by plan; interventions (a kill, a pause) at their times
heal      what was broken on purpose is mended
drain     until all is accounted for, or the backlog is empty, or every lease is past its horizon
verify    participants end, journals become a history
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sandbox.channel import Channel
from sandbox.errors import RunFailed
from sandbox.harness.cast import Cast, Intervention, Watch
from sandbox.harness.checker import all_delivered
from sandbox.harness.history import History, Process, Role, gather
from sandbox.harness.journal import Event, read
from sandbox.harness.plan import make_plan
from sandbox.harness.session import Session, default_session, end_default_session
from sandbox.harness.stage import AROUND, Director, Script, Stage
from sandbox.harness.workload import Workload, check_offered

#: seconds without any progress after which a drain is given up
PATIENCE = 3.0
#: seconds of silence, beyond all that was planned, after which a sender is taken for stuck
STUCK = 13.0
#: seconds that a participant has for closing its end when it is told to stop
FAREWELL = 10.0


def run_history(
    channel: Channel,
    workload: Workload,
    session: Session | None = None,
    interventions: Sequence[Intervention] = (),
    director: Director | None = None,
) -> History:
    """One run of a workload on a channel. Interrupting it ends everything it has started.

    Without a session it takes the default one, or one of its own when its director is to break servers.
    Raises `BadArgument` for a verb that the channel does not offer, `ServerUnavailable` when its
    server cannot be had, `RunFailed` when a participant cannot even start.
    """
    check_offered(channel, workload)
    director = AROUND.get()(director or Script(interventions))
    director.check(channel, workload)
    if session is not None:
        return _Run(channel, workload, session, director).carry_out()
    if director.own_servers:
        with Session() as own:
            return _Run(channel, workload, own, director).carry_out()
    try:
        return _Run(channel, workload, default_session(), director).carry_out()
    except KeyboardInterrupt:
        end_default_session()
        raise


class _Run:
    def __init__(self, channel: Channel, workload: Workload, session: Session, director: Director) -> None:
        self._channel, self._workload, self._session, self._director = channel, workload, session, director
        self._plan = make_plan(workload)
        self._notes: list[str] = []
        self._facts: dict[str, Any] = {"phases": {}, "knobs": _knobs(channel)}
        self._stage = Stage(session, channel, workload.groups)
        self._cast = Cast(self._stage, workload, self._plan)

    def carry_out(self) -> History:
        self._facts["started"] = datetime.now(UTC).isoformat(timespec="seconds")
        wall, clock = time.time(), time.monotonic()
        try:
            with self._phase("prepare"):
                self._prepare()
            with self._phase("load"):
                self._load()
            with self._phase("heal"):
                self._heal()
                self._until_sent([])  # whoever comes back only now
            with self._phase("drain"):
                self._drain()
            with self._phase("verify"):
                self._stop()
        except BaseException:
            for undo in (self._heal, self._leave, self._end, self._uninstall):
                with suppress(Exception):  # what has gone wrong before is the news
                    undo()
            raise
        self._heal()
        self._leave()
        self._facts["clock_gap"] = (time.time() - wall) - (time.monotonic() - clock)
        backlog = self._channel.backlog(self._stage.site)
        self._facts["backlog"] = asdict(backlog) if backlog is not None else None
        self._facts |= self._director.facts()
        self._end()
        history = self._history()
        self._uninstall()
        for path in self._cast.journals.values():
            path.unlink(missing_ok=True)  # megabytes each; what they held is in the history
        return history

    def _heal(self) -> None:
        self._director.heal(self._cast)

    def _end(self) -> None:
        self._director.end(self._stage)

    def _uninstall(self) -> None:
        self._channel.uninstall(self._stage.site)

    def _leave(self) -> None:
        for member in self._cast.members.values():
            member.close()

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self._facts["phases"][name] = round(time.monotonic() - begun, 4)

    # --- prepare ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._director.prepare(self._stage)
        self._channel.install(self._stage.site, self._stage.release.schema)
        self._director.installed(self._stage)
        present = self._director.on_stage(self._cast.usual())
        if not self._director.failures_are_findings:
            self._cast.engage(*present)
            return
        for process in sorted(present, key=lambda each: each.role is Role.SENDER):
            self._engage_if_possible(process)

    def _engage_if_possible(self, process: Process) -> None:
        try:
            self._cast.engage(process)
        except RunFailed as error:
            self._failed(process.name, error)

    def _failed(self, name: str, error: RunFailed) -> None:
        """A participant whose own code has failed: the end of the run, unless that is what it is to find out."""
        if not self._director.failures_are_findings:
            raise error
        self._cast.failed[name] = str(error)
        self._cast.expected_deaths.add(name)

    # --- load and drain -------------------------------------------------------------------------

    def _load(self) -> None:
        cast = self._cast
        cast.start = time.monotonic_ns() + 20_000_000
        cast.sending |= set(cast.of(Role.SENDER)) - set(cast.failed)
        for name in cast.sending:
            cast[name].send(cast.start)
        self._until_sent(sorted(self._director.interventions(), key=lambda entry: entry[0]))
        self._director.sent(cast)
        self._until_sent([])  # those that were brought on stage only now

    def _until_sent(self, todo: list[Intervention]) -> None:
        """Wait until all senders are done and all interventions over."""
        cast, watch, looked = self._cast, Watch(self._cast.journals), 0.0
        silence = STUCK + self._workload.timeout + self._plan.longest_silence
        while cast.sending or todo or self._director.busy(cast):
            self._director.watch(cast)
            elapsed = (time.monotonic_ns() - cast.start) / 1e9
            while todo and todo[0][0] <= elapsed:
                todo.pop(0)[1](cast)
            for name in sorted(cast.sending):
                if self._finished_sending(name):
                    cast.sending.discard(name)
            self._check_guard()
            if elapsed > looked + 1:
                looked = elapsed
                if not todo and watch.stood_still_for() > silence:
                    self._notes += [f"{name} neither sent nor ended any more" for name in sorted(cast.sending)]
                    cast.sending.clear()
                    return
            time.sleep(0.005)

    def _check_guard(self) -> None:
        if not self._session.alive:
            raise RunFailed("the guard has died during the run; everything it had started was killed")

    def _finished_sending(self, name: str) -> bool:
        try:
            while self._cast[name].poll():
                if self._heard(name, self._cast[name].receive()) == "sent":
                    return True
        except EOFError:
            return True
        except RunFailed as error:
            self._failed(name, error)
            return True
        return False

    def _heard(self, name: str, message: Any) -> Any:
        if message == "journal full":
            self._notes.append(f"{name}'s journal is full: what came after is not on record")
        return message

    def _drain(self) -> None:
        watch, seen, delivered = Watch(self._cast.journals), -1, False
        patience = PATIENCE if self._director.patience is None else self._director.patience
        while True:
            self._check_guard()
            if (events := watch.events()) != seen:
                seen, delivered = events, all_delivered(self._history())
            if delivered and not self._director.thorough:
                return
            backlog = self._channel.backlog(self._stage.site)
            if delivered if backlog is None else backlog.ready == 0 and backlog.claimed == 0:
                return
            horizon = patience + self._plan.longest_service + (backlog.lease if backlog is not None else 0.0)
            if watch.stood_still_for() > horizon:
                if backlog is not None:
                    left = f"{backlog.ready} ready and {backlog.claimed} claimed operations"
                    self._notes.append(f"the drain is unresolved: {left} lie in the channel and nobody works on them")
                return
            time.sleep(0.02)

    # --- verify ---------------------------------------------------------------------------------

    def _stop(self) -> None:
        for name in self._cast.members.keys() - self._cast.reports.keys():
            self._cast[name].send("stop")
        refused: list[str] = []
        self._facts["spent"] = {}
        for name, process in list(self._cast.processes.items()):
            if name in self._cast.failed:
                continue
            try:
                report = self._report(name)
                refused += report.get("refused", [])
                self._facts["spent"][name] = report.get("spent")
            except EOFError:
                self._died(name, process)
            except (TimeoutError, RunFailed) as error:
                if isinstance(error, RunFailed) and self._director.failures_are_findings:
                    self._failed(name, error)
                else:
                    self._notes.append(f"{name} did not end well: {error}")
        self._facts["refused"] = refused
        if self._cast.failed:
            self._facts["failed"] = self._cast.failed

    def _report(self, name: str) -> dict[str, Any]:
        if name in self._cast.reports:
            return self._cast.reports[name]
        while True:
            message = self._heard(name, self._cast[name].receive(timeout=FAREWELL))
            if isinstance(message, tuple) and message[0] == "done":
                report: dict[str, Any] = message[1]
                return report

    def _died(self, name: str, process: Process) -> None:
        status = self._exit_status(self._cast[name].pid)
        died = status if status is not None else 0
        self._cast.processes[name] = Process(name, process.role, process.group, died)
        struck = (
            Event.STRUCK in read(self._cast.journals[name])["event"] if self._cast.journals[name].exists() else False
        )
        if name not in self._cast.expected_deaths and not struck:
            self._notes.append(f"{name} died during the run (status {died}) and nobody had asked for it")

    def _exit_status(self, pid: int) -> int | None:
        deadline = time.monotonic() + 2
        while (status := self._session.exit_status(pid)) is None and time.monotonic() < deadline:
            time.sleep(0.002)  # the end of its link is seen before the guard has reported it
        return status

    def _history(self) -> History:
        return History(
            workload=self._workload,
            channel=self._channel.title(),
            style=self._channel.style,
            guarantees=self._channel.guarantees,
            plan=self._plan,
            processes=tuple(self._cast.processes.values()),
            events=gather([self._cast.journals[name] for name in self._cast.processes], self._cast.start),
            label=", ".join(self._session.server(medium).label for medium in self._channel.needs),
            notes=tuple(self._notes),
            facts=self._facts,
        )


def _knobs(channel: Channel) -> dict[str, Any]:
    return {name: value for name, value in vars(channel).items() if isinstance(value, int | float | str | bool)}
