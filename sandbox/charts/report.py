"""The report of a comparison: one page that needs nothing from outside, on a projector and on a phone.

Everything that comes from a comparison (names of channels, errors, versions) is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sandbox.harness.words import html_table, plural

if TYPE_CHECKING:
    from sandbox.charts.chart import Chart
    from sandbox.harness.comparison import Cell, Comparison
    from sandbox.harness.result import Result
    from sandbox.harness.sections import Section

#: paths of a cell's histories, relative to the page; by position in `Comparison.cells`
Histories = Sequence[Sequence[str]]

#: more notes than this are folded
FEW = 5

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
<h2>Side by side</h2>
<div class="wide" tabindex="0" role="region" aria-label="Comparison">$table</div>
<h2>How to read this</h2>
<ul>$reading</ul>
<h2>Charts</h2>
$charts
$sections
$notes
<h2>Runs</h2>
<p>$valid</p>
<details><summary>Verdict, findings and history of each run</summary>
<div class="wide" tabindex="0" role="region" aria-label="Runs">$runs</div></details>
<h2>Made with</h2>
$made
</main>
</body>
</html>
""")

STYLE = """
:root { color-scheme: light dark; --quiet: #595959; --rule: #c8c8c8; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --quiet: #b5b5b5; --rule: #555; --link: #8ab8f0; } }
body { font: 1.125rem/1.5 system-ui, sans-serif; margin: 0; overflow-wrap: break-word; }
main { max-width: 78rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .6em 0 .2em; }
h2 { font-size: 1.35rem; margin: 2em 0 .5em; }
a { color: var(--link); }
main > p, main > ul { max-width: 64rem; }
.heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.quiet, caption { color: var(--quiet); }
.said { padding-left: 1.2em; }
.said li { margin: .4em 0; }
.wide { overflow-x: auto; }
.wide table { font-size: .85rem; }
table { border-collapse: collapse; font-size: .95rem; font-variant-numeric: tabular-nums; margin: .5em 0; }
caption { text-align: left; padding: .3em 0; }
th, td { text-align: left; vertical-align: top; padding: .3em .6em .3em 0; border-bottom: 1px solid var(--rule); }
.wide th, .wide td { white-space: nowrap; }
.wide .runs td { white-space: normal; }
.runs td:nth-child(4), .runs td:nth-child(5) { min-width: 16em; }
figure { margin: 1.5em 0; }
figure img { display: block; width: 100%; max-width: 64rem; height: auto; background: white; border-radius: 4px; }
figure details { overflow-x: auto; }
summary { cursor: pointer; padding: .5em 0; color: var(--link); }
@media print { details { display: none; } body { font-size: 11pt; } }
"""

READING = {
    "Response": "from the intended start of an operation until it is worked by every listener (tell) or answered (ask, "
    "read). Acceptance: until its sender has been told who has it, which says nothing about the work. Compare channels "
    "that have it accepted by the same.",
    "Intended start": "the arrival plan says before the run when each operation is due. Latency counts from then, so "
    "that whoever stalls pays for all that had to wait.",
    "Intervals and ties": "a median comes with a 95 % interval. Where two intervals overlap, the difference is a tie. "
    "A percentile with fewer than ten samples beyond it is not quoted.",
    "Censored, floor": "an operation without an outcome in the time allowed counts as slower than everything, and is "
    "never left out. The floor is the same promise in the thinnest code; the rest is the channel's own price.",
}


def report(
    comparison: Comparison, charts: Sequence[Chart], histories: Histories = (), sections: Sequence[Section] = ()
) -> str:
    """The page as HTML text; `histories` are linked from the table of runs, the page of each section from its part."""
    names = list(dict.fromkeys(cell.channel for cell in comparison.cells))
    title = f"One exchange through {plural(len(names), 'channel')}: {', '.join(names)}"
    return PAGE.substitute(
        title=html.escape(title),
        style=STYLE.strip(),
        subtitle=html.escape(_subtitle(comparison)),
        sentences=_items(comparison.sentences()),
        table=html_table(*comparison.table(), caption=_about(comparison)),
        reading="".join(f"<li><b>{html.escape(what)}</b>: {html.escape(text)}</li>" for what, text in READING.items()),
        charts=_charts(charts),
        sections="\n".join(map(_section, sections)),
        notes=_notes(comparison),
        valid=html.escape(_valid(comparison)),
        runs=_runs(comparison, histories),
        made=_made(comparison),
    )


def _charts(charts: Sequence[Chart]) -> str:
    return "\n".join(f'<h3 class="heard">{html.escape(chart.title)}</h3>{chart.html()}' for chart in charts)


