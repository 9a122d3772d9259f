"""A prediction, written down before the run, and what the run says to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.words import duration, html_table, plural, text_table

if TYPE_CHECKING:
    from sandbox.coupling.cells import Matrix
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


@dataclass(frozen=True)
class Outlook:
    """What you expect of each change: a word a channel, in it a letter for each order of roll-out.

    ``Outlook({"rename_field": "LL LL LL .L", ...})``, with the letters of a matrix: . works, d delayed, L fails loudly,
    W silently wrong. Whatever stands where there is no trial does not count.
    """

    letters: Mapping[str, str]

    def score(self, matrix: Matrix) -> str:
        """Beside each change what you expected, what came, and in how many cells you were right.

        Raises `BadArgument` unless exactly the changes of the matrix have a letter for each of its cells.
        """
        if sorted(self.letters) != sorted(matrix.changes):
            raise BadArgument("outlook", expected="all of " + ", ".join(matrix.changes), got=list(self.letters))
        rows, right, tried, unforeseen = [], 0, 0, 0
        for change, shown in matrix.changes.items():
            came = [matrix.letters(change, channel, False) for channel in matrix.channels]
            expected = self._words(change, came)
            pairs = [(a, b) for a, b in zip("".join(expected), "".join(came), strict=True) if b in ANSWERED]
            hits = sum(a == b for a, b in pairs)
            rows.append([shown.title, " ".join(expected), " ".join(came), f"{hits} of {len(pairs)}"])
            right, tried = right + hits, tried + len(pairs)
            unforeseen += sum(b == SILENT != a for a, b in pairs)
        said = f"{right} of {plural(tried, 'cell')} as predicted; {unforeseen} silently wrong that you did not foresee."
        return f"{text_table(['change', 'expected', 'came', 'right'], rows)}\n{said}"

    def _words(self, change: str, came: Sequence[str]) -> list[str]:
        words = self.letters[change].split()
        if [len(word) for word in words] != [len(word) for word in came] or set("".join(words)) - {*ANSWERED, "-"}:
            form = " ".join("." * len(word) for word in came)
            raise BadArgument(f"outlook of {change}", expected=f"the form {form} of . d L W", got=self.letters[change])
        return words


@dataclass(frozen=True)
class Forecast:
    """What you expect of each field of a table: a line for each row, in it a word for each column.

    ``Forecast({"kill_receiver": "right twice lost right", ...})``, of the words right, lost, twice, refused,
    indefinite, aside and stuck; `-` and `?` in what came (not applicable, unknown) count for nobody.
    """

    words: Mapping[str, str]

    def score(self, came: Mapping[str, Mapping[str, str]]) -> Scored:
        """Beside each field what you expected, `*` where it was right, and how many were.

        came   row -> column -> what came: a word, or several with "+" ("lost+twice"), of which you need name one only.

        Raises `BadArgument` unless there is a line for exactly the rows that came, with a word for each column.
        """
        if sorted(self.words) != sorted(came):
            raise BadArgument("forecast", expected="a line for each of " + ", ".join(came), got=list(self.words))
        columns = list(next(iter(came.values()), {}))
        rows, right, counted = [], 0, 0
        for row, fields in came.items():
            expected = self._line(row, columns)
            shown = []
            for word, found in zip(expected, fields.values(), strict=True):
                hit = word in found.split("+")
                counts = found not in UNCOUNTED
                right, counted = right + (hit and counts), counted + counts
                shown.append(f"{found} *" if hit and counts else f"{found} ({word})" if counts else found)
            rows.append([row, *shown])
        found = f"{right} of {plural(counted, 'field')} as predicted (*); in brackets what was predicted instead."
        return Scored(f"{text_table(['', *columns], rows)}\n{found}", html_table(["", *columns], rows, found))

    def _line(self, row: str, columns: Sequence[str]) -> list[str]:
        words = self.words[row].split()
        if len(words) != len(columns) or set(words) - {*FORESEEN, *UNCOUNTED}:
            form = f"a word for each of {', '.join(columns)}: {', '.join(FORESEEN)}"
            raise BadArgument(f"forecast of {row}", expected=form, got=self.words[row])
        return words


class Scored(str):
    """A text that a notebook shows as a table."""

    def __new__(cls, text: str, shown: str) -> Scored:
        scored = super().__new__(cls, text)
        scored._shown = shown
        return scored

    _shown: str

    def _repr_html_(self) -> str:
        return self._shown


#: letters of cells that were measured, and that of those whose books are wrong
ANSWERED, SILENT = ".dLW", "W"
#: words of a forecast, and what stands in fields that do not count
FORESEEN, UNCOUNTED = ("right", "lost", "twice", "refused", "indefinite", "aside", "stuck"), ("-", "?")


def _measured(ms: float, found: Quantile) -> tuple[str, str]:
    value = found.value
    if value is None:
        return "too few samples", ""
    factor = value / (ms * 1e6)
    return duration(value), "" if value == float("inf") else f"{max(factor, 1 / factor):.2g} times"
