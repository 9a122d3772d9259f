"""Several channels under one workload, side by side: the table, the sentences, what is kept of it."""

from __future__ import annotations

import functools
import statistics
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor, Ask, Share, Tell
from sandbox.harness.checker import State
from sandbox.harness.floors import FloorTimes
from sandbox.harness.measure import QUOTED, Measure, Quantile, Samples, quantiles
from sandbox.harness.result import Result
from sandbox.harness.words import duration, html_table, plural, text_table
from sandbox.harness.workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from sandbox.charts.chart import Chart

WHAT = {
    Verb.TELL: "told -> metered",
    Verb.ASK: "asked -> answered",
    Verb.SHARE: "read -> answered",
}

#: what "accepted" means, in words
HAS_IT = {
    Acceptor.NOBODY: "that the sender itself has it",
    Acceptor.KERNEL: "that the kernel has it",
    Acceptor.PEER: "that the receiver has done it",
    Acceptor.SERVER: "that the server has it in memory",
    Acceptor.DISK: "that it is flushed to disk",
}


@dataclass(frozen=True, eq=False)
class Cell:
    """One channel doing one verb: all its repeats and the floors measured between them."""

    channel: str
    verb: Verb
    results: tuple[Result, ...]
    floors: tuple[FloorTimes, ...] = ()

    @property
    def style(self) -> str:
        """The style it belongs to, which decides its colour."""
        return self.results[0].history.style

    @property
    def promise(self) -> Tell | Ask | Share:
        """What the channel promises for this verb."""
        return self.results[0].history.guarantees.of(self.verb)

    def samples(self, measure: Measure = Measure.RESPONSE) -> list[Samples]:
        """Latencies, one `Samples` a repeat."""
        return [result.samples(self.verb, measure) for result in self.results]

    def quantile(self, q: float = 0.5, measure: Measure = Measure.RESPONSE) -> Quantile:
        """A percentile over all repeats, with its interval."""
        if (q, measure) not in self._quantiles:
            found = quantiles(self.samples(measure), tuple({*QUOTED, q}))
            self._quantiles.update({(each, measure): quantile for each, quantile in found.items()})
        return self._quantiles[q, measure]

    @functools.cached_property
    def _quantiles(self) -> dict[tuple[float, Measure], Quantile]:
        return {}

    @property
    def floor(self) -> float | None:
        """Median of the same promise in the thinnest code, ns; None where there is no floor (share)."""
        medians = [median for each in self.floors if (median := each.median(str(self.verb))) is not None]
        return statistics.median(medians) if medians else None

    @property
    def bare(self) -> float | None:
        """Median of a single act of the bare medium, ns."""
        return statistics.median([act for each in self.floors for act in each.bare]) if self.floors else None

    @property
    def findings(self) -> tuple[str, ...]:
        """What went wrong in any of the repeats."""
        return tuple(dict.fromkeys(finding for result in self.results for finding in result.findings))


