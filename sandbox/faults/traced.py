"""The row "power cut" of the matrix of failures: not a run with a fault in it, but what tracing has seen (Linux)."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.exchange.schema import Verb
from sandbox.faults.cells import Cell
from sandbox.faults.fault import bare
from sandbox.faults.power_cut import PowerCut, power_cut_row
from sandbox.faults.scenes import Column
from sandbox.harness.session import Session

FAULT, TITLE, KIND = "power_cut", "power cut: what was on disk when it was accepted", "Linux, by tracing"


def power_cut_cells(columns: Sequence[Column], session: Session) -> list[Cell]:
    """One cell a channel, 2 s each at most: flushed before it was accepted, or not, or why that cannot be seen."""
    found = power_cut_row({shown.title: shown.channel for shown in columns}, session)
    seen = {each.channel: each for each in found}
    return [_cell(shown, seen.get(shown.title)) for shown in columns]


def _cell(shown: Column, seen: PowerCut | None) -> Cell:
    if seen is None:  # one that is wrapped around another, which stores for it
        why_not = f"as {bare(shown.channel).title()}, which stores for it"
    else:
        why_not = "" if seen.traced else seen.answer
    return Cell(
        FAULT,
        TITLE,
        KIND,
        Verb.TELL,
        shown.title,
        shown.channel.style,
        name=f"{FAULT}/{shown.named}",
        why_not=why_not,
        traced=None if why_not else seen,
    )
