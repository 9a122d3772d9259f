"""The participants of a run: how they come on stage, and what may be done to them while it goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.channel import ASK_GROUP, OWNER_GROUP, Channel
from sandbox.errors import BadArgument, RunFailed
from sandbox.exchange.schema import Verb
from sandbox.harness.history import Process, Role
from sandbox.harness.journal import read, recorded
from sandbox.harness.participant import Participant
from sandbox.harness.plan import Plan
from sandbox.harness.receiving import receive
from sandbox.harness.sending import send
from sandbox.harness.stage import Stage
from sandbox.harness.tasks import ReceiveTask, SendTask

if TYPE_CHECKING:
    from sandbox.harness.session import Session
    from sandbox.harness.workload import Workload
    from sandbox.site import Site

#: most events that one delivery leaves in a receiver's journal, and how often a delivery may come again on average
_RECORDS = 4 * 4
#: seconds that a participant has for getting ready
_READY = 30.0


class Cast:
    """The participants of a run by name, for interventions: ``cast.kill("sender-0")``.

    members     name -> its process        processes   name -> what it is in the history
    failed      name -> the traceback of one whose own code failed
    reports     name -> what one that has ended in order has reported
    expected_deaths   names that an intervention has ended on purpose
    awaited     names of those that are gone and in whose place somebody is on the way: nobody else need come
    start       ns of the monotonic clock at which the load starts; 0 before
    sending     names of senders that are not done yet
    """

    def __init__(self, stage: Stage, workload: Workload, plan: Plan) -> None:
        self.stage, self.workload, self.plan = stage, workload, plan
        self.members: dict[str, Participant] = {}
        self.processes: dict[str, Process] = {}
        self.journals: dict[str, Path] = {}
        self.failed: dict[str, str] = {}
        self.reports: dict[str, dict[str, Any]] = {}
        self.expected_deaths: set[str] = set()
        self.awaited: set[str] = set()
        self.sending: set[str] = set()
        self.start = 0
        self._rows: dict[str, list[tuple[int, ...]]] = {}

    @property
    def session(self) -> Session:
        """The session whose processes they are."""
        return self.stage.session

    @property
    def site(self) -> Site:
        """Where the channel is installed."""
        return self.stage.site

    def __getitem__(self, name: str) -> Participant:
        try:
            return self.members[name]
        except KeyError:
            raise BadArgument("participant", expected="one of " + ", ".join(self.members), got=name) from None

    def kill(self, name: str) -> None:
        """SIGKILL a participant on purpose: its death is a finding, not a doubt."""
        self.expected_deaths.add(name)
        self[name].kill()

    def of(self, role: Role) -> list[str]:
        """Names of the participants with a role."""
        return [name for name, process in self.processes.items() if process.role is role]

    def playing(self, name: str) -> str:
        """Who plays a participant's part now: itself, or whoever has come in its place."""
        while (following := _next(name)) in self.processes:
            name = following
        return name

    def usual(self) -> list[Process]:
        """Who is on stage in a plain run, receivers first."""
        return usual(self.stage.channel, self.workload, self.plan)

    # --- coming on stage ----------------------------------------------------------------------

    def engage(self, *processes: Process) -> None:
        """Bring participants on stage, and wait until each is ready; receivers first: all listen before one sends.

        Senders get the rows that the plan has for their name. Raises `RunFailed` when one cannot start.
        """
        for role in (Role.RECEIVER, Role.SENDER):
            names = [process.name for process in processes if process.role is role]
            for process in processes:
                if process.role is role:
                    self._bring(process)
            for name in names:
                self._await_ready(name)

    def restart(self, name: str) -> str:
        """Bring a new process on stage in the place of one that is gone (or stopped); returns its name.

        A receiver takes its place in the group. A sender goes on with the operations that were not begun.
        """
        new = self.call(name)
        self._await_ready(new)
        self._join(new)
        return new

    def call(self, name: str) -> str:
        """The same without waiting: the new process is ready when `has_come` says so."""
        old = self.processes[name]
        new = Process(_next(name), old.role, old.group)
        if old.role is Role.SENDER:
            journal = self.journals[name]  # there is none of one that was killed before it could open it
            begun = set(read(journal)["operation"].tolist()) if journal.exists() else set[int]()
            self._rows[new.name] = [row for row in self._rows[name] if row[0] not in begun]
        self._bring(new)
        return new.name

    def has_come(self, name: str) -> bool:
        """Whether one that was called is ready; a sender sets to work with that. `RunFailed` when it cannot start."""
        if not self[name].poll():
            return False
        self._await_ready(name)
        self._join(name)
        return True

    def dismiss(self, name: str) -> None:
        """Forget one that was called and could not start: the history shall not have it."""
        self.members.pop(name).close()
        self.processes.pop(name)
        self._rows.pop(name, None)
        self.journals.pop(name).unlink(missing_ok=True)

    def stop(self, name: str, patience: float = 10.0) -> None:
        """Ask a receiver to end, as an orderly shutdown does, and wait for it. `RunFailed` when it does not."""
        self.ask_to_end(name)
        if not self.has_ended(name, patience):
            raise RunFailed(f"{name} did not end within {patience:g} s after it was asked to")

    def ask_to_end(self, name: str) -> None:
        """The same without waiting: it is gone when `has_ended` says so."""
        self.expected_deaths.add(name)
        self[name].send("stop")

    def has_ended(self, name: str, patience: float = 0.0) -> bool:
        """Whether one that was asked to end has ended, within `patience` s. `RunFailed` when it failed at that."""
        try:
            self.reports[name] = self[name].finish(patience)
        except EOFError:
            return True
        except TimeoutError:
            return False
        return True

    def _bring(self, process: Process) -> None:
        if process.role is Role.RECEIVER:
            self._begin(process, receive, self._receive_task(process))
            return
        rows = self._rows.get(process.name)
        self._rows[process.name] = rows if rows is not None else self._planned(process.name)
        self._begin(process, send, self._send_task(process))

    def _join(self, name: str) -> None:
        if self.processes[name].role is Role.SENDER and self.start:
            self.sending.add(name)
            self[name].send(self.start)  # what was due meanwhile is late, and begun at once

    def _planned(self, name: str) -> list[tuple[int, ...]]:
        return self.plan.of_sender(self.plan.senders.index(name)) if name in self.plan.senders else []

    def _receive_task(self, process: Process) -> ReceiveTask:
        workload = self.workload
        return ReceiveTask(
            part=self.stage.part(process),
            group=process.group,
            name=process.name,
            services=self.plan.services(),
            settle=workload.settle,
            batch=workload.batch,
            projects=workload.projects,
            quota_gb=workload.quota_gb,
            journal=self._journal(process.name),
            capacity=_RECORDS * len(self.plan.rows) + 4096,
        )

    def _send_task(self, process: Process) -> SendTask:
        workload = self.workload
        return SendTask(
            part=self.stage.part(process),
            name=process.name,
            rows=self._rows[process.name],
            loop=workload.loop,
            in_flight=workload.in_flight,
            timeout=workload.timeout,
            journal=self._journal(process.name),
            resumed=bool(self.start),
        )

    def _journal(self, name: str) -> Path:
        self.journals[name] = self.site.folder / f"{name}.journal"
        return self.journals[name]

    def _begin(self, process: Process, function: Callable[..., Any], task: Any) -> None:
        member = self.session.participant(process.name)
        self.members[process.name] = member
        self.processes[process.name] = process
        member.begin(function, task)

    def _await_ready(self, name: str) -> None:
        try:
            self[name].receive(timeout=_READY)
        except (EOFError, TimeoutError) as error:
            raise RunFailed(f"{name} did not become ready ({type(error).__name__})") from None


