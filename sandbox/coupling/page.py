"""The page of a matrix: needs nothing from outside but the evidence beside it; everything from outside is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

from sandbox.charts.report import STYLE
from sandbox.coupling.cells import Cell, Matrix, in_business_terms
from sandbox.coupling.change import Order
from sandbox.coupling.trial import ONE_ORDER
from sandbox.coupling.verdict import Answer
from sandbox.coupling.views import compatibility_table, deploy_table, practice_table
from sandbox.harness.words import html_table, plural

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
<h2>As everybody does it</h2>
$plain
<h2>With the best practice</h2>
$practised
<h2>Silently wrong</h2>
$silent
<h2>Can I deploy?</h2>
<div class="wide">$deploy</div>
<h3>With the best practice</h3>
<div class="wide">$deploy_practised</div>
<h2>Compatibility that each style really has</h2>
<p>Backward: the new receiver reads what the old sender writes and has written. Forward: the old receiver reads what
the new sender writes. Full: both. Behind an arrow: with the best practice.</p>
<div class="wide">$compatibility</div>
<h2>What the best practice buys, and what it costs</h2>
<p>Cells that hold (work, at once or later) of those that were tried; lines of source added, removed and written
beforehand, counted by machine; statements that changed the medium.</p>
<div class="wide">$practice</div>
<h2>Charts</h2>
$charts
<h2>How to read this</h2>
<p>Two real parties; one is changed, the other is not yet. What a cell answers is decided by the books - what was
billed, created and read - and never by whether an exception was seen. Every answer links its evidence: what was
meant, sent and received, both versions in full, and the command that runs the cell again.</p>
</main>
</body>
</html>
""")

COLOURS = """
.matrix td { text-align: center; vertical-align: middle; padding: .35em .5em; border: 1px solid var(--rule); }
.matrix th { vertical-align: middle; }
.wide .matrix { font-size: .74rem; }
.wide .matrix th { white-space: normal; padding: .3em .4em; }
.wide .matrix tbody th { min-width: 11em; }
.matrix thead th { text-align: center; }
.matrix a { color: inherit; }
.matrix .silent { background: #101010; color: white; font-weight: bold; outline: 2px solid #888; }
.matrix .loud { background: #F2A65A; color: #1a1a1a; }
.matrix .delayed { background: #DCEBF7; color: #1a1a1a; font-style: italic; }
.matrix .none { color: var(--quiet); font-style: italic; font-size: .85em; white-space: normal; }
.matrix .facet { text-align: left; font-style: italic; color: var(--quiet); }
code { overflow-wrap: anywhere; }
"""
#: more silently wrong cells than this are folded
FEW = 12
#: answer -> CSS class, word
WORDS = {
    Answer.WORKS: ("works", "works"),
    Answer.DELAYED: ("delayed", "delayed"),
    Answer.LOUD: ("loud", "loud"),
    Answer.SILENT: ("silent", "WRONG"),
}


def page(matrix: Matrix, charts: Sequence[Chart], links: Mapping[str, str]) -> str:
    """The page as HTML text; `links`: name of a cell -> path of its evidence, relative to the page."""
    machine = matrix.facts.get("machine", {})
    where = f" on {machine.get('cpu')}, {machine.get('cores')} cores" if machine else ""
    return PAGE.substitute(
        title=html.escape(f"{Matrix.title}: {', '.join(matrix.channels)}"),
        style=STYLE.strip() + COLOURS,
        subtitle=html.escape(f"{matrix.facts.get('started', '')}{where}"),
        sentences="".join(f"<li>{html.escape(line)}</li>" for line in (*matrix.sentences(), *matrix.notes)),
        silent=_silent(matrix, links),
        plain=_matrix(matrix, False, links),
        practised=_matrix(matrix, True, links),
        deploy=html_table(*deploy_table(matrix, False), caption="As everybody does it"),
        deploy_practised=html_table(*deploy_table(matrix, True), caption="With the best practice"),
        practice=html_table(*practice_table(matrix)),
        compatibility=html_table(*compatibility_table(matrix)),
        charts="\n".join(chart.html() for chart in charts),
    )


