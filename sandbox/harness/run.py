"""Carry out one run: prepare, load, drain, verify. Knows no channel by name.

prepare   a site, the channel installed, every participant connected and ready
load      warm-up and measured operations by plan; interventions (a kill, a pause) at their times
drain     until all is accounted for, or the backlog is empty, or every lease is past its horizon
verify    participants end, journals become a history
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Channel
from sandbox.errors import RunFailed
from sandbox.exchange.schema import EXCHANGE, Verb
from sandbox.harness.cast import Cast, Intervention, Watch
from sandbox.harness.checker import all_delivered
from sandbox.harness.history import History, Process, Role, gather
from sandbox.harness.plan import Plan, make_plan
from sandbox.harness.roles import receive, send
from sandbox.harness.session import Session, default_session, end_default_session
from sandbox.harness.tasks import ReceiveTask, SendTask
from sandbox.harness.workload import Workload, check_offered

#: most events that one delivery leaves in a receiver's journal, and how often a delivery may come again on average
_RECORDS = 4 * 4
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
) -> History:
    """One run of a workload on a channel. Interrupting it ends everything it has started.

    Raises `BadArgument` for a verb that the channel does not offer, `ServerUnavailable` when its
    server cannot be had, `RunFailed` when a participant cannot even start.
    """
    check_offered(channel, workload)
    own = session is None
    session = session or default_session()
    try:
        return _Run(channel, workload, session).carry_out(interventions)
    except KeyboardInterrupt:
        if own:
            end_default_session()
        raise


class _Run:
    def __init__(self, channel: Channel, workload: Workload, session: Session) -> None:
        self._channel, self._workload, self._session = channel, workload, session
        self._plan: Plan = make_plan(workload)
        self._notes: list[str] = []
        self._facts: dict[str, Any] = {"phases": {}, "knobs": _knobs(channel)}
        self._cast = Cast(session, session.site(channel, workload.groups))
        self._start = 0

    def carry_out(self, interventions: Sequence[Intervention]) -> History:
        self._facts["started"] = datetime.now(UTC).isoformat(timespec="seconds")
        wall, clock = time.time(), time.monotonic()
        try:
            with self._phase("prepare"):
                self._channel.install(self._cast.site, EXCHANGE)
                self._engage()
            with self._phase("load"):
                self._load(interventions)
            with self._phase("drain"):
                self._drain()
            with self._phase("verify"):
                self._stop()
        except BaseException:
            self._leave()
            with suppress(Exception):  # what has gone wrong before is the news
                self._channel.uninstall(self._cast.site)
            raise
        self._leave()
        self._facts["clock_gap"] = (time.time() - wall) - (time.monotonic() - clock)
        backlog = self._channel.backlog(self._cast.site)
        self._facts["backlog"] = asdict(backlog) if backlog is not None else None
        history = self._history()
        self._channel.uninstall(self._cast.site)
        for path in self._cast.journals.values():
            path.unlink(missing_ok=True)  # megabytes each; what they held is in the history
        return history

    def _leave(self) -> None:
        for member in self._cast.members.values():
            member.close()

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self._facts["phases"][name] = round(time.monotonic() - begun, 4)

    # --- prepare ------------------------------------------------------------------------------

    def _engage(self) -> None:
        for group, name in self._receivers():
            self._engage_receiver(group, name)
        self._await_ready(self._cast.of(Role.RECEIVER))  # nobody sends before every listener listens
        for index, name in enumerate(self._plan.senders):
            self._engage_sender(index, name)
        self._await_ready(self._cast.of(Role.SENDER))

    def _receivers(self) -> list[tuple[str, str]]:
        verbs, count = self._workload.weights, self._workload.receivers
        groups = list(self._workload.groups) if Verb.TELL in verbs else []
        groups += [ASK_GROUP] if Verb.ASK in verbs else []
        found = [(group, f"{group}-{i}") for group in groups for i in range(count)]
        if Verb.SHARE in verbs and self._channel.guarantees.share.needs_owner:
            found.append((OWNER_GROUP, "owner"))
        return found

    def _engage_receiver(self, group: str, name: str) -> None:
        workload = self._workload
        task = ReceiveTask(
            channel=self._channel,
            site=self._cast.site,
            schema=EXCHANGE,
            group=group,
            name=name,
            services=self._plan.services(),
            settle=workload.settle,
            batch=workload.batch,
            projects=workload.projects,
            quota_gb=workload.quota_gb,
            journal=self._journal(name),
            capacity=_RECORDS * len(self._plan.rows) + 4096,
        )
        self._begin(Process(name, Role.RECEIVER, group), receive, task)

    def _engage_sender(self, index: int, name: str) -> None:
        workload = self._workload
        task = SendTask(
            channel=self._channel,
            site=self._cast.site,
            schema=EXCHANGE,
            name=name,
            rows=self._plan.of_sender(index),
            loop=workload.loop,
            in_flight=workload.in_flight,
            timeout=workload.timeout,
            journal=self._journal(name),
        )
        self._begin(Process(name, Role.SENDER), send, task)

    def _journal(self, name: str) -> Path:
        self._cast.journals[name] = self._cast.site.folder / f"{name}.journal"
        return self._cast.journals[name]

    def _begin(self, process: Process, function: Callable[..., Any], task: Any) -> None:
        member = self._session.participant(process.name)
        self._cast.members[process.name] = member
        self._cast.processes[process.name] = process
        member.begin(function, task)

    def _await_ready(self, names: list[str]) -> None:
        for name in names:
            try:
                self._cast[name].receive(timeout=30)
            except (EOFError, TimeoutError) as error:
                raise RunFailed(f"{name} did not become ready ({type(error).__name__})") from None

    # --- load and drain -------------------------------------------------------------------------

    def _load(self, interventions: Sequence[Intervention]) -> None:
        self._start = time.monotonic_ns() + 20_000_000
        waiting = set(self._cast.of(Role.SENDER))
        for name in waiting:
            self._cast[name].send(self._start)
        todo = sorted(interventions, key=lambda entry: entry[0])
        watch, looked = Watch(self._cast.journals), 0.0
        silence = STUCK + self._workload.timeout + self._plan.longest_silence
        while waiting or todo:
            elapsed = (time.monotonic_ns() - self._start) / 1e9
            while todo and todo[0][0] <= elapsed:
                todo.pop(0)[1](self._cast)
            for name in sorted(waiting):
                if self._finished_sending(name):
                    waiting.discard(name)
            self._check_guard()
            if elapsed > looked + 1:
                looked = elapsed
                if not todo and watch.stood_still_for() > silence:
                    self._notes += [f"{name} neither sent nor ended any more" for name in sorted(waiting)]
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
        return False

    def _heard(self, name: str, message: Any) -> Any:
        if message == "journal full":
            self._notes.append(f"{name}'s journal is full: what came after is not on record")
        return message

    def _drain(self) -> None:
        watch, seen = Watch(self._cast.journals), -1
        while True:
            self._check_guard()
            if (events := watch.events()) != seen:
                seen = events
                if all_delivered(self._history()):
                    return
            backlog = self._channel.backlog(self._cast.site)
            if backlog is not None and backlog.ready == 0 and backlog.claimed == 0:
                return
            horizon = PATIENCE + self._plan.longest_service + (backlog.lease if backlog is not None else 0.0)
            if watch.stood_still_for() > horizon:
                if backlog is not None:
                    left = f"{backlog.ready} ready and {backlog.claimed} claimed operations"
                    self._notes.append(f"the drain is unresolved: {left} lie in the channel and nobody works on them")
                return
            time.sleep(0.02)

    # --- verify ---------------------------------------------------------------------------------

    def _stop(self) -> None:
        for name in self._cast.members:
            self._cast[name].send("stop")
        refused: list[str] = []
        self._facts["spent"] = {}
        for name, process in list(self._cast.processes.items()):
            try:
                report = self._report(name)
                refused += report.get("refused", [])
                self._facts["spent"][name] = report.get("spent")
            except EOFError:
                self._died(name, process)
            except (TimeoutError, RunFailed) as error:
                self._notes.append(f"{name} did not end well: {error}")
        self._facts["refused"] = refused

    def _report(self, name: str) -> dict[str, Any]:
        while True:
            message = self._heard(name, self._cast[name].receive(timeout=FAREWELL))
            if isinstance(message, tuple) and message[0] == "done":
                report: dict[str, Any] = message[1]
                return report

    def _died(self, name: str, process: Process) -> None:
        status = self._exit_status(self._cast[name].pid)
        died = status if status is not None else 0
        self._cast.processes[name] = Process(name, process.role, process.group, died)
        if name not in self._cast.expected_deaths:
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
            events=gather([self._cast.journals[name] for name in self._cast.processes], self._start),
            label=", ".join(self._session.server(medium).label for medium in self._channel.needs),
            notes=tuple(self._notes),
            facts=self._facts,
        )


def _knobs(channel: Channel) -> dict[str, Any]:
    return {name: value for name, value in vars(channel).items() if isinstance(value, int | float | str | bool)}
