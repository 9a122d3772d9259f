"""How a matrix - of coupling, of failures - is kept: one page, its charts, the evidence of each cell, all figures.

Files of a folder:

    KIND.html                the page                    cells/CELL.html   the evidence of a cell
    CHART.png, CHART.txt     each chart, its alternative text
    result.json              all figures; written last, so that half a folder does not load
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.errors import BadArgument
from sandbox.harness.store import RESULT, RUN_AGAIN, kind_of, plain

if TYPE_CHECKING:
    from sandbox.charts.chart import Chart

FORMAT, CELLS = 1, "cells"


@dataclass(frozen=True)
class Shelf:
    """Where matrices of one kind are kept.

    kind    as `result.json` says it;  what: in words, for errors
    cell    the `msgspec.Struct` of what is kept of a cell: its fields are attributes of the matrix's cells
    """

    kind: str
    what: str
    cell: type[msgspec.Struct]

    def save(
        self,
        folder: str | Path,
        matrix: Any,
        page: Callable[[list[Chart], Mapping[str, str]], str],
        evidence: Iterable[tuple[str, Callable[[], str]]],
    ) -> Path:
        """Write all of a matrix into a folder: a new one, an empty one, or one of an earlier matrix of the kind.

        page       makes the page of the charts and of the links to the evidence (name of the cell -> path)
        evidence   name of each cell that has some, and what writes it

        Raises `BadArgument` for a folder that holds anything else. Returns the folder.
        """
        folder = Path(folder)
        self._clear(folder)
        links = _save_evidence(folder / CELLS, evidence)
        charts = matrix.charts()
        for chart in charts:
            chart.save(folder)
        (folder / matrix.page).write_text(page(charts, links), encoding="utf-8")
        cells = [{kept: getattr(cell, kept) for kept in self.cell.__struct_fields__} for cell in matrix.cells]
        stored = {"format": FORMAT, "kind": self.kind, "cells": cells, "notes": matrix.notes, "facts": matrix.facts}
        text = json.dumps(plain(msgspec.to_builtins(stored)), indent=1, allow_nan=False)
        (folder / RESULT).write_text(text + "\n", encoding="utf-8")
        return folder

    def load(self, folder: str | Path) -> tuple[list[dict[str, Any]], Sequence[str], dict[str, Any]]:
        """What is kept of the cells, notes and facts of a folder; `BadArgument` for any other folder."""
        path = Path(folder) / RESULT
        try:
            stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
            if (stored.format, stored.kind) == (FORMAT, self.kind):
                cells = msgspec.convert(stored.cells, list[self.cell])  # type: ignore[name-defined]  # known only now
                names = self.cell.__struct_fields__
                return [{name: getattr(cell, name) for name in names} for cell in cells], stored.notes, stored.facts
        except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
            expected = f"a folder that {self.what} was saved in"
            raise BadArgument("folder", expected=expected, got=f"{path}: {error}", hint=RUN_AGAIN) from None
        expected, got = f"{self.kind}, format {FORMAT}", f"{stored.kind}, format {stored.format}"
        raise BadArgument("folder", expected=expected, got=got, hint=RUN_AGAIN)

    def _clear(self, folder: Path) -> None:
        """Ours are never mixed with somebody's files: the folder is new, empty, or holds a matrix."""
        found = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
        if found and kind_of(folder) != self.kind:
            expected = "a new or empty folder, or one of an earlier matrix"
            raise BadArgument("folder", expected=expected, got=f"{folder} with {found[0]}", hint="Name another one.")
        (folder / RESULT).unlink(missing_ok=True)  # first: from now on it is no whole matrix
        shutil.rmtree(folder / CELLS, ignore_errors=True)
        (folder / CELLS).mkdir(parents=True)


class _Stored(msgspec.Struct):
    format: int
    kind: str
    cells: list[Any]
    notes: list[str]
    facts: dict[str, Any]


def _save_evidence(folder: Path, evidence: Iterable[tuple[str, Callable[[], str]]]) -> dict[str, str]:
    """Write every piece; name of the cell -> path of its page, from the folder's."""
    links: dict[str, str] = {}
    for name, write in evidence:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[-120:]
        if f"{CELLS}/{stem}.html" in links.values():
            stem = f"{stem}-{len(links)}"
        (folder / f"{stem}.html").write_text(write(), encoding="utf-8")
        links[name] = f"{CELLS}/{stem}.html"
    return links