def usual(channel: Channel, workload: Workload, plan: Plan) -> list[Process]:
    """Who is on stage in a plain run of a workload, receivers first."""
    verbs = workload.weights
    groups = list(workload.groups) if Verb.TELL in verbs else []
    groups += [ASK_GROUP] if Verb.ASK in verbs else []
    found = [Process(f"{g}-{i}", Role.RECEIVER, g) for g in groups for i in range(workload.receivers)]
    if Verb.SHARE in verbs and channel.guarantees.share.needs_owner:
        found.append(Process("owner", Role.RECEIVER, OWNER_GROUP))
    return found + [Process(name, Role.SENDER) for name in plan.senders]


def _next(name: str) -> str:
    """metering-0 -> metering-0_2 -> metering-0_3: the same part, played by the next process."""
    found = re.fullmatch(r"(.+?)(?:_(\d+))?", name)
    assert found, name
    return f"{found[1]}_{int(found[2] or 1) + 1}"


#: seconds after the start of the load, and what to do then
Intervention = tuple[float, Callable[[Cast], None]]


class Watch:
    """How many events the participants have on record, and since when there are no more of them."""

    def __init__(self, journals: Mapping[str, Path]) -> None:
        self._journals = journals
        self._events, self._moved = -1, time.monotonic()

    def events(self) -> int:
        """How many there are now."""
        events = sum(recorded(path) for path in list(self._journals.values()) if path.exists())
        if events != self._events:
            self._events, self._moved = events, time.monotonic()
        return events

    def stood_still_for(self) -> float:
        """Seconds since the last look that found more than the one before."""
        self.events()
        return time.monotonic() - self._moved
