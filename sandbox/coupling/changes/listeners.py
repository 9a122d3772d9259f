"""More listeners: they compete, they get their own copy, they share the work, or they take what is not theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.channel import Channel
from sandbox.coupling.change import Change, Facet, Order
from sandbox.exchange.release import FIRST, Listener, Release
from sandbox.harness.history import Process, Role
from sandbox.harness.stage import Part, Stage

ONCE = (Order.RECEIVER_FIRST,)


class SecondReceiver(Change):
    """A second receiver joins the group, and competes with the first."""

    title, facet, orders = "a second receiver competes", Facet.TOPOLOGY, ONCE
    advice = "nothing to mend: receivers of a group compete"

    def newcomers(self) -> list[Process]:
        """One more in the same group."""
        return [Process("metering-1", Role.RECEIVER, "metering")]


class SecondGroup(Change):
    """An auditor wants its own copy of everything. Senders are told of it, or not yet."""

    title, facet = "a second group listens", Facet.TOPOLOGY
    orders = (Order.SENDER_FIRST, Order.RECEIVER_FIRST)
    expecting, elsewhere = ("metering", "audit"), True
    advice = "tell the senders first, or let the medium know the listeners"

    def installed(self, stage: Stage) -> None:
        """The place for its copy."""
        stage.channel.admit(stage.site, "audit")

    def newcomers(self) -> list[Process]:
        """The auditor."""
        return [Process("audit-0", Role.RECEIVER, "audit")]

    def part(self, process: Process, part: Part, new: bool) -> Part:
        """Whoever is new knows of both groups."""
        return replace(part, site=replace(part.site, groups=self.expecting)) if new else part


class EvenProjects(Listener):
    def understand(self, body: Any) -> Any:
        return body if body.project % 2 == 0 else None


class OddProjects(Listener):
    def understand(self, body: Any) -> Any:
        return body if body.project % 2 == 1 else None


class SplitReceiver(Change):
    """Metering is split in two: one service bills the even projects, the other the odd ones."""

    title, facet, orders = "the receiver is split in two", Facet.TOPOLOGY, ONCE
    advice = "a group of its own for each, which filters"

    def __init__(self, order: Order, practised: bool) -> None:
        super().__init__(order, practised)
        self.groups = ("metering", "odd") if practised else ("metering",)

    @classmethod
    def has_practice(cls, channel: Channel) -> bool:
        """Two groups."""
        return True

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """One of each kind."""
        others = [each for each in usual if each.role is Role.SENDER]
        group = "odd" if self.practised else "metering"
        return [Process("even-0", Role.RECEIVER, "metering"), Process("odd-0", Role.RECEIVER, group), *others]

    def part(self, process: Process, part: Part, new: bool) -> Part:
        """Each passes over what belongs to the other."""
        listener = {"even-0": EvenProjects, "odd-0": OddProjects}.get(process.name)
        return replace(part, release=Release(FIRST.schema, FIRST.speaker, listener)) if listener else part

    def group_of(self, process: Process) -> str:
        """Both bill on the same account."""
        return "metering" if process.name in ("even-0", "odd-0") else process.group


class OtherTeamTakes(Change):
    """Another team's service reads the queue (folder, table, method) that was metering's own."""

    title, facet, orders = "another team reads the private queue", Facet.TOPOLOGY, ONCE
    advice = "a group of its own for the other team"
    service = 0.01  # while one is at work, the other one takes: else a quick one may get everything, by luck

    def __init__(self, order: Order, practised: bool) -> None:
        super().__init__(order, practised)
        self.groups = ("metering", "dashboard") if practised else ("metering",)

    @classmethod
    def has_practice(cls, channel: Channel) -> bool:
        """Two groups."""
        return True

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """The other team's receiver, and metering's."""
        usual = [each for each in usual if each.group != "dashboard"]
        return [*usual, Process("dashboard-0", Role.RECEIVER, "dashboard" if self.practised else "metering")]

    def group_of(self, process: Process) -> str:
        """What the other team takes, metering does not bill."""
        return "dashboard" if process.name.startswith("dashboard") else process.group