def _section(section: Section) -> str:
    """What was measured beside the comparison: its sentences, its charts, the way to its own page."""
    page = html.escape(quote(f"{section.name}/{section.page}"))
    link = f'<p><a href="{page}">All of it, with its evidence</a></p>'
    said = f'<ul class="said">{_items(section.sentences())}</ul>'
    return f"<h2>{html.escape(section.title)}</h2>{said}{link}{_charts(section.charts())}"


def _subtitle(comparison: Comparison) -> str:
    started = str(comparison.facts.get("started", ""))
    machine = comparison.facts.get("machine")
    on = f"{machine.get('cpu')}, {_flat(machine.get('cores'))} cores" if isinstance(machine, Mapping) else ""
    return " on ".join(part for part in (started.replace("T", " ").replace("+00:00", " UTC"), on) if part)


def _about(comparison: Comparison) -> str:
    load = comparison.workload
    repeats = max((len(cell.results) for cell in comparison.cells), default=0)
    offered = f"{load.operations:,} operations at {load.rate:g}/s, {load.arrivals} arrivals, {load.loop} loop"
    size = load.size if isinstance(load.size, str) else f"{load.size:,} bytes"
    return f"Each channel and verb {plural(repeats, 'time')}: {offered}, {size} each. us: microseconds."


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{html.escape(line)}</li>" for line in lines)


def _notes(comparison: Comparison) -> str:
    items = f"<ul>{_items(comparison.notes)}</ul>"
    if len(comparison.notes) > FEW:
        items = f"<details><summary>{len(comparison.notes)} notes</summary>{items}</details>"
    return f"<h2>Notes</h2>{items}" if comparison.notes else ""


def _valid(comparison: Comparison) -> str:
    runs = plural(len(comparison.results), "run")
    if comparison.valid:
        return f"{runs}, all valid: the measuring can be believed."
    return f"{runs}; not all of them valid. What is not valid was not measured as it should have been: see why below."


# --- tables ---------------------------------------------------------------------------------------


def _runs(comparison: Comparison, histories: Histories) -> str:
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("channel", "verb", "run", "verdict", "findings", "history")
    )
    rows = "".join(row for index, cell in enumerate(comparison.cells) for row in _run_rows(index, cell, histories))
    return (
        f'<table class="runs"><caption>Every run</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _run_rows(index: int, cell: Cell, histories: Histories) -> Iterator[str]:
    for number, result in enumerate(cell.results):
        link = ""
        if index < len(histories) and number < len(histories[index]):
            path = histories[index][number]
            link = f'<a href="{html.escape(quote(path))}">History of {html.escape(path.rsplit("/", 1)[-1])}</a>'
        texts = [cell.channel, str(cell.verb), str(number + 1), _verdict(result), " ".join(result.findings) or "none"]
        first, *rest = (html.escape(text) for text in texts)
        cells = "".join(f"<td>{text}</td>" for text in [*rest, link or "not kept"])
        yield f'<tr><th scope="row">{first}</th>{cells}</tr>'


def _verdict(result: Result) -> str:
    return "; ".join([str(result.verdict.state), *result.verdict.reasons])


def _made(comparison: Comparison) -> str:
    facts = dict(comparison.facts)
    machine = facts.pop("machine", {})
    machine = dict(machine) if isinstance(machine, Mapping) else {"machine": machine}
    versions = {"sandbox runs on": machine.pop("python", "?"), **_media(comparison), **machine.pop("packages", {})}
    parts = [
        ("Machine", machine),
        ("Versions", versions),
        ("Workload (the verb changes from run to run)", comparison.workload.to_dict()),
        ("Settings of the channels", _knobs(comparison)),
        ("Floors", _floors(comparison)),
        ("The rest", facts),
    ]
    return "".join(_details(title, values) for title, values in parts if values)


def _media(comparison: Comparison) -> dict[str, Any]:
    return {f"{r.history.channel} ran on": r.history.label for r in comparison.results if r.history.label}


def _knobs(comparison: Comparison) -> dict[str, Any]:
    return {cell.channel: cell.results[0].history.facts.get("knobs", {}) for cell in comparison.cells}


def _floors(comparison: Comparison) -> dict[str, Any]:
    return {
        cell.channel: f"{f.promise}; bare medium: {f.bare_act}" for cell in comparison.cells for f in cell.floors[:1]
    }


def _details(title: str, values: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(str(name))}</th><td>{html.escape(_flat(value))}</td></tr>'
        for name, value in values.items()
    )
    name = html.escape(title)
    table = f"<table><caption>{name}</caption><tbody>{rows}</tbody></table>"
    return f"<details><summary>{name}</summary><div>{table}</div></details>"


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_flat(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_flat(inner) for inner in value) or "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
