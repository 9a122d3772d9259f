"""One run of the small workload, in which processes are killed and others take their place, to the very end.

prepare   a place of its own; receivers, then the sender
load      the sender says what it has to say, one operation at a time; whoever dies is replaced at once
drain     until the channel is empty, or nothing has happened for longer than every lease
close     sender, and the receiver that is to be killed, end in good order (there are effects in that, too)
probe     a new sender says as much again: does the channel still work? Another one, if somebody died meanwhile
verify    everybody ends; journals become a history
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sandbox.channel import Backlog, Channel
from sandbox.errors import RunFailed, SandboxError
from sandbox.exchange.schema import Verb
from sandbox.faults.crash.load import PROBES, plan_of, workload_of
from sandbox.guarantees import Delivery
from sandbox.harness.cast import Cast, Watch
from sandbox.harness.checker import all_delivered
from sandbox.harness.history import History, Process, Role, gather
from sandbox.harness.hook import Hook
from sandbox.harness.journal import Event, read
from sandbox.harness.session import Session
from sandbox.harness.stage import Part, Stage

#: s without any progress, beyond every lease, after which nothing more is waited for
PATIENCE = 1.0
#: the same where nothing can come again
SHORT = 0.4
#: s after which a trial is ended, whatever goes on
LONGEST = 20.0
#: how often one part may be played by a new process
SUCCESSORS = 6
_LOOK = 0.003


class Stopped(Exception):
    """Somebody has asked all trials to end."""


@dataclass
class Ending:
    """How a trial ended.

    backlog    what lies in the channel, if it can tell
    struck     names of the participants that were killed at their effect
    failures   name -> why a participant has failed by itself
    complaints what went wrong with the trial as a whole
    """

    history: History
    backlog: Backlog | None
    struck: tuple[str, ...]
    failures: Mapping[str, str]
    complaints: list[str] = field(default_factory=list)


class Trial:
    """See the module's text. `hooks`: name of a participant -> what watches it."""

    def __init__(
        self,
        session: Session,
        channel: Channel,
        mapped: Sequence[Verb],
        settle: str,
        hooks: Mapping[str, Hook],
        stop: threading.Event,
    ) -> None:
        self._channel, self._hooks, self._stop = channel, hooks, stop
        self._stage = Stage(session, channel, ("metering",))
        self._stage.change(self._hooked)
        self.cast = Cast(self._stage, workload_of(mapped, settle), plan_of(mapped))
        self._gone: set[str] = set()
        self._complaints: list[str] = []
        self._deaths = self._waited_for = 0  # after each death, what it had in hand may come again
        self._deadline = time.monotonic() + LONGEST

    def carry_out(self) -> Ending:
        """Run it. Raises `Stopped`, and what `Channel.install` raises."""
        try:
            self._channel.install(self._stage.site, self._stage.release.schema)
            with suppress(_Over):
                self._play()
            self._end_all()
            return self._ending()
        finally:
            for member in self.cast.members.values():
                member.close()
            with suppress(SandboxError, OSError):
                self._channel.uninstall(self._stage.site)
            shutil.rmtree(self._stage.site.folder, ignore_errors=True)

    def _hooked(self, process: Process, part: Part) -> Part:
        hook = self._hooks.get(process.name)
        return part if hook is None else part.hooked(hook)

    def _play(self) -> None:
        usual = [process for process in self.cast.usual() if process.name not in PROBES]
        for process in usual:
            self._engage(process)
        self._begin_load()
        self._drain()
        closing = [process.name for process in usual if process.role is Role.SENDER or process.name in self._hooks]
        for name in closing:
            self._close(name)
        for name in PROBES:
            gone = len(self._gone)
            self._engage(Process(name, Role.SENDER))
            self._drain()
            if len(self._gone) == gone:
                return

    # --- coming and going ------------------------------------------------------------------------

    def _engage(self, process: Process) -> None:
        try:
            self.cast.engage(process)
        except RunFailed as error:
            self._lost(process.name, error)
            return
        if process.role is Role.SENDER and self.cast.start:
            self._start(process.name)

    def _begin_load(self) -> None:
        self.cast.start = time.monotonic_ns()
        for name in self.cast.of(Role.SENDER):
            if name not in self._gone:
                self._start(name)

    def _start(self, name: str) -> None:
        self.cast.sending.add(name)
        self.cast[name].send(self.cast.start)

    def _lost(self, name: str, error: RunFailed | None, replace: bool = True) -> None:
        """A participant has died or failed: another takes its place, if there is anything left for it to do."""
        if name in self._gone:
            return
        self._gone.add(name)
        self._deaths += error is not None or self._was_struck(name)
        was_sending = name in self.cast.sending or not self.cast.start
        self.cast.sending.discard(name)
        if error is not None and not self._was_struck(name):
            self.cast.failed[name] = str(error).strip().splitlines()[-1]
        process = self.cast.processes[name]
        if not replace or (process.role is Role.SENDER and not (was_sending and self._left(name))):
            return
        if len(self._generations(name)) > SUCCESSORS or not self.cast.journals[name].exists():
            self._complaints.append(f"{name} could not go on: {self.cast.failed.get(name, 'it died')}")
            return
        try:
            self.cast.restart(name)
        except RunFailed as failed:
            self._lost(list(self.cast.processes)[-1], failed)

    def _left(self, name: str) -> bool:
        rows = self.cast.plan.of_sender(self.cast.plan.senders.index(name.partition("_")[0]))
        begun = {identity for each in self._generations(name) for identity in self._events(each, "operation")}
        return any(row[0] not in begun for row in rows)

    def _generations(self, name: str) -> list[str]:
        first = name.partition("_")[0]
        return [each for each in self.cast.processes if each.partition("_")[0] == first]

    def _events(self, name: str, column: str) -> list[int]:
        journal = self.cast.journals[name]
        found: list[int] = read(journal)[column].tolist() if journal.exists() else []
        return found

    def _was_struck(self, name: str) -> bool:
        return int(Event.STRUCK) in self._events(name, "event")

    def _close(self, name: str) -> None:
        """Let whoever plays a part now end in good order; a receiver is replaced.

        If it was killed instead, or had been a moment ago, its successor ends in good order: so that it does not
        depend on that moment who is there for the probe.
        """
        while (current := self._generations(name)[-1]) not in self._gone:
            error = self._stop_in_good_order(current)
            self._lost(current, error, replace=self.cast.processes[current].role is Role.RECEIVER)
            if not self._was_struck(current):
                return

    def _stop_in_good_order(self, name: str) -> RunFailed | None:
        self.cast[name].send("stop")
        try:
            self.cast[name].finish(max(1.0, self._deadline - time.monotonic()))
        except EOFError:
            return None
        except (RunFailed, TimeoutError) as error:
            return error if isinstance(error, RunFailed) else RunFailed(f"{name} did not end when it was asked to")
        return None

    def _end_all(self) -> None:
        for name in self.cast.members:
            if name not in self._gone:
                self._lost(name, self._stop_in_good_order(name), replace=False)

    # --- waiting -----------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take in what the participants say, and that they have died."""
        if self._stop.is_set():
            raise Stopped
        if time.monotonic() > self._deadline:
            self._complaints.append(f"it was not over after {LONGEST:g} s")
            raise _Over
        for name in list(self.cast.members):
            try:
                while name not in self._gone and self.cast[name].poll():
                    if self.cast[name].receive() == "sent":
                        self.cast.sending.discard(name)
            except EOFError:
                self._lost(name, None)
            except RunFailed as error:
                self._lost(name, error)

    def _drain(self) -> None:
        """Until all senders are done and the channel is empty, or nothing happens any more."""
        watch = Watch(self.cast.journals)
        while True:
            self._look()
            if not self.cast.sending and self._is_drained(watch):
                return
            time.sleep(_LOOK)

    def _is_drained(self, watch: Watch) -> bool:
        backlog = self._backlog()
        if backlog is not None:
            if not backlog.ready and not backlog.claimed:
                return True
            return watch.stood_still_for() > PATIENCE + backlog.lease
        promised = self._channel.guarantees
        again = Delivery.AT_LEAST_ONCE in (promised.tell.delivery, promised.ask.delivery)
        again = again and self._deaths > self._waited_for
        if not again and all_delivered(self._history()):
            return True
        if watch.stood_still_for() <= (PATIENCE if again else SHORT):
            return False
        self._waited_for = self._deaths
        return True

    def _backlog(self) -> Backlog | None:
        return self._channel.backlog(self._stage.site)

    # --- the end -----------------------------------------------------------------------------------

    def _ending(self) -> Ending:
        struck = tuple(name for name in self.cast.processes if self._was_struck(name))
        return Ending(self._history(), self._backlog(), struck, dict(self.cast.failed), self._complaints)

    def _history(self) -> History:
        cast = self.cast
        return History(
            workload=cast.workload,
            channel=self._channel.title(),
            style=self._channel.style,
            guarantees=self._channel.guarantees,
            plan=cast.plan,
            processes=tuple(cast.processes.values()),
            events=gather([cast.journals[name] for name in cast.processes], cast.start),
        )


class _Over(Exception):
    """This trial has taken too long."""
