"""The receiver moves, and the place where both meet moves."""

from __future__ import annotations

from dataclasses import replace

from sandbox.coupling.change import Change, Facet, Order
from sandbox.harness.history import Process, Role
from sandbox.harness.stage import Part, Stage

BOTH_SIDES = (Order.SENDER_FIRST, Order.RECEIVER_FIRST)


class ReceiverMoves(Change):
    """The receiver runs on another host, under another name and at another port; the medium stays where it is."""

    title, facet = "the receiver moves (host, port)", Facet.LOCATION
    orders = (Order.RECEIVER_FIRST,)
    advice = "nothing to mend: the sender knows the medium, not the receiver"

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """The same group, another name: where calls go by port, also another port."""
        return [replace(each, name="elsewhere-0") if each.role is Role.RECEIVER else each for each in usual]


class PlaceMoves(Change):
    """Folder, database, directory of receivers or broker is at another address; not everybody has been told."""

    title, facet = "the meeting place moves (folder, broker)", Facet.LOCATION
    orders, elsewhere = BOTH_SIDES, True
    advice = "serve both places until the old one is empty"

    @classmethod
    def has_practice(cls, channel: object) -> bool:
        """A second receiver, at the other place."""
        return True

    def installed(self, stage: Stage) -> None:
        """Another place of the same kind."""
        self._elsewhere = stage.session.site(stage.channel, self.groups)
        stage.channel.install(self._elsewhere, stage.release.schema)

    def end(self, stage: Stage) -> None:
        """The other place goes too."""
        stage.channel.uninstall(self._elsewhere)

    def on_stage(self, usual: list[Process]) -> list[Process]:
        """With the best practice, one receiver at each place."""
        return [*usual, Process("beside-0", Role.RECEIVER, "metering")] if self.practised else usual

    def part(self, process: Process, part: Part, new: bool) -> Part:
        """Whoever is new goes to the other place; journals and quota stay with the run."""
        there = new != (process.name.startswith("beside"))
        return replace(part, site=self._elsewhere) if there else part