def _silent(matrix: Matrix, links: Mapping[str, str]) -> str:
    items = []
    for cell in matrix.answering(Answer.SILENT):
        said = html.escape(in_business_terms(cell))
        items.append(f"<li>{_linked(cell.name, cell, links)}: {said}<br><code>{html.escape(cell.command)}</code></li>")
    if not items:
        return "<p>No cell is silently wrong.</p>"
    opened = " open" if len(items) <= FEW else ""
    told = f"{plural(len(items), 'cell')}: the books are wrong, and nobody was told"
    return f"<details{opened}><summary>{told}</summary><ul>{''.join(items)}</ul></details>"


def _linked(text: str, cell: Cell, links: Mapping[str, str]) -> str:
    shown = html.escape(text)
    path = links.get(cell.name)
    return f'<a href="{html.escape(quote(path))}">{shown}</a>' if path else shown


# --- the matrix -----------------------------------------------------------------------------------


def _matrix(matrix: Matrix, practised: bool, links: Mapping[str, str]) -> str:
    cells = [cell for cell in matrix.cells if cell.practised is practised]
    orders = [order for order in Order if any(cell.order is order for cell in cells)]
    top = "".join(f'<th scope="colgroup" colspan="{len(orders)}">{html.escape(c)}</th>' for c in matrix.channels)
    below = "".join(f'<th scope="col">{order.replace("_", " ")}</th>' for _ in matrix.channels for order in orders)
    body = "".join(_rows(matrix, practised, links, 1 + len(orders) * len(matrix.channels)))
    head = f'<thead><tr><th rowspan="2">change</th>{top}</tr><tr>{below}</tr></thead>'
    label = "The matrix" + (" with the best practice" if practised else "")
    wrap = f'<div class="wide" tabindex="0" role="region" aria-label="{label}">'
    return f'{wrap}<table class="matrix">{head}<tbody>{body}</tbody></table></div>'


def _rows(matrix: Matrix, practised: bool, links: Mapping[str, str], width: int) -> Iterator[str]:
    facet = None
    for name, shown in matrix.changes.items():
        if shown.facet is not facet:
            facet = shown.facet
            yield f'<tr><th class="facet" colspan="{width}">{facet}</th></tr>'
        fields = "".join(_field_row(matrix.of(name, channel, practised), links) for channel in matrix.channels)
        yield f'<tr><th scope="row">{html.escape(shown.title)}</th>{fields}</tr>'


def _field_row(cells: Sequence[Cell], links: Mapping[str, str]) -> str:
    """Fields of one channel; what has the same reason is one field, and so is the answer of a single order."""
    ordered = [cell for cell in cells if cell.why_not != ONE_ORDER]
    if len(ordered) == 1:
        return _field(ordered[0], len(cells), links)
    groups = [list(group) for _, group in groupby(cells, lambda cell: cell.text if cell.verdict is None else cell.name)]
    return "".join(_field(group[0], len(group), links) for group in groups)


def _field(cell: Cell, span: int, links: Mapping[str, str]) -> str:
    if cell.verdict is None:
        return f'<td class="none" colspan="{span}">{html.escape(cell.text)}</td>'
    kind, word = WORDS[cell.verdict.answer]
    who = ", ".join(f"{name} {times}" for name, times in cell.verdict.noticed_by.items()) or "nobody"
    after = "" if cell.verdict.after is None else f", after {cell.verdict.after * 1e3:.3g} ms"
    said = html.escape(f"{in_business_terms(cell)}; noticed by {who}{after}")
    return f'<td class="{kind}" colspan="{span}" title="{said}">{_linked(word, cell, links)}</td>'
