"""Can I deploy? In which order a change can be rolled out on each style, and what the best practice makes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.charts.chart import Chart, Value
from sandbox.charts.coupling import ABSENT, DELAYED, SILENT, WORKS
from sandbox.charts.grid import Field, Grid, Head, Paint, Row
from sandbox.charts.labels import listed
from sandbox.coupling.views import Advice, Compatibility, Deploy, compatibility, deploy

if TYPE_CHECKING:
    from sandbox.coupling.cells import Matrix

TITLE = "Can I deploy?"
COLUMNS = ("change", "facet", "channel", "deploy", "with the best practice", "compatibility", "... practised")
TOGETHER = Paint("#FBE6CC")
NEVER = Paint("#F2A65A", bold=True)
FIRST = Paint("#DCEBF7")
PAINTS = {
    Deploy.ANY: WORKS,
    Deploy.RECEIVER: FIRST,
    Deploy.SENDER: FIRST,
    Deploy.TOGETHER: TOGETHER,
    Deploy.DRAINED: TOGETHER,
    Deploy.NONE: NEVER,
}
KEY = (
    (WORKS, "any order", "sender and receiver may be renewed in any order"),
    (DELAYED, "... first", "only if this side is renewed before the other"),
    (TOGETHER, "together", "both at once; after draining: and nothing written by the old may be left"),
    (NEVER, "no", "there is one order, and it is not safe"),
    (SILENT, "WRONG", "done otherwise (or in the only order), the books are silently wrong"),
)
NOTE = (
    "Backward: the new receiver reads what the old sender writes and has written; forward: the old receiver reads what "
    'the new sender writes; full: both. "else silently wrong": in another order the books are wrong, nobody is told.'
)


def deploy_grid(matrix: Matrix) -> Chart:
    """Change x channel: the advice, and below it what the best practice makes of it where that is better."""
    grid = _grid(matrix)
    return Chart(
        name="deploy",
        title=TITLE,
        alt=_alt(matrix),
        columns=COLUMNS,
        rows=tuple(_row(matrix, name, channel) for name in matrix.changes for channel in matrix.channels),
        draw=grid.draw,
        height=grid.height,
        note=NOTE,
    )


def _row(matrix: Matrix, change: str, channel: str) -> tuple[Value, ...]:
    shown = matrix.changes[change]
    plain, practised = (deploy(matrix, change, channel, p).text for p in (False, True))
    versions = (str(compatibility(matrix, change, channel, p)) for p in (False, True))
    return (shown.title, str(shown.facet), channel, plain, practised, *versions)


# --- the picture ----------------------------------------------------------------------------------


def _grid(matrix: Matrix) -> Grid:
    styles = {cell.channel: cell.style for cell in matrix.cells}
    heads = tuple(Head(name, style, ()) for name, style in styles.items())
    rows = [
        Row(shown.title, shown.facet, tuple(_field(matrix, name, channel, i) for i, channel in enumerate(styles)))
        for name, shown in matrix.changes.items()
    ]
    return Grid(f"{TITLE} Below, after an arrow: with the best practice", heads, tuple(rows), KEY)


def _field(matrix: Matrix, change: str, channel: str, index: int) -> Field:
    plain, practised = (deploy(matrix, change, channel, p) for p in (False, True))
    text = plain.text.replace(", else silently wrong", ",\nelse silently wrong")
    if practised.deploy is not None and practised.text != plain.text:
        text += f"\n\N{RIGHTWARDS ARROW} {practised.text}"
    return Field(text, _paint(plain), index, size=9.5)


def _paint(advice: Advice) -> Paint:
    if advice.deploy is None:
        return ABSENT
    return SILENT if advice.silent else PAINTS[advice.deploy]


# --- the same in words ----------------------------------------------------------------------------


def _alt(matrix: Matrix) -> str:
    opening = f"In which order {len(matrix.changes)} changes can be rolled out on {listed(matrix.channels)}."
    return " ".join([opening, *(_sentence(matrix, channel) for channel in matrix.channels)])


def _sentence(matrix: Matrix, channel: str) -> str:
    by: dict[str, list[str]] = {}
    better = 0
    for name, shown in matrix.changes.items():
        plain, practised = (deploy(matrix, name, channel, p) for p in (False, True))
        by.setdefault(plain.text, []).append(shown.title)
        better += practised.deploy is Deploy.ANY and plain.deploy is not Deploy.ANY
    full = sum(compatibility(matrix, name, channel, False) is Compatibility.FULL for name in matrix.changes)
    said = "; ".join(f"{text}: {listed(titles)}" for text, titles in by.items())
    return f"{channel}: {said}. Fully compatible: {full}; the best practice allows any order for {better} more."
