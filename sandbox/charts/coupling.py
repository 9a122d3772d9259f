"""What breaks when: change x style x order. The silently wrong cells stand out most, what works is quiet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.charts.chart import Chart
from sandbox.charts.grid import Field, Grid, Head, Paint, Row, merged
from sandbox.charts.labels import listed
from sandbox.charts.style import INK, QUIET
from sandbox.coupling.cells import COLUMNS, Cell, Matrix, row_of
from sandbox.coupling.change import Order
from sandbox.coupling.trial import ONE_ORDER
from sandbox.coupling.verdict import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLES = {
    False: "What breaks when one side changes",
    True: "The same changes, with the best practice",
}
NAMES = {False: "coupling", True: "coupling_practice"}
SILENT = Paint("#101010", "white", bold=True, edge="#b0b0b0")
LOUD = Paint("#F2A65A", INK)
DELAYED = Paint("#DCEBF7", INK, italic=True)
WORKS = Paint("white", "#6b6b6b")
ABSENT = Paint("#eeeeee", QUIET, italic=True)
UNKNOWN = Paint("#eeeeee", INK, bold=True)
#: answer -> paint, its word, its letter where there is no room, what it means
WORDS: dict[Answer, tuple[Paint, str, str, str]] = {
    Answer.SILENT: (SILENT, "WRONG", "W", "silently wrong: the books are wrong, and nobody was told"),
    Answer.LOUD: (LOUD, "loud", "L", "fails loudly: something did not happen, and somebody was told of each"),
    Answer.DELAYED: (DELAYED, "delayed", "d", "all right, but only once the other side was renewed or came back"),
    Answer.WORKS: (WORKS, "works", "\N{CHECK MARK}", "all is billed, created and read as it was meant"),
}
ORDERS = {
    Order.SENDER_FIRST: "sender\nfirst",
    Order.RECEIVER_FIRST: "receiver\nfirst",
    Order.BACKLOG: "backlog",
}
WIDE = ((ABSENT, "a reason", "why there is no such trial. A wide field with an answer: there is only one order"),)
#: in inches: columns narrower than that have letters
NARROW = 0.4
NOTE = (
    'right, wrong, missing, unnoticed: operations. noticed by: who was told, how often; after: ms until then. "meant", '
    '"found": bytes, GB or sums of versions on the books. Lines: added, removed and written beforehand, by difflib.'
)


def coupling_map(matrix: Matrix, *, practised: bool) -> Chart:
    """The heat map, as everybody does it or with the best practice."""
    cells = [cell for cell in matrix.cells if cell.practised is practised]
    grid = _grid(matrix, cells, practised)
    return Chart(
        name=NAMES[practised],
        title=TITLES[practised],
        alt=_alt(matrix, cells, practised),
        columns=COLUMNS,
        rows=tuple(row_of(cell) for cell in cells),
        draw=grid.draw,
        height=grid.height,
        note=NOTE,
    )


# --- the picture ----------------------------------------------------------------------------------


def _grid(matrix: Matrix, cells: Sequence[Cell], practised: bool) -> Grid:
    orders = [order for order in Order if any(cell.order is order for cell in cells)]
    styles = {cell.channel: cell.style for cell in cells}
    heads = tuple(Head(name, style, tuple(ORDERS[order] for order in orders)) for name, style in styles.items())
    empty = Grid(TITLES[practised], heads, (), ())
    both = "{}, {}" if empty.column < NARROW else "{}"
    key = tuple((paint, both.format(word, letter), meaning) for paint, word, letter, meaning in WORDS.values()) + WIDE
    rows = []
    for name, shown in matrix.changes.items():
        mine = [cell for channel in styles for cell in matrix.of(name, channel, practised)]
        rows.append(Row(shown.title, shown.facet, _fields(mine, len(orders), empty.column)))
    return Grid(TITLES[practised], heads, tuple(rows), key)


def _fields(cells: Sequence[Cell], orders: int, column: float) -> tuple[Field, ...]:
    """Reasons are merged over the orders of a channel, answers are not; the answer of a single order takes all."""
    found: list[Field] = []
    for first in range(0, len(cells), orders):
        mine = cells[first : first + orders]
        ordered = [cell for cell in mine if cell.why_not != ONE_ORDER]
        if len(ordered) == 1:
            found.append(replace(_field(ordered[0], first, orders * column), span=orders))
            continue
        for index, cell in enumerate(mine, start=first):
            field = _field(cell, index, column)
            same = index > first and cell.verdict is None and found[-1].text == field.text
            found[-1:] = merged([found[-1], field]) if same else [*found[-1:], field]
    return tuple(found)


def _field(cell: Cell, index: int, column: float) -> Field:
    size = min(9.0, 9.0 * column / 0.57)
    if cell.verdict is None:
        return Field(cell.text, UNKNOWN if cell.trouble else ABSENT, index, size=max(6.5, min(8.0, size)))
    paint, word, letter, _ = WORDS[cell.verdict.answer]
    bold = 0.8 if paint.bold else 0.0  # bold letters are wider
    return Field(letter if column < NARROW else word, paint, index, size=9.5 if column < NARROW else size - bold)


# --- the same in words ----------------------------------------------------------------------------


def _alt(matrix: Matrix, cells: Sequence[Cell], practised: bool) -> str:
    tried = [cell for cell in cells if cell.verdict is not None]
    how = "with the best practice" if practised else "without any precaution"
    orders = listed([order.replace("_", " ") for order in Order if any(cell.order is order for cell in cells)])
    opening = (
        f"{len(matrix.changes)} changes of one side, {how}, on {listed(matrix.channels)}, rolled out {orders}: "
        f"{len(tried)} cells tried, {len(cells) - len(tried)} without a trial, whose reason stands in the cell."
    )
    said = [_answers(answer, [cell for cell in tried if cell.answer is answer]) for answer in WORDS]
    return " ".join([opening, *said])


def _answers(answer: Answer, cells: Sequence[Cell]) -> str:
    """How many, and for all but what works: which."""
    if not cells:
        return f"{str(answer).capitalize()}: none."
    if answer is Answer.WORKS:
        return f"{str(answer).capitalize()}: {len(cells)}."
    where: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        where.setdefault(cell.title, {}).setdefault(cell.channel, []).append(cell.order.replace("_", " "))
    said = [f"{title} ({_places(by)})" for title, by in where.items()]
    return f"{str(answer).capitalize()}, {len(cells)}: {'; '.join(said)}."


def _places(by_channel: dict[str, list[str]]) -> str:
    """Channels with the same orders together."""
    by_orders: dict[str, list[str]] = {}
    for channel, orders in by_channel.items():
        by_orders.setdefault(listed(orders), []).append(channel)
    return ", ".join(f"{listed(channels)} {orders}" for orders, channels in by_orders.items())
