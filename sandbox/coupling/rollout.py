"""Directs a run in which one side is changed and the other is not yet.

    sender first     the old receivers are there, the new sender sends; then new receivers take their place
    receiver first   the new receivers are there, the old sender sends
    backlog          the old sender sends and nobody takes; then the new receivers come

Where the medium knows the schema (columns of a table), the migration comes with whoever is first. Readers of
shared state come when all is written, so that what they should see is certain.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sandbox.channel import OWNER_GROUP
from sandbox.coupling.change import Change, Order
from sandbox.coupling.practice import newer, older, tolerant
from sandbox.errors import RunFailed
from sandbox.exchange.release import Release
from sandbox.exchange.schema import Verb
from sandbox.harness.cast import Cast, Intervention, Watch
from sandbox.harness.history import Process, Role
from sandbox.harness.journal import Event, read
from sandbox.harness.stage import Director, Part, Stage

#: seconds without an event after which the old receivers are taken to have done what they can
STILL = 0.15
#: the same where the drain cannot see what is left, and the last word is this one
ELSEWHERE_STILL = 0.4
#: seconds for an old sender to begin all of its operations
_PATIENCE = 10.0


class Rollout(Director):
    """One change, rolled out over one run.

    old, new   the two releases
    late       names of the receivers that came when the sender was done
    migrated   the statements that changed the medium
    """

    failures_are_findings = True
    patience = 0.4

    def __init__(self, change: Change) -> None:
        self.change = change
        self.old, self.new = releases(change)
        self.late: list[str] = []
        self.migrated: tuple[str, ...] = ()
        self._complete = False

    def prepare(self, stage: Stage) -> None:
        """See `Director.prepare`."""
        stage.release = self.old
        stage.change(self._part)
        self.change.prepare(stage)

    def installed(self, stage: Stage) -> None:
        """The migration, unless a backlog has to be written first."""
        self.change.installed(stage)
        if self.change.order is not Order.BACKLOG:
            self._migrate(stage)

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """Without those who come later."""
        usual = self.change.on_stage(usual)
        if self.change.order is not Order.SENDER_FIRST:
            usual = usual + self.change.newcomers()
        if self.change.verb is Verb.SHARE:
            return [process for process in usual if not _reads(process)]
        if self.change.order is Order.BACKLOG or self.change.away:
            return [process for process in usual if process.role is Role.SENDER]
        return usual

    def interventions(self) -> list[Intervention]:
        """The receivers of a backlog come as soon as it is written: an asker waits for its answers."""
        if self.change.away:
            return [(self.change.away, self._let_receivers_in)]
        if self.change.order is Order.BACKLOG and self.change.verb is not Verb.SHARE:
            return [(0.0, self._await_backlog), (0.0, self._let_receivers_in)]
        return []

    def sent(self, cast: Cast) -> None:
        """Complete the roll-out: readers read, new receivers take the place of old ones."""
        if self.change.verb is Verb.SHARE:
            self._await_stillness(cast)
            if self.change.order is Order.BACKLOG:
                self._migrate(cast.stage)
            self._engage(cast, [process for process in cast.usual() if _reads(process)])
        elif self.change.order is Order.SENDER_FIRST and not self._all_done(cast):
            self._await_stillness(cast)
            self._renew_receivers(cast)
            self._engage(cast, self.change.newcomers())
        if self.change.elsewhere:  # the drain would take an empty backlog here for the end of it all
            self._await_stillness(cast, ELSEWHERE_STILL)

    def end(self, stage: Stage) -> None:
        """See `Director.end`."""
        self.change.end(stage)

    def facts(self) -> dict[str, Any]:
        """See `Director.facts`."""
        return {"late": self.late, "migrated": list(self.migrated)}

    # ------------------------------------------------------------------------------------------

    def _part(self, process: Process, part: Part) -> Part:
        new = self._complete or self.change.is_new(process)
        part = replace(part, release=self.new if new else self.old)
        if new and self.change.practised and process.role is Role.SENDER:
            part = replace(part, channel=older(part.channel, self.old.schema))
        return self.change.part(process, part, new)

    def _migrate(self, stage: Stage) -> None:
        old, new = self.old.schema, self.new.schema
        self.migrated = stage.channel.migrate(stage.site, old, new, self._renamed())

    def _renamed(self) -> dict[str, str]:
        """Nothing is renamed by the best practice: the old stays beside the new until nobody needs it."""
        return {} if self.change.practised else dict(self.change.renamed)

    def _await_backlog(self, cast: Cast) -> None:
        """Wait until all is sent; then comes the migration."""
        deadline = time.monotonic() + _PATIENCE
        while not _all_begun(cast) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._migrate(cast.stage)

    def _let_receivers_in(self, cast: Cast) -> None:
        come = cast.usual() + self.change.newcomers()
        self._engage(cast, [process for process in come if process.role is Role.RECEIVER])

    def _renew_receivers(self, cast: Cast) -> None:
        self._complete = True
        for name in cast.of(Role.RECEIVER):
            if name not in cast.failed:
                self._end(cast, name)
            self._bring(cast, cast.restart, name)

    def _end(self, cast: Cast, name: str) -> None:
        try:
            cast.stop(name)
        except RunFailed as error:
            cast.failed[name] = str(error)

    def _engage(self, cast: Cast, processes: list[Process]) -> None:
        for process in processes:
            self._bring(cast, functools.partial(_engaged, cast, process), process.name)
            if process.role is Role.SENDER and process.name not in cast.failed:
                cast.sending.add(process.name)
                cast[process.name].send(cast.start)

    def _bring(self, cast: Cast, come: Callable[[str], str], name: str) -> None:
        """One that cannot even start is a finding."""
        try:
            name = come(name)
        except RunFailed as error:
            cast.failed[name] = str(error)
            cast.expected_deaths.add(name)
        if cast.processes[name].role is Role.RECEIVER:
            self.late.append(name)

    def _await_stillness(self, cast: Cast, still: float = STILL) -> None:
        watch = Watch(cast.journals)
        while not self._all_done(cast) and watch.stood_still_for() < still:
            time.sleep(0.01)

    def _all_done(self, cast: Cast) -> bool:
        """Whether every expected receiver has had as many effects as there are operations for it."""
        rows = len(cast.plan.rows)
        effects = sum(
            int((read(cast.journals[name])["event"] == Event.EFFECT).sum())
            for name in cast.of(Role.RECEIVER)
            if cast.journals[name].exists()
        )
        return self.change.verb is not Verb.SHARE and effects >= rows * len(self.change.expecting)


def releases(change: Change) -> tuple[Release, Release]:
    """The old release and the new one, as they are with the best practice or without."""
    if not change.practised:
        return change.before, change.after
    return tolerant(change.before), newer(change.both or change.after)


def _engaged(cast: Cast, process: Process, name: str) -> str:
    cast.engage(process)
    return name


def _reads(process: Process) -> bool:
    return process.role is Role.SENDER and process.name.startswith("reader") and process.group != OWNER_GROUP


def _all_begun(cast: Cast) -> bool:
    names = [name for name in cast.of(Role.SENDER) if name not in cast.failed]
    begun = sum(int((read(cast.journals[name])["event"] == Event.INTENT).sum()) for name in names)
    return begun >= len(cast.plan.rows)
