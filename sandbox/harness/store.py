"""What is kept of a comparison: a folder that anybody can read, and that loads again as it was.

    report.html                      one self-contained page
    medians.png, medians.txt, ...    each chart with its alternative text
    result.json                      all figures, the workload, the facts; written last: half a folder does not load
    floors.json                      what was measured of the floors, in ns
    histories/CHANNEL-VERB-N.npz     every event of every run
    coupling/, ...                   what was measured beside it (`sections`): its own page, charts and figures

`result.json` holds no NaN or Infinity, which JSON does not know: a percentile that was censored or that
cannot be quoted is null there, and `censored` counts the operations without an outcome in time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.comparison import Cell, Comparison
from sandbox.harness.floors import FloorTimes
from sandbox.harness.history import History
from sandbox.harness.result import Result
from sandbox.harness.sections import Section
from sandbox.harness.workload import Workload

FORMAT = 1
RESULT, FLOORS, REPORT, HISTORIES = "result.json", "floors.json", "report.html", "histories"
T = TypeVar("T")
RUN_AGAIN = "Run it again with this version."


class _Kind(msgspec.Struct):
    kind: str = ""


class _StoredCell(msgspec.Struct):
    channel: str
    verb: Verb
    histories: list[str]


class _Stored(msgspec.Struct):
    """What of `result.json` is read back; the rest is computed from the histories again."""

    format: int
    workload: dict[str, Any]
    facts: dict[str, Any]
    notes: list[str]
    cells: list[_StoredCell]


def run_folder(base: str | Path, what: str) -> Path:
    """Make a new folder BASE/<YYYYmmdd-HHMMSS>-WHAT, with a number behind it where that is taken.

    Raises `BadArgument` where BASE is no folder and cannot be made one.
    """
    base = Path(base)
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadArgument("runs", expected="a folder, or a place for a new one", got=str(error)) from None
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{_safe(what)}"
    number = 1
    while True:
        folder = base / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()  # who makes it has it, however many start in the same second
        except FileExistsError:
            number += 1
        else:
            return folder


def save_comparison(comparison: Comparison, folder: str | Path, sections: Sequence[Section] = ()) -> Path:
    """Write all of a comparison into a folder: a new one, an empty one, or one of an earlier comparison.

    What was measured beside it, its `sections`, gets a folder each and a place in the report.

    Raises `BadArgument` for a folder that holds anything else. Returns the folder.
    """
    from sandbox.charts.report import report

    folder = Path(folder)
    _clear(folder)
    charts = comparison.charts()
    names = _save_histories(comparison, folder / HISTORIES)
    for chart in charts:
        chart.save(folder)
    linked = [[f"{HISTORIES}/{name}" for name in each] for each in names]
    for section in sections:
        section.save(folder / section.name)
    (folder / REPORT).write_text(report(comparison, charts, linked, sections), encoding="utf-8")
    _write_json(folder / FLOORS, {c.channel: [asdict(f) for f in c.floors] for c in comparison.cells})
    _write_json(folder / RESULT, _summary(comparison, names))
    return folder


def load_comparison(folder: str | Path) -> Comparison:
    """The comparison that was saved in a folder; `BadArgument` for any other folder or another format."""
    folder = Path(folder)
    stored = _read(folder / RESULT, _Stored)
    if stored.format != FORMAT:
        raise BadArgument("comparison folder", expected=f"format {FORMAT}", got=stored.format, hint=RUN_AGAIN)
    floors = _read(folder / FLOORS, dict[str, list[FloorTimes]])
    cells = tuple(_load_cell(folder / HISTORIES, each, floors.get(each.channel, [])) for each in stored.cells)
    return Comparison(Workload.from_dict(stored.workload), cells, tuple(stored.notes), stored.facts)


def kind_of(folder: str | Path) -> str:
    """What was saved in a folder: "coupling", or "" for a comparison and for what is none of ours."""
    try:
        return msgspec.json.decode((Path(folder) / RESULT).read_bytes(), type=_Kind).kind
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return ""


def load_result(path: str | Path) -> Result:
    """The run whose history was saved as an ``.npz`` file; `BadArgument` for any other file."""
    return Result(History.load(Path(path)))


# --- writing --------------------------------------------------------------------------------------


def _clear(folder: Path) -> None:
    """Make the folder, or take the histories of an earlier comparison out of it; the rest is written over."""
    if folder.exists():
        _check_ours(folder)
        (folder / RESULT).unlink(missing_ok=True)  # first: from now on it is no whole comparison
        for old in (folder / HISTORIES).glob("*.npz"):
            old.unlink()
    (folder / HISTORIES).mkdir(parents=True, exist_ok=True)


def _check_ours(folder: Path) -> None:
    """Ours are never mixed with somebody's files: the folder is empty or holds a comparison."""
    found = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else [folder.name]
    if found and not (folder / RESULT).is_file():
        shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        expected = "a new or empty folder, or one of an earlier comparison"
        raise BadArgument("folder", expected=expected, got=f"{folder} with {shown}", hint="Name another one.")


def _save_histories(comparison: Comparison, folder: Path) -> list[list[str]]:
    """Write every history; their file names, cell by cell."""
    taken: set[str] = set()
    names = []
    for cell in comparison.cells:
        stem = _free(f"{_safe(cell.channel)}-{cell.verb}", taken)
        mine = [f"{stem}-{number}.npz" for number in range(1, len(cell.results) + 1)]
        for name, result in zip(mine, cell.results, strict=True):
            result.save(folder / name)
        names.append(mine)
    return names


def _safe(name: str) -> str:
    """A name as part of a file name, whatever it holds: letters, digits, "_", "." and "-" stay."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", name).strip("._-")[:60] or "channel"


def _free(stem: str, taken: set[str]) -> str:
    """Different channels may come to the same safe name; on some disks also those that differ by case."""
    free, number = stem, 2
    while free.lower() in taken:
        free, number = f"{stem}_{number}", number + 1
    taken.add(free.lower())
    return free


def _summary(comparison: Comparison, names: list[list[str]]) -> dict[str, Any]:
    summary = comparison.summary()
    for cell, shown, mine in zip(comparison.cells, summary["cells"], names, strict=True):
        shown |= {"histories": mine, "censored": sum(each.censored for each in cell.samples())}
    return {"format": FORMAT, **summary}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(plain(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def plain(value: object) -> object:
    """The same in what JSON knows: numbers of numpy become Python's, NaN and infinite ones null."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# --- reading --------------------------------------------------------------------------------------


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        expected = "a folder that a comparison was saved in"
        raise BadArgument("comparison folder", expected=expected, got=f"{path}: {error}", hint=RUN_AGAIN) from None


def _load_cell(folder: Path, stored: _StoredCell, floors: list[FloorTimes]) -> Cell:
    for name in stored.histories:
        if Path(name).name != name:  # a result.json from elsewhere must not lead out of its folder
            raise BadArgument("history", expected="a file name without folders", got=name)
    if not stored.histories:
        raise BadArgument("cell", expected="at least one history", got=f"{stored.channel}, {stored.verb}")
    results = tuple(load_result(folder / name) for name in stored.histories)
    return Cell(stored.channel, stored.verb, results, tuple(floors))
