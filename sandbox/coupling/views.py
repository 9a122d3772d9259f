"""Two more views of the same cells: how compatible a style really is, and in which order a change can be deployed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sandbox.coupling.cells import Cell, Matrix
from sandbox.coupling.change import Order
from sandbox.coupling.trial import NO_ORDER, ONE_ORDER
from sandbox.coupling.verdict import Answer
from sandbox.harness.words import plural

#: in a matrix of some orders only
UNTRIED = "not all orders were tried"


class Compatibility(StrEnum):
    """What versions of one change may meet."""

    FULL = "full"  #: both
    BACKWARD = "backward"  #: the new receiver reads what the old sender writes and has written
    FORWARD = "forward"  #: the old receiver reads what the new sender writes
    NONE = "none"


class Deploy(StrEnum):
    """In which order a change may be rolled out without a wrong or failed operation."""

    ANY = "any order"
    RECEIVER = "receiver first"
    SENDER = "sender first"
    TOGETHER = "together"  #: all at once; what lies in the medium may stay there
    DRAINED = "together, after draining"
    NONE = "no safe order"  #: there is only one order, and it is not safe


@dataclass(frozen=True)
class Advice:
    """One field of the can-I-deploy grid; `silent`: in another order the books are wrong and nobody is told."""

    deploy: Deploy | None
    silent: bool
    reason: str = ""

    @property
    def text(self) -> str:
        """The advice in words, or the reason why there is none."""
        if self.deploy is None:
            return self.reason
        return f"{self.deploy}{', else silently wrong' if self.silent and self.deploy is not Deploy.NONE else ''}"


def compatibility(matrix: Matrix, change: str, channel: str, practised: bool) -> Compatibility | str:
    """What a style really has, or the reason why the question does not arise."""
    by = _by_order(matrix, change, channel, practised)
    if len(by) < len(Order):
        return UNTRIED
    sender, receiver = by[Order.SENDER_FIRST], by[Order.RECEIVER_FIRST]
    if reason := _unanswered(sender, receiver) or _untold(by[Order.BACKLOG]):
        return reason
    backward = receiver.holds and _backlog_holds(by[Order.BACKLOG])
    return {
        (True, True): Compatibility.FULL,
        (True, False): Compatibility.BACKWARD,
        (False, True): Compatibility.FORWARD,
        (False, False): Compatibility.NONE,
    }[backward, sender.holds]


def deploy(matrix: Matrix, change: str, channel: str, practised: bool) -> Advice:
    """In which order a change can be deployed on a channel."""
    by = _by_order(matrix, change, channel, practised)
    tried = [cell for cell in by.values() if cell.verdict is not None]
    silent = any(cell.answer is Answer.SILENT for cell in tried)
    if not tried:
        return Advice(None, False, next(iter(by.values())).text)
    if len(tried) == 1 and any(cell.why_not == ONE_ORDER for cell in by.values()):
        return Advice(Deploy.ANY if tried[0].holds else Deploy.NONE, silent)
    if len(by) < len(Order):
        return Advice(None, silent, UNTRIED)
    if troubled := [cell for cell in by.values() if cell.trouble]:
        return Advice(None, silent, troubled[0].text)
    sender, receiver, backlog = (by[order] for order in (Order.SENDER_FIRST, Order.RECEIVER_FIRST, Order.BACKLOG))
    keeps = _backlog_holds(backlog)
    if receiver.holds and keeps:
        return Advice(Deploy.ANY if sender.holds else Deploy.RECEIVER, silent)
    if sender.holds:
        return Advice(Deploy.SENDER, silent)
    return Advice(Deploy.TOGETHER if backlog.holds else Deploy.DRAINED, silent)


def deploy_table(matrix: Matrix, practised: bool) -> tuple[list[str], list[list[str]]]:
    """The grid as text."""
    rows = [
        [shown.title, *(deploy(matrix, name, channel, practised).text for channel in matrix.channels)]
        for name, shown in matrix.changes.items()
    ]
    return ["change", *matrix.channels], rows


def compatibility_table(matrix: Matrix) -> tuple[list[str], list[list[str]]]:
    """Change x channel; where the best practice has another compatibility, it stands behind an arrow."""
    rows = []
    for name, shown in matrix.changes.items():
        row = [shown.title]
        for channel in matrix.channels:
            plain, practised = (compatibility(matrix, name, channel, p) for p in (False, True))
            better = isinstance(practised, Compatibility) and practised != plain
            row.append(f"{plain} -> {practised}" if better else str(plain))
        rows.append(row)
    return ["change", *matrix.channels], rows


def practice_table(matrix: Matrix) -> tuple[list[str], list[list[str]]]:
    """What the best practice of each change buys (cells that hold, of those tried) and what it costs (lines)."""
    rows = []
    for name, shown in matrix.changes.items():
        plain, practised = ([c for c in matrix.cells if (c.change, c.practised) == (name, p)] for p in (False, True))
        rows.append([shown.title, _hold(plain), _hold(practised), _lines(plain), _lines(practised)])
    return ["change", "hold", "hold with the best practice", "lines edited", "lines with the best practice"], rows


def _hold(cells: Sequence[Cell]) -> str:
    tried = [cell for cell in cells if cell.verdict is not None]
    if not tried:
        return next((cell.text for cell in cells if cell.why_not not in (ONE_ORDER, NO_ORDER)), "not tried")
    return f"{sum(cell.holds for cell in tried)} of {len(tried)}"


def _lines(cells: Sequence[Cell]) -> str:
    """At the sender and the receiver, the same for all channels; statements in the medium where there are any."""
    counted = [cell.edits for cell in cells if cell.edits is not None]
    if not counted:
        return "-"
    medium = max(len(each.medium) for each in counted)
    said = f"sender {counted[0].sender}, receiver {counted[0].receiver}"
    return f"{said}, {plural(medium, 'statement')} in the database" if medium else said


def _by_order(matrix: Matrix, change: str, channel: str, practised: bool) -> dict[Order, Cell]:
    return {cell.order: cell for cell in matrix.of(change, channel, practised)}


def _unanswered(*cells: Cell) -> str:
    return next((cell.text for cell in cells if cell.verdict is None), "")


def _untold(backlog: Cell) -> str:
    """That it could not be measured; that there is no backlog is an answer."""
    return backlog.text if backlog.trouble else ""


def _backlog_holds(cell: Cell) -> bool:
    """What was left behind is read, or there can be nothing left behind."""
    return cell.holds or cell.verdict is None
