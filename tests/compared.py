"""Comparisons built by hand, whose percentiles are known before a chart has seen them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from build import Book

from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor, Ask, Delivery, Guarantees, Share, Support, Tell
from sandbox.harness.comparison import Cell, Comparison
from sandbox.harness.floors import FloorTimes
from sandbox.harness.result import Result
from sandbox.harness.workload import Workload

#: 60 % take 2 ms, 35 % take 5 ms, 5 % take 40 ms, evenly mixed: p50 2, p90 5, p99 40
MIX = (2.0,) * 12 + (5.0,) * 7 + (40.0,)
FLOOR = FloorTimes("the same promise", "one write", (500_000,) * 5, (500_000,) * 5, (100_000,) * 5)
LETTER = {Verb.TELL: "T", Verb.ASK: "A", Verb.SHARE: "R"}


@functools.cache  # a cell is a value, and its intervals take time
def made(
    channel: str = "spool",
    style: str = "file_share",
    *,
    verb: Verb = Verb.TELL,
    count: int = 1200,
    mix: Sequence[float] = MIX,
    never: int = 0,
    accepted: float = 0.1,
    by: Acceptor = Acceptor.DISK,
    floor: bool = True,
    runs: int = 1,
    **knobs: Any,
) -> Cell:
    """A channel doing a verb: latencies in ms go round `mix`; every `never`-th operation has no outcome (0: none)."""
    result = _result(channel, style, verb, count, mix, never, accepted, by, knobs)
    return Cell(channel, verb, (result,) * runs, (FLOOR,) * floor)


def _result(
    channel: str,
    style: str,
    verb: Verb,
    count: int,
    mix: Sequence[float],
    never: int,
    accepted: float,
    by: Acceptor,
    knobs: dict[str, Any],
) -> Result:
    book = Book(LETTER[verb] * count, owner=False, **knobs)
    for operation in range(1, count + 1):
        due, took = float(operation - 1), mix[operation % len(mix)]
        book.sent(operation).accepted(operation, at=due + accepted)
        if never and operation % never == 0:
            continue
        if verb is Verb.TELL:
            book.worked(operation, at=due + took, took=0)
        else:
            book.answered(operation, at=due + took)
    promises = Guarantees(
        tell=Tell(Support.NATURAL, Delivery.AT_LEAST_ONCE, accepted_by=by),
        ask=Ask(Support.LAYERED, Delivery.AT_MOST_ONCE, accepted_by=by),
        share=Share(Support.NATURAL, accepted_by=by),
    )
    history = book.history(started="2026-01-01T00:00:00+00:00", clock_gap=0.0)
    return Result(replace(history, channel=channel, style=style, guarantees=promises))


def compared(*cells: Cell, notes: tuple[str, ...] = ()) -> Comparison:
    """A comparison of these cells."""
    facts = {"started": "2026-01-01T00:00:00+00:00", "machine": {"cpu": "a processor", "cores": 2.0}, "repeats": 1}
    return Comparison(Workload("tell", operations=1200), cells, notes, facts)


def every_case() -> Comparison:
    """All that a chart must be able to show: five styles, three verbs, few samples, censored ones, a long name."""
    cells = []
    for verb in Verb:
        cells += [
            made("a_channel_with_quite_a_long_name(flush=True)", "custom", verb=verb, count=400, floor=False),
            made("streams", "messaging", verb=verb, never=7, mix=(0.3, 0.4, 9.0)),
            made("spool", verb=verb),
            made("skip_locked", "db_share", verb=verb, count=12),
            made("compare_and_swap", "db_share", verb=verb, count=240, mix=(1.0, 1.1)),
            made("socket", "rpc", verb=verb, mix=(0.05, 0.06), accepted=0.2, by=Acceptor.PEER),
            made("null", "null", verb=verb, count=100, never=1),
        ]
    return compared(*cells, notes=("a note",))
