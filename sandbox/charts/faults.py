"""What happens when something breaks: fault x channel, in words. What is lost stands out, what is well is quiet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.charts.chart import Chart
from sandbox.charts.grid import Field, Grid, Head, Paint, Row
from sandbox.charts.labels import listed
from sandbox.charts.style import INK, QUIET
from sandbox.faults.cells import BREAKS, COLUMNS, Cell, FaultMatrix

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLE = "What happens when something breaks"
BROKEN = Paint("#101010", "white", bold=True, edge="#b0b0b0")
LOST = Paint("#D55E00", "white", bold=True)
TWICE = Paint("#F2C14E", INK)
DOUBT = Paint("#DCEBF7", INK)
WELL = Paint("white", INK)
ABSENT = Paint("#eeeeee", QUIET, italic=True)
TRACED = Paint("#EFE9F5", INK)
UNKNOWN = Paint("#eeeeee", INK, bold=True)
#: the worst that happened in a cell decides: what, its paint, what it means
GRADES: tuple[tuple[str, tuple[str, ...], Paint, str], ...] = (
    ("n lost", ("lost", "billed wrongly"), LOST, "acknowledged, and not done (or done wrongly); declared so"),
    ("n twice", ("twice",), TWICE, "done once more than was meant: a second bill"),
    (
        "n indefinite",
        ("indefinite", "refused", "set aside", "stuck", "never sent", "failed"),
        DOUBT,
        "not done, or nobody knows: somebody was told (refused, set aside), or it waits (stuck)",
    ),
    ("all billed", (), WELL, "each operation has its effect, once (created, where it was asked for)"),
)
NO_BREAK = "\N{NO-BREAK SPACE}"
#: availability -> the symbol before its words
SYMBOLS = {"available": "\N{BLACK CIRCLE}", "recovered": "\N{CIRCLE WITH LEFT HALF BLACK}", "did": "\N{WHITE CIRCLE}"}
KEY_SYMBOLS = (
    f"{SYMBOLS['available']} available all the time   {SYMBOLS['recovered']} recovered, so many s after it broke   "
    f"{SYMBOLS['did']} did not recover while it was watched"
)
NOTE = (
    "Counts are operations of one run; twice: times. work: when operations were done again; senders: when they "
    "were accepted again. Times are those of one run on a busy machine: an order of magnitude."
)


def fault_map(matrix: FaultMatrix) -> Chart:
    """The heat map; each field says what happened, and below it how long nothing went."""
    styles = {cell.channel: cell.style for cell in matrix.cells}
    heads = tuple(Head(name, style, ()) for name, style in styles.items())
    size = 8.5 if len(styles) < 5 else 8.0
    rows = [
        Row(
            shown.title,
            shown.kind,
            tuple(_field(matrix.of(name, channel), index, size) for index, channel in enumerate(styles)),
        )
        for name, shown in matrix.faults.items()
    ]
    key = [(BROKEN, "BREAKS", "the channel broke a promise that it declares")]
    key += [(paint, word, meaning) for word, _, paint, meaning in GRADES]
    key += [(ABSENT, "a reason", "why the channel cannot have this fault"), (WELL, "symbols", KEY_SYMBOLS)]
    if any(cell.traced for cell in matrix.cells):
        key.insert(-2, (TRACED, "traced", "no power was cut: the order of the system calls was looked at (Linux)"))
    grid = Grid(TITLE, heads, tuple(rows), tuple(key))
    return Chart(
        name="faults",
        title=TITLE,
        alt=_alt(matrix),
        columns=COLUMNS,
        rows=tuple(matrix.rows()),
        draw=grid.draw,
        height=grid.height,
        note=NOTE,
    )


def grade(cell: Cell) -> Paint:
    """How a cell is painted: by the worst that happened in any of its runs."""
    if not cell.seen:
        return UNKNOWN if cell.trouble else ABSENT
    if not cell.kept:
        return BROKEN
    if cell.traced:
        return TRACED
    kinds = {kind for verdict in cell.verdicts for kind in verdict.counts}
    return next(paint for _, words, paint, _ in GRADES if not words or kinds & set(words))


def _field(cell: Cell, index: int, size: float) -> Field:
    if not cell.seen:
        return Field(cell.text, grade(cell), index, size=size - 0.5)
    broken = "" if cell.kept else f"{BREAKS}: "
    happened = re.sub(r"(?<=\d|l) ", NO_BREAK, cell.happened)  # a number stays with its word, and "all billed" together
    below = cell.below if cell.traced else availability(cell)
    return Field(f"{broken}{happened}\n{below}", grade(cell), index, size=size)


def availability(cell: Cell) -> str:
    """Shortly: the symbol, and how long it took."""
    first, _, rest = cell.availability.partition(" ")
    short = {"available": "all the time", "recovered": rest}.get(first, cell.availability)
    return f"{SYMBOLS[first]}{NO_BREAK}{short}"


# --- the same in words ----------------------------------------------------------------------------


def _alt(matrix: FaultMatrix) -> str:
    ran, absent = matrix.measured, [cell for cell in matrix.cells if not cell.seen]
    traced = [cell for cell in matrix.cells if cell.traced and cell.kept]
    opening = (
        f"{len(matrix.faults)} faults on {listed(matrix.channels)}: {len(ran)} cells run, {len(absent)} without a run, "
        "whose reason stands in the cell."
    )
    said = (
        [_said(f"Broke a promise, {len(matrix.broken)}", matrix.broken)] if matrix.broken else ["None broke a promise."]
    )
    for word, _, paint, _ in GRADES:
        mine = [cell for cell in ran if grade(cell) == paint]
        if mine:
            said.append(_said(f"{word.capitalize()}, {len(mine)}", mine))
    if traced:
        said.append(_said(f"Seen by tracing on Linux, {len(traced)}", traced))
    away = [cell for cell in ran if not cell.availability.startswith("available")]
    return " ".join([opening, *said, _said(f"Not available all the time, {len(away)}", away, times=True)])


def _said(what: str, cells: Sequence[Cell], *, times: bool = False) -> str:
    where: dict[str, list[str]] = {}
    for cell in cells:
        where.setdefault(cell.title, []).append(f"{cell.channel} {cell.availability if times else cell.happened}")
    return f"{what}: " + "; ".join(f"{title} ({listed(by)})" for title, by in where.items()) + "."
