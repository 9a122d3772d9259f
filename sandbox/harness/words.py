"""Numbers as people read them, and small tables as text and HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence


def duration(ns: float | None) -> str:
    """Nanoseconds in the unit that suits them; "-" where there is no number to quote."""
    if ns is None:
        return "-"
    if math.isinf(ns):
        return "censored"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"


def plural(number: int, noun: str) -> str:
    """ "1 bill", "2 bills"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns for a terminal; the first column to the left, numbers to the right."""
    table = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    numeric = [all(row[i][:1] in "0123456789-" for row in table[1:] if row[i]) for i in range(len(columns))]
    lines = []
    for row in table:
        cells = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """The same as HTML, everything escaped."""
    longest = max((len(cell) for row in rows for cell in row), default=0)
    style = "white-space: nowrap" if longest < 40 else "text-align: left"
    head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in columns)
    lines = ["".join(f"<td style='{style}'>{html.escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
