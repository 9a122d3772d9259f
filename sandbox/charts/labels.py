"""What is written beside the marks: promises in words, numbers in ms, names of rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sandbox.charts.style import QUIET, rank
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor, Reads, Share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patheffects import AbstractPathEffect

    from sandbox.harness.comparison import Cell, Comparison

#: who has the operation when its sender is told "accepted"
HAS_IT = {
    Acceptor.NOBODY: "nobody has it",
    Acceptor.KERNEL: "kernel has it",
    Acceptor.PEER: "receiver has it",
    Acceptor.SERVER: "server has it",
    Acceptor.DISK: "flushed to disk",
}
_HAS_WRITES = {
    Acceptor.NOBODY: "nobody has writes",
    Acceptor.KERNEL: "kernel has writes",
    Acceptor.PEER: "owner has writes",
    Acceptor.SERVER: "server has writes",
    Acceptor.DISK: "writes flushed to disk",
}
#: what is measured
SPAN = {
    Verb.TELL: "told \N{RIGHTWARDS ARROW} metered",
    Verb.ASK: "asked \N{RIGHTWARDS ARROW} answered",
    Verb.SHARE: "read \N{RIGHTWARDS ARROW} answered",
}
NOT_QUOTED = "too few samples"


def ms(ns: float | None) -> float | None:
    """Nanoseconds as ms for axes and tables; nothing and NaN become None, infinite (censored) stays."""
    return None if ns is None or math.isnan(ns) else ns / 1e6


def in_ms(ns: float) -> str:
    """ "0.42 ms", "1,230 ms": three significant digits, always in the unit of the axis."""
    return "censored" if math.isinf(ns) else f"{float(f'{ns / 1e6:.3g}'):,.10g} ms"


def promised(cell: Cell) -> str:
    """ "at least once, flushed to disk": what stands beside every latency, in at most 30 letters or so."""
    promise = cell.promise
    if isinstance(promise, Share):
        freshness = "latest" if promise.reads is Reads.LATEST else "may lag"
        return f"{freshness}, {_HAS_WRITES[promise.accepted_by]}"
    return f"{promise.delivery}, {HAS_IT[promise.accepted_by]}"


def origin(cells: Iterable[Cell]) -> str:
    """Where latencies count from: "intended start", or "actual start" in a closed loop, which knows no other."""
    loops = {cell.results[0].history.workload.loop for cell in cells}
    return "actual start" if loops == {"closed"} else "intended start"


def by_verb(comparison: Comparison, verbs: Sequence[Verb | str] | None) -> list[list[Cell]]:
    """The cells of each verb in fixed order; `BadArgument` for a verb that was not compared."""
    chosen = list(verbs or comparison.verbs)
    for verb in chosen:
        if verb not in comparison.verbs:
            raise BadArgument("verb", expected="one of " + ", ".join(comparison.verbs), got=verb)
    return [in_fixed_order(comparison.of(verb)) for verb in chosen]


def in_fixed_order(cells: Iterable[Cell]) -> list[Cell]:
    """Style by style, then by name: never by speed."""
    return sorted(cells, key=lambda cell: (rank(cell.style), cell.channel))


def counted(samples: Mapping[str, int]) -> str:
    """How many samples stand behind each row of a panel: "1,200 samples each, rabbit 12"."""
    numbers = list(samples.values())
    usual = max(set(numbers), key=lambda number: (numbers.count(number), number))
    others = [f"{shortened(name)} {number:,}" for name, number in samples.items() if number != usual]
    if len(others) > 2:
        return f"{min(numbers):,} to {max(numbers):,} samples each"
    return ", ".join([f"{usual:,} samples" + " each" * (len(numbers) > 1), *others])


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def shortened(name: str, most: int = 28) -> str:
    """A name that fits: its middle gives way."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def name_row(axes: Axes, row: float, cell: Cell, below: str) -> None:
    """To the left of a row: the channel and how it comes by the verb, and below that what it promises."""
    from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea, VPacker

    support = f"({cell.promise.support})"
    name = TextArea(shortened(cell.channel, 19), textprops={"weight": "bold"})
    first = HPacker(children=[name, TextArea(support)], align="baseline", pad=0, sep=6)
    second = TextArea(below, textprops={"color": QUIET})
    both = VPacker(children=[first, second], align="right", pad=0, sep=3)
    place = AnnotationBbox(
        both,
        (0, row),
        (-14, 0),
        ("axes fraction", "data"),
        "offset points",
        box_alignment=(1, 0.5),
        frameon=False,
        pad=0,
    )
    axes.add_artist(place)


def halo() -> list[AbstractPathEffect]:
    """A white rim that keeps text readable on top of lines."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3.5, foreground="white")]
