"""What is kept of a matrix of failures: a folder that anybody can read, and that loads again.

faults.html                one page: the matrix, its chart, what was found
cells/CELL.html            the evidence of each cell: planned, really done, accounts, bills, operations, a timeline
faults.png, .txt, ...      each chart with its alternative text
result.json                every cell; written last: half a folder does not load
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.faults.cells import Cell, FaultMatrix
from sandbox.faults.evidence import evidence
from sandbox.faults.power_cut import PowerCut
from sandbox.faults.verdict import Verdict
from sandbox.harness.store import RESULT, RUN_AGAIN, kind_of, plain

FORMAT, KIND, CELLS = 1, "faults", "cells"


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


class _Stored(msgspec.Struct):
    format: int
    kind: str
    cells: list[_StoredCell]
    notes: list[str]
    facts: dict[str, Any]


def save_matrix(matrix: FaultMatrix, folder: str | Path) -> Path:
    """Write all of a matrix into a folder: a new one, an empty one, or one of an earlier matrix.

    Raises `BadArgument` for a folder that holds anything else. Returns the folder.
    """
    from sandbox.faults.page import page

    folder = Path(folder)
    _clear(folder)
    links = _save_evidence(matrix, folder / CELLS)
    charts = matrix.charts()
    for chart in charts:
        chart.save(folder)
    (folder / FaultMatrix.page).write_text(page(matrix, charts, links), encoding="utf-8")
    cells = [{kept: getattr(cell, kept) for kept in _StoredCell.__struct_fields__} for cell in matrix.cells]
    stored = {"format": FORMAT, "kind": KIND, "cells": cells, "notes": matrix.notes, "facts": matrix.facts}
    text = json.dumps(plain(msgspec.to_builtins(stored)), indent=1, allow_nan=False)
    (folder / RESULT).write_text(text + "\n", encoding="utf-8")
    return folder


def load_matrix(folder: str | Path) -> FaultMatrix:
    """The matrix that was saved in a folder, without histories; `BadArgument` for any other folder."""
    path = Path(folder) / RESULT
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        expected = "a folder that a matrix of failures was saved in"
        raise BadArgument("folder", expected=expected, got=f"{path}: {error}", hint=RUN_AGAIN) from None
    if stored.format != FORMAT or stored.kind != KIND:
        expected, got = f"{KIND}, format {FORMAT}", f"{stored.kind}, format {stored.format}"
        raise BadArgument("folder", expected=expected, got=got, hint=RUN_AGAIN)
    names = [field.name for field in fields(Cell) if field.name != "history"]
    cells = tuple(Cell(**{name: getattr(each, name) for name in names}) for each in stored.cells)
    return FaultMatrix(cells, tuple(stored.notes), stored.facts)


def _clear(folder: Path) -> None:
    """Ours are never mixed with somebody's files: the folder is new, empty, or holds a matrix."""
    found = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    if found and kind_of(folder) != KIND:
        expected = "a new or empty folder, or one of an earlier matrix"
        raise BadArgument("folder", expected=expected, got=f"{folder} with {found[0]}", hint="Name another one.")
    (folder / RESULT).unlink(missing_ok=True)  # first: from now on it is no whole matrix
    shutil.rmtree(folder / CELLS, ignore_errors=True)
    (folder / CELLS).mkdir(parents=True)


def _save_evidence(matrix: FaultMatrix, folder: Path) -> dict[str, str]:
    """Write the evidence of every cell that was run here or traced; its name -> path of its page, from the folder's."""
    links: dict[str, str] = {}
    for cell in matrix.cells:
        if cell.history is None and cell.traced is None:
            continue
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", cell.name).strip("-.")[-120:]
        if f"{CELLS}/{stem}.html" in links.values():
            stem = f"{stem}-{len(links)}"
        (folder / f"{stem}.html").write_text(evidence(cell).html(), encoding="utf-8")
        links[cell.name] = f"{CELLS}/{stem}.html"
    return links
