"""A prediction, written down before the run, and what the run says to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.words import duration, plural, text_table

if TYPE_CHECKING:
    from sandbox.harness.comparison import Comparison
    from sandbox.harness.measure import Quantile


@dataclass(frozen=True)
class Prediction:
    """Channels from the lowest median to the highest, as you expect them, for one verb."""

    verb: str
    fastest_first: Sequence[str]

    def score(self, comparison: Comparison) -> str:
        """How many pairs are in the order that was measured; pairs whose intervals overlap count for nobody.

        Raises `BadArgument` unless exactly the compared channels are named.
        """
        cells = {cell.channel: cell for cell in comparison.of(Verb(self.verb))}
        if sorted(self.fastest_first) != sorted(cells):
            raise BadArgument("prediction", expected="an order of " + ", ".join(cells), got=list(self.fastest_first))
        right, ties, wrong = 0, 0, []
        for earlier, later in combinations(self.fastest_first, 2):
            first, second = cells[earlier].quantile(), cells[later].quantile()
            if first.overlaps(second):
                ties += 1
            elif (first.value or 0.0) < (second.value or 0.0):
                right += 1
            else:
                wrong.append(
                    f"{earlier} ({duration(first.value)}) is not faster than {later} ({duration(second.value)})"
                )
        head = f"{self.verb}: {right} of {plural(right + len(wrong), 'pair')} as predicted"
        head += f"; {plural(ties, 'pair')} too close to call" if ties else ""
        return ".\n  ".join([head, *wrong]) + "."


@dataclass(frozen=True)
class Estimate:
    """How many ms you expect, by name: what the report of a run will say."""

    ms: Mapping[str, float]

    def score(self, measured: Mapping[str, Quantile]) -> str:
        """Beside each estimate what was measured, and by what factor it was off.

        Raises `BadArgument` unless exactly the measured ones were estimated, each above 0 ms.
        """
        if set(self.ms) != set(measured) or not all(value > 0 for value in self.ms.values()):
            raise BadArgument("estimate", expected="ms above 0 for each of " + ", ".join(measured), got=dict(self.ms))
        rows = [[name, duration(self.ms[name] * 1e6), *_measured(self.ms[name], measured[name])] for name in self.ms]
        return text_table(["", "expected", "measured", "off by"], rows)


def _measured(ms: float, found: Quantile) -> tuple[str, str]:
    value = found.value
    if value is None:
        return "too few samples", ""
    factor = value / (ms * 1e6)
    return duration(value), "" if value == float("inf") else f"{max(factor, 1 / factor):.2g} times"
