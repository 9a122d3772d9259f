"""The evidence of one cell: what was planned and really done, what every operation came to, the books, the command."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.charts.report import STYLE
from sandbox.faults.cells import Cell
from sandbox.faults.scenes import IDEMPOTENT
from sandbox.harness.history import History
from sandbox.harness.journal import Event
from sandbox.harness.plan import MESSAGES
from sandbox.harness.result import Result
from sandbox.harness.words import plural, text_table

#: more injections than this are counted
_FEW = 12


@dataclass(frozen=True)
class Evidence:
    """Sections of heading and text; as text or as a page, that one with pictures.

    They are the run's timeline, and the journey of that of its operations which had the most eventful one.
    """

    title: str
    sections: tuple[tuple[str, str], ...]
    history: History | None = None

    def __str__(self) -> str:
        return "\n\n".join(f"--- {heading}\n{text}" for heading, text in self.sections)

    def html(self) -> str:
        """A page by itself; everything from outside is escaped."""
        parts = [f"<h2>{html.escape(name)}</h2><pre>{html.escape(text)}</pre>" for name, text in self.sections]
        if self.history is not None:
            from sandbox.charts.journey import journey
            from sandbox.charts.timeline import timeline

            parts[2:2] = [timeline(self.history).html(), journey(self.history).html()]
        title = html.escape(self.title)
        head = f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{title}</title>'
        body = f"<main><p><a href='../faults.html'>all cells</a></p><h1>{title}</h1>{''.join(parts)}</main>"
        return f'<!DOCTYPE html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>'


def evidence(cell: Cell) -> Evidence:
    """What a cell that was run here or traced has to show; for one that has no run, the reason."""
    if cell.traced is not None:
        seen = (("Answer", cell.traced.sentence), ("Run it again", cell.command), ("What was seen", str(cell.traced)))
        return Evidence(cell.name, seen)
    if cell.history is None:
        return Evidence(cell.name, (("Answer", cell.text), ("Run it", cell.command)))
    result = Result(cell.history)
    sections = (
        ("Answer", "\n".join(_answer(cell))),
        ("Run it again", f"{cell.command}\n{_crash(cell)}"),
        ("What was planned", "\n".join(_planned(cell.history))),
        ("What was really done", "\n".join(_injected(cell.history))),
        ("Accounts, bills and books", str(result)),
        ("What was promised", str(cell.history.guarantees.of(cell.verb))),
        ("Operations that did not go as they should", text_table(*_operations(cell.history))),
        ("What failed, and notes", "\n".join(_troubles(cell.history)) or "nothing"),
    )
    return Evidence(cell.name, sections, cell.history)


def _answer(cell: Cell) -> Iterator[str]:
    yield f"{cell.title}, on {cell.channel}: {cell.text}"
    yield f"Held against its own declaration: {cell.promise}"
    for number, verdict in enumerate(cell.verdicts, start=1):
        yield f"run {number}: {', '.join(verdict.kinds) or 'not all done'}; {verdict.done} of {verdict.intended} done"
        yield f"  work {verdict.worked}; senders served: {verdict.served}"
        if verdict.indefinite:
            yield f"  of {verdict.indefinite} indefinite ones, {verdict.done_anyway} were done"
        yield from (f"  BROKEN: {text}" for text in verdict.broken)


def _crash(cell: Cell) -> str:
    """How it is killed at every place, and not at one: whoever does nothing twice lies around the same channel."""
    named = cell.name.partition("/")[2].removeprefix(IDEMPOTENT)
    return f"python -m sandbox crash {named}    kills {named} at every place where it acts on the outside"


def _planned(history: History) -> Iterator[str]:
    for fault in history.facts.get("faults", ()):
        knobs = ", ".join(f"{name}={value!r}" for name, value in fault["knobs"].items())
        at, until = fault["planned"]
        ends = "" if fault.get("instant") or until is None else f" to {until:.3f} s"
        yield f"{fault['name']}({knobs}) at {at:.3f} s{ends}: {fault['title']}"
        healed = "not by itself" if fault["healed"] is None else f"{fault['healed']:.3f} s"
        opened = "never" if fault["opened"] is None else f"{fault['opened']:.3f} s"
        yield f"  opened {opened}, over {healed}; witnesses: {fault['witnesses']}"
    load = history.workload
    yield f"load: {load.operations} {'+'.join(load.weights)} at {load.rate:g}/s, settled {load.settle} the work"


def _injected(history: History) -> Iterator[str]:
    rows = history.facts.get("injected", ())
    for when, _, what in rows[:_FEW]:
        yield f"{when / 1e9:8.4f} s  {what}"
    if len(rows) > _FEW:
        yield f"... and {plural(len(rows) - _FEW, 'time')} more"


def _operations(history: History) -> tuple[list[str], list[list[str]]]:
    """Those that were not simply accepted and done once, event by event."""
    events: dict[int, list[str]] = {}
    effects = Counter[int]()
    well: set[int] = set()
    for event in history.events:
        kind, operation = Event(event["event"]), int(event["operation"])
        if kind is Event.EFFECT:
            effects[operation] += 1
        if kind in (Event.ACCEPTED, Event.ANSWERED):
            well.add(operation)
        who, what = history.processes[event["process"]].name, kind.name.lower().replace("_", " ")
        events.setdefault(operation, []).append(f"{event['time'] / 1e9:.3f} {who} {what}")
    (verb,) = history.workload.weights
    groups, rows = len(history.groups_of(verb)), []
    for row in history.plan.rows:
        operation = int(row["id"])
        if not (operation in well and effects[operation] == groups):
            rows.append([str(operation), MESSAGES[row["message"]], "; ".join(events.get(operation, ["never sent"]))])
    return ["operation", "message", "what happened, in s after the start"], rows


def _troubles(history: History) -> Iterator[str]:
    for name, text in history.facts.get("failed", {}).items():
        yield f"{name} failed: {(text.strip().splitlines() or [''])[-1][:300]}"
    died = [f"{process.name} died ({process.died})" for process in history.processes if process.died is not None]
    yield from died
    refused = Counter(text[:300] for text in history.facts.get("refused", ()))
    yield from (f"refused {plural(times, 'time')}: {text}" for text, times in refused.most_common(5))
    yield from history.notes
    if history.facts.get("backlog"):
        yield f"left in the channel: {history.facts['backlog']}"
