"""The page of a matrix of failures: needs nothing from outside but the evidence beside it; all is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

from sandbox.charts.report import STYLE
from sandbox.faults.cells import KEY, Cell, FaultMatrix

if TYPE_CHECKING:
    from sandbox.charts.chart import Chart

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="quiet">$subtitle</p>
<ul class="said">$sentences</ul>
<div class="wide" tabindex="0" role="region" aria-label="The matrix"><table class="matrix">$head$body</table></div>
<pre>$key</pre>
<h2>Charts</h2>
$charts
<h2>How to read this</h2>
<p>Each cell is a real run: a short load, and the fault in the middle of it. What a cell says is decided by the books -
what was billed and created - and never by whether an exception was seen. Each channel is held to what it declares
itself; a fault that touched nothing is no result. The work was available while at least half as many operations were
done as were offered, in every tenth of a second; times are those of one run. Every answer links its evidence: what was
planned, what was really done, the accounts, every operation that went another way, and the command that runs the cell
again. No power was cut: that row is what tracing the system calls has shown.</p>
</main>
</body>
</html>
""")

COLOURS = """
.matrix td { text-align: center; vertical-align: middle; padding: .35em .5em; border: 1px solid var(--rule); }
.matrix td { white-space: normal; }
.matrix th { vertical-align: middle; white-space: normal; }
.matrix a { color: inherit; }
.matrix .broken { background: #101010; color: white; font-weight: bold; outline: 2px solid #888; }
.matrix .lost { font-weight: bold; }
.matrix .none { color: var(--quiet); font-style: italic; font-size: .85em; }
.matrix .kind { text-align: left; font-style: italic; color: var(--quiet); }
.matrix small { display: block; color: var(--quiet); }
"""


def page(matrix: FaultMatrix, charts: Sequence[Chart], links: Mapping[str, str]) -> str:
    """The page as HTML text; `links`: name of a cell -> path of its evidence, relative to the page."""
    machine = matrix.facts.get("machine", {})
    where = f" on {machine.get('cpu')}, {machine.get('cores')} cores" if machine else ""
    heads = "".join(f'<th scope="col">{html.escape(channel)}</th>' for channel in matrix.channels)
    return PAGE.substitute(
        title=html.escape(f"{FaultMatrix.title}: {', '.join(matrix.channels)}"),
        style=STYLE.strip() + COLOURS,
        subtitle=html.escape(f"{matrix.facts.get('started', '')}{where}"),
        sentences="".join(f"<li>{html.escape(line)}</li>" for line in (*matrix.sentences(), *matrix.notes)),
        head=f"<thead><tr><th>fault</th>{heads}</tr></thead>",
        body=f"<tbody>{''.join(_rows(matrix, links))}</tbody>",
        key=html.escape(KEY),
        charts="\n".join(chart.html() for chart in charts),
    )


def _rows(matrix: FaultMatrix, links: Mapping[str, str]) -> Iterator[str]:
    kind = None
    for name, shown in matrix.faults.items():
        if shown.kind != kind:
            kind = shown.kind
            yield f'<tr><th class="kind" colspan="{1 + len(matrix.channels)}">{html.escape(kind)}</th></tr>'
        fields = "".join(_field(matrix.of(name, channel), links) for channel in matrix.channels)
        yield f'<tr><th scope="row">{html.escape(shown.title)}</th>{fields}</tr>'


def _field(cell: Cell, links: Mapping[str, str]) -> str:
    if not cell.seen:
        return f'<td class="none">{html.escape(cell.text)}</td>'
    lost = any(verdict.lost or verdict.wrong for verdict in cell.verdicts)
    kind = "broken" if not cell.kept else "lost" if lost else "ran"
    shown = html.escape(cell.happened if cell.kept else f"{cell.promise}: {cell.happened}")
    path = links.get(cell.name)
    linked = f'<a href="{html.escape(quote(path))}">{shown}</a>' if path else shown
    small = f"<small>{html.escape(cell.below)}</small>"
    return f'<td class="{kind}" title="{html.escape(cell.command)}">{linked}{small}</td>'
