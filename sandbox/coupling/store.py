"""How a matrix of coupling is kept: in the folder that `sandbox.harness.keeping` describes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from sandbox.coupling.cells import Cell, Matrix
from sandbox.coupling.change import Facet, Order
from sandbox.coupling.edits import Edits
from sandbox.coupling.evidence import evidence
from sandbox.coupling.verdict import Verdict
from sandbox.harness.keeping import Shelf


class _StoredCell(msgspec.Struct):
    """The fields of `Cell` that are kept: all but the trial."""

    change: str
    title: str
    facet: Facet
    channel: str
    style: str
    order: Order
    practised: bool
    name: str
    why_not: str
    trouble: str
    verdict: Verdict | None
    edits: Edits | None
    unit: str
    options: str


SHELF = Shelf("coupling", "a matrix of coupling", _StoredCell)


def save_matrix(matrix: Matrix, folder: str | Path) -> Path:
    """Write all of a matrix into a folder; see `Shelf.save`."""
    from sandbox.coupling.page import page

    seen = [cell for cell in matrix.cells if cell.trial is not None and cell.trial.history is not None]
    pieces = [(cell.name, partial(_evidence_page, cell)) for cell in seen]
    return SHELF.save(folder, matrix, partial(page, matrix), pieces)


def load_matrix(folder: str | Path) -> Matrix:
    """The matrix that was saved in a folder, without histories; `BadArgument` for any other folder."""
    cells, notes, facts = SHELF.load(folder)
    return Matrix(tuple(Cell(**cell) for cell in cells), tuple(notes), facts)


def _evidence_page(cell: Cell) -> str:
    return evidence(cell).html()