@dataclass(frozen=True, eq=False)
class Comparison:
    """The same exchange through several channels. Print it, or let a notebook show it."""

    workload: Workload
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def results(self) -> list[Result]:
        """Every run."""
        return [result for cell in self.cells for result in cell.results]

    @property
    def valid(self) -> bool:
        """Whether every run's measuring can be believed."""
        return all(result.verdict.state is State.VALID for result in self.results)

    def of(self, verb: Verb | str) -> list[Cell]:
        """The cells of one verb, in order of the channels."""
        return [cell for cell in self.cells if cell.verb is Verb(verb)]

    @property
    def verbs(self) -> list[Verb]:
        """The verbs that were compared."""
        return list(dict.fromkeys(cell.verb for cell in self.cells))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column names and rows, as shown; floors only where some were measured."""
        columns = [*COLUMNS]
        rows = [_row(cell) for cell in self.cells]
        if not any(cell.floors for cell in self.cells):
            for row in (columns, *rows):
                del row[COLUMNS.index("floor p50")]
        return columns, rows

    def sentences(self) -> list[str]:
        """Two or three plain sentences computed from the figures; a difference within the intervals is a tie."""
        return [*(_ranking(self.of(verb)) for verb in self.verbs), *_stale(self), _health(self)]

    def save(self, folder: str | Path) -> Path:
        """Write report, charts, figures and histories into a folder; `sandbox.load` reads it again. See `store`."""
        from sandbox.harness.store import save_comparison

        return save_comparison(self, folder)

    def charts(self) -> list[Chart]:
        """The charts of the report."""
        from sandbox.charts import charts_of

        return charts_of(self)

    def chart(self, name: str) -> Chart:
        """One chart by its name; an unknown name says which there are."""
        found = {chart.name: chart for chart in self.charts()}
        if name not in found:
            raise BadArgument("chart", expected="one of " + ", ".join(found), got=name)
        return found[name]

    def to_frame(self) -> pd.DataFrame:
        """One row a channel and verb: percentiles and intervals in ms, accounts summed over the repeats."""
        import pandas as pd

        return pd.DataFrame([_frame_row(cell) for cell in self.cells])

    def summary(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {
            "valid": self.valid,
            "workload": self.workload.to_dict(),
            "facts": self.facts,
            "notes": list(self.notes),
            "sentences": self.sentences(),
            "cells": [_cell_summary(cell) for cell in self.cells],
        }

    def __str__(self) -> str:
        return "\n".join([text_table(*self.table()), "", *self.sentences(), *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = [*self.sentences(), *self.notes]
        return html_table(*self.table()) + "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"


COLUMNS = (
    *("verb", "channel", "support", "accepted by", "p50", "95 % interval", "p90", "p99"),
    *("samples", "accepted p50", "floor p50", "business"),
)


def _row(cell: Cell) -> list[str]:
    p50, p90, p99 = (cell.quantile(q) for q in QUOTED)
    return [
        str(cell.verb),
        cell.channel,
        str(cell.promise.support),
        str(cell.promise.accepted_by),
        duration(p50.value),
        f"{duration(p50.low)} - {duration(p50.high)}" if p50.value is not None else "-",
        duration(p90.value),
        duration(p99.value) if p99.value is not None else "too few",
        str(p50.samples),
        duration(cell.quantile(0.5, Measure.ACCEPTANCE).value),
        duration(cell.floor),
        "right" if not cell.findings else "see below",
    ]


def _ranking(cells: list[Cell]) -> str:
    known = sorted((c for c in cells if c.quantile().value is not None), key=lambda c: c.quantile().value or 0.0)
    if not known:
        return "No median can be quoted: too few samples."
    best = known[0]
    ties = [cell for cell in known[1:] if cell.quantile().overlaps(best.quantile())]
    rest = [cell for cell in known[1:] if cell not in ties]
    verb = WHAT[best.verb]
    together = " and ".join(cell.channel for cell in [best, *ties])
    sentence = f"{verb.capitalize()}: {together} {'tie for' if ties else 'has'} the lowest median, "
    sentence += duration(best.quantile().value)
    if rest:
        worst = rest[-1]
        ratio = (worst.quantile().value or 0.0) / (best.quantile().value or 1.0)
        sentence += f"; {worst.channel} takes {duration(worst.quantile().value)}, {ratio:.1f} times as long"
        if best.verb is not Verb.SHARE and worst.promise.accepted_by is not best.promise.accepted_by:
            sentence += f" (accepted means there {HAS_IT[worst.promise.accepted_by]}, "
            sentence += f"with {best.channel} {HAS_IT[best.promise.accepted_by]})"
    return sentence + "."


def _stale(comparison: Comparison) -> list[str]:
    stale = {}
    for cell in comparison.of(Verb.SHARE):
        states = [result.states for result in cell.results if result.states]
        behind = sum(each.stale for each in states)
        if behind:
            stale[cell.channel] = f"{behind} of {sum(each.reads for each in states)}"
    if not comparison.of(Verb.SHARE):
        return []
    if not stale:
        return ["No read of shared state was stale."]
    return ["Stale reads of shared state: " + ", ".join(f"{name} {number}" for name, number in stale.items()) + "."]


def _health(comparison: Comparison) -> str:
    findings = [f"{cell.channel}: {finding}" for cell in comparison.cells for finding in cell.findings]
    runs = plural(len(comparison.results), "run")
    doubtful = [cell.channel for cell in comparison.cells for r in cell.results if r.verdict.state is not State.VALID]
    judged = f"{len(doubtful)} of them not valid ({_tally(doubtful)}): {_why(comparison)}" if doubtful else "all valid"
    business = "every bill, volume and state is right." if not findings else " ".join(findings)
    return f"{runs}, {judged}; {business}"


def _tally(names: list[str]) -> str:
    """ "spool 4, socket 2"."""
    return ", ".join(f"{name} {number}" for name, number in Counter(names).items())


def _why(comparison: Comparison) -> str:
    """Each kind of reason once; the figures of every run stand in the report and in `results`."""
    reasons = [reason for result in comparison.results for reason in result.verdict.reasons]
    return ", ".join(dict.fromkeys(reason.split(":")[0] for reason in reasons))


def _frame_row(cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {
        "verb": str(cell.verb),
        "channel": cell.channel,
        "style": cell.style,
        "support": str(cell.promise.support),
        "accepted_by": str(cell.promise.accepted_by),
    }
    for measure in (Measure.RESPONSE, Measure.ACCEPTANCE):
        for q in QUOTED:
            found = cell.quantile(q, measure)
            name = f"{measure}_p{q * 100:g}_ms"
            row[name] = found.value / 1e6 if found.value is not None else None
            row[name + "_low"], row[name + "_high"] = found.low / 1e6, found.high / 1e6
    row["samples"] = cell.quantile().samples
    row["floor_p50_ms"] = cell.floor / 1e6 if cell.floor is not None else None
    row["bare_p50_ms"] = cell.bare / 1e6 if cell.bare is not None else None
    for name in ("intended", "ok", "fail", "info", "unattempted", "lost", "duplicated", "reordered"):
        values = [getattr(result.accounts[cell.verb], name) for result in cell.results]
        row[name] = None if None in values else sum(values)
    return row


def _cell_summary(cell: Cell) -> dict[str, Any]:
    return {
        **_frame_row(cell),
        "promise": asdict(cell.promise),
        "runs": [result.summary() for result in cell.results],
        "floor": {"promise": cell.floors[0].promise, "bare_act": cell.floors[0].bare_act} if cell.floors else None,
    }
