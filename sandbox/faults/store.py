"""How a matrix of failures is kept: in the folder that `sandbox.harness.keeping` describes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from sandbox.exchange.schema import Verb
from sandbox.faults.cells import Cell, FaultMatrix
from sandbox.faults.evidence import evidence
from sandbox.faults.power_cut import PowerCut
from sandbox.faults.verdict import Verdict
from sandbox.harness.keeping import Shelf


class _StoredCell(msgspec.Struct):
    """The fields of `Cell` that are kept: all but the history."""

    fault: str
    title: str
    kind: str
    verb: Verb
    channel: str
    style: str
    name: str
    why_not: str
    trouble: str
    verdicts: tuple[Verdict, ...]
    options: str
    traced: PowerCut | None = None


SHELF = Shelf("faults", "a matrix of failures", _StoredCell)


def save_matrix(matrix: FaultMatrix, folder: str | Path) -> Path:
    """Write all of a matrix into a folder; see `Shelf.save`."""
    from sandbox.faults.page import page

    seen = [cell for cell in matrix.cells if cell.history is not None or cell.traced is not None]
    pieces = [(cell.name, partial(_evidence_page, cell)) for cell in seen]
    return SHELF.save(folder, matrix, partial(page, matrix), pieces)


def load_matrix(folder: str | Path) -> FaultMatrix:
    """The matrix that was saved in a folder, without histories; `BadArgument` for any other folder."""
    cells, notes, facts = SHELF.load(folder)
    return FaultMatrix(tuple(Cell(**cell) for cell in cells), tuple(notes), facts)


def _evidence_page(cell: Cell) -> str:
    return evidence(cell).html()
