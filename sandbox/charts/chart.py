"""What every chart is: a figure, a text that says the same, and a table that holds the figures.

A chart is a value. Its picture is drawn when it is asked for, never through pyplot, so nothing stays
open behind it and no setting of the notebook is changed.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.charts.style import WIDTH, projector
from sandbox.harness.words import html_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DPI = 150

Value = str | float | int | None


@dataclass(frozen=True)
class Chart:
    """One chart.

    name     file name without its ending
    title    what is shown, in plain words
    alt      alternative text: whole sentences with the figures, computed from the data
    columns, rows   the same as a table; None is "not measured or not to be quoted", infinite is "censored"
    draw     draws on an empty figure
    height   of the figure, in inches; it is 10 inches wide
    note     what a reader of the table must know (units)
    """

    name: str
    title: str
    alt: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    draw: Callable[[Figure], None]
    height: float = 6.0
    note: str = ""

    def figure(self) -> Figure:
        """A new matplotlib figure, to be taken further by hand."""
        from matplotlib.figure import Figure

        with projector():
            figure = Figure(figsize=(WIDTH, self.height))
            self.draw(figure)
        return figure

    def png(self) -> bytes:
        """The picture at 150 dpi, rendered once; the same data give the same bytes."""
        return self._png

    @functools.cached_property
    def _png(self) -> bytes:
        target = io.BytesIO()
        figure = self.figure()
        with projector():  # some settings are only read when it is rendered
            figure.savefig(target, format="png", dpi=DPI, metadata={"Software": None})
        return target.getvalue()

    def save(self, folder: str | Path) -> Path:
        """Write NAME.png and NAME.txt (the alternative text) into a folder; returns the picture's path."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f"{self.name}.png"
        picture.write_bytes(self.png())
        picture.with_suffix(".txt").write_text(f"{self.title}\n\n{self.alt}\n", encoding="utf-8")
        return picture

    def to_frame(self) -> pd.DataFrame:
        """The table, its numbers as numbers; NaN where there is none to quote, infinite where it was censored."""
        import pandas as pd

        rows = [[float("nan") if value is None else value for value in row] for row in self.rows]
        return pd.DataFrame(rows, columns=list(self.columns))

    def html(self) -> str:
        """Picture with alternative text, and the table in a `details`; needs nothing from outside."""
        data = base64.b64encode(self.png()).decode("ascii")
        picture = f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}">'
        shown = [[written(value) for value in row] for row in self.rows]
        table = html_table(self.columns, shown, f"{self.title}. {self.note}".strip())
        return f"<figure>{picture}<details><summary>The same as a table</summary>{table}</details></figure>"

    def _repr_html_(self) -> str:
        return self.html().replace("<img ", '<img style="max-width: 100%; background: white" ', 1)

    def __str__(self) -> str:
        return f"{self.title}\n\n{self.alt}"

    __repr__ = __str__


def written(value: Value) -> str:
    """A value of the table as it is shown."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return "censored" if math.isinf(value) else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
