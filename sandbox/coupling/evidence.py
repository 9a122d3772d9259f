"""The evidence of one cell: what was meant, sent and billed, operation by operation; both versions in full."""

from __future__ import annotations

import html
import inspect
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, to_builtins

from sandbox.coupling.cells import Cell, in_business_terms
from sandbox.coupling.change import Order
from sandbox.coupling.edits import Version, versions
from sandbox.coupling.rollout import releases
from sandbox.coupling.trial import Trial
from sandbox.coupling.verdict import Answer, newest_accepted
from sandbox.exchange.schema import Verb
from sandbox.harness.history import History, Process, Role
from sandbox.harness.journal import REFUSALS, Event
from sandbox.harness.plan import MESSAGES, READ, STATES, WRITE, operations
from sandbox.harness.words import plural, text_table

#: free texts from this length on are filling, and not shown
FILLING = 36
#: different refusals that are shown
FEW = 20
UNITS = {Verb.TELL: "bytes", Verb.ASK: "GB", Verb.SHARE: "version"}
IN_WORDS = {
    Answer.WORKS: "Works: everything is as it was meant.",
    Answer.DELAYED: "Delayed: everything is as it was meant, but only once the other side was renewed or came back.",
    Answer.LOUD: "Fails loudly: something did not happen, and for each such operation somebody was told.",
    Answer.SILENT: "Silently wrong: the books are wrong, and nobody was told.",
}
ORDERS = {
    Order.SENDER_FIRST: "The sender is new, the receiver old; it is renewed when the sender is done.",
    Order.RECEIVER_FIRST: "The receiver is new, the sender old.",
    Order.BACKLOG: "The old sender has written all before the new receiver comes.",
}


@dataclass(frozen=True)
class Evidence:
    """Headings and texts; print it, or write it as a page."""

    name: str
    sections: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "\n\n".join(f"{heading}\n{'-' * len(heading)}\n{text}" for heading, text in self.sections)

    def html(self) -> str:
        """A page that needs nothing from outside; everything is escaped."""
        parts = "".join(f"<h2>{html.escape(h)}</h2><pre>{html.escape(text)}</pre>" for h, text in self.sections)
        title = html.escape(self.name)
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        style = "<style>:root{color-scheme:light dark}body{font:1rem system-ui;margin:1rem}pre{overflow-x:auto}</style>"
        back = '<p><a href="../coupling.html">All cells</a></p>'
        body = f"<h1>{title}</h1>{back}{parts}"
        return f'<!DOCTYPE html><html lang="en"><head>{head}{style}</head><body>{body}</body></html>'


def evidence(cell: Cell) -> Evidence:
    """What a cell that was run here has to show; for one that has no trial, the reason."""
    trial = cell.trial
    if trial is None or trial.history is None or trial.verdict is None:
        return Evidence(cell.name, (("Answer", cell.text), ("Run it", cell.command)))
    history = trial.history
    sections = [
        (
            "What was changed",
            f"{trial.change.title}: {trial.change.__doc__ or ''}\n{ORDERS[trial.order]}{_practice(trial)}",
        ),
        ("Answer", _answer(cell, trial)),
        ("Run it again", cell.command),
        ("Operation by operation", text_table(*_operations(trial, history))),
        ("The books", text_table(*_books(trial, history))),
        ("What was refused, set aside, or failed", _troubles(history)),
        *_both_versions(trial),
        ("The medium was changed by", "\n".join(history.facts.get("migrated", ())) or "nothing"),
        ("Edited, in lines", str(cell.edits)),
        ("The change itself", _source(trial)),
    ]
    return Evidence(cell.name, tuple(sections))


def _practice(trial: Trial) -> str:
    if not trial.practised:
        return ""
    more = "" if trial.style != "rpc" else " Callers who are refused for their version call again in the old one."
    return f"\nWith the best practice: {trial.change.advice or 'both versions are spoken and understood'}.{more}"


def _answer(cell: Cell, trial: Trial) -> str:
    verdict = trial.verdict
    assert verdict is not None
    lines = [IN_WORDS[verdict.answer], f"{in_business_terms(cell)}."]
    who = " and ".join(f"the {name} ({number} times)" for name, number in verdict.noticed_by.items())
    after = "" if verdict.after is None else f", the first time after {verdict.after * 1e3:.3g} ms"
    lines.append(f"Noticed by {who}{after}." if who else "Noticed by nobody.")
    if verdict.late:
        lines.append(f"{verdict.late} done only by receivers that came later.")
    if verdict.unnoticed:
        lines.append(f"{verdict.unnoticed} wrong or missing without anybody having been told.")
    return "\n".join(lines)


# --- operation by operation ----------------------------------------------------------------------


def _operations(trial: Trial, history: History) -> tuple[list[str], list[list[str]]]:
    said, told, books = _said(trial, history), _told(history), _effects(history)
    untaken = (READ,) if history.guarantees.share.needs_owner else (READ, WRITE)  # no receiver has to do with them
    rows = []
    for row in history.plan.rows:
        identity = int(row["id"])
        told_it = "; ".join(told.get(identity, ["nothing"]))
        rows.append([str(identity), _meant(row), "; ".join(said.get(identity, ["nothing"])), told_it, ""])
        rows[-1][-1] = "; ".join(books.get(identity, ["-" if row["message"] in untaken else "nothing"]))
    return ["operation", "expected", "sent", "sender was told", "received: on the books"], rows


def _meant(row: Any) -> str:
    message = MESSAGES[row["message"]]
    if row["message"] == READ:
        return f"{message}: volume {row['subject']}"
    if row["message"] == WRITE:
        return f"{message}: volume {row['subject']} is {STATES[row['state']]}, version {row['value']}"
    return f"{message}: project {row['project']}, {int(row['value']):,}"


def _said(trial: Trial, history: History) -> dict[int, list[str]]:
    """Operation -> the messages as the sender's release says them, as JSON whatever the medium makes of it."""
    change = trial.change(trial.order, trial.practised)
    old, new = releases(change)
    found: dict[int, list[str]] = {}
    for index, name in enumerate(history.plan.senders):
        release = new if change.is_new(Process(name, Role.SENDER)) else old
        meant = list(operations(history.plan.of_sender(index)))
        try:
            said = release.speaking(meant)[1]
        except Exception as error:  # a speaker of one's own that fails is a finding, and its cell says so
            found |= {operation.id: [f"cannot be said: {type(error).__name__}: {error}"] for operation in meant}
            continue
        for operation in said:
            found.setdefault(operation.id, []).append(f"{operation.message} {shown(operation.body)}")
    return found


def shown(body: Struct) -> str:
    """A body as JSON, without its filling."""
    fields = {
        name: f"({len(value)} characters)" if isinstance(value, str) and len(value) > FILLING else value
        for name, value in to_builtins(body).items()
    }
    return json.dumps(fields)


def _told(history: History) -> dict[int, list[str]]:
    kinds = {number: name for name, number in REFUSALS.items()}
    found: dict[int, list[str]] = {}
    for event in history.of(Event.ACCEPTED, Event.ANSWERED, Event.FAILED, Event.UNKNOWN):
        kind = Event(event["event"])
        text = kind.name.lower()
        if kind is Event.ANSWERED:
            status = int(event["status"])
            text += f" {int(event['value'])}" if not status else f" {kinds.get(status, 'with what belongs to another')}"
            text += f" ({STATES[event['detail']]})" if _is_read(history, event) and not status else ""
        found.setdefault(int(event["operation"]), []).append(text)
    return found


def _is_read(history: History, event: Any) -> bool:
    return bool(history.plan.rows["message"][int(event["operation"]) - 1] == READ)


def _effects(history: History) -> dict[int, list[str]]:
    late = set(history.facts.get("late", ()))
    found: dict[int, list[str]] = {}
    for event in history.of(Event.EFFECT):
        name = history.processes[event["process"]].name
        text = f"{name}{' (late)' if name in late else ''}: {int(event['detail'])}, {int(event['value']):,}"
        found.setdefault(int(event["operation"]), []).append(text)
    return found


# --- the books ------------------------------------------------------------------------------------


def _books(trial: Trial, history: History) -> tuple[list[str], list[list[str]]]:
    """Per project what was meant and what each group has; of shared state what was to be read, and what was."""
    verb = trial.change.verb
    if verb is Verb.SHARE:
        return ["volume", "expected version", "state", "reader", "saw version", "state"], list(_reads(history))
    sums = _sums(trial, history)
    meant: dict[int, int] = {}
    for row in history.plan.rows:
        meant[int(row["project"])] = meant.get(int(row["project"]), 0) + int(row["value"])
    groups = list(sums)
    everyone = sorted(set(meant).union(*sums.values()))
    rows = [
        [str(project), f"{meant.get(project, 0):,}", *(f"{sums[group].get(project, 0):,}" for group in groups)]
        for project in everyone
    ]
    unit = UNITS[verb]
    return ["project", f"{unit} meant", *(f"{unit} on the books of {group}" for group in groups)], rows


def _sums(trial: Trial, history: History) -> dict[str, dict[int, int]]:
    """Whose account an effect stands on is for the change to say, as it is in the verdict."""
    account = trial.change(trial.order, trial.practised).group_of
    groups = {account(process) for process in history.processes if process.role is Role.RECEIVER}
    found: dict[str, dict[int, int]] = {group: {} for group in sorted(groups)}
    for event in history.of(Event.EFFECT):
        mine = found[account(history.processes[event["process"]])]
        mine[int(event["detail"])] = mine.get(int(event["detail"]), 0) + int(event["value"])
    return found


def _reads(history: History) -> Iterator[list[str]]:
    newest = newest_accepted(history)
    for event in history.of(Event.ANSWERED):
        volume = int(history.plan.rows["subject"][int(event["operation"]) - 1])
        version, number = newest.get(volume, (0, 0))
        expected = [str(version), STATES[number] if version else "nothing"]
        name = history.processes[event["process"]].name
        state = STATES[event["detail"]] if not event["status"] else "nothing"
        yield [str(volume), *expected, name, str(int(event["value"])), state]


def _troubles(history: History) -> str:
    counted = Counter(text[:300] for text in history.facts.get("refused", ()))
    refused = [f"refused {plural(times, 'time')}: {text}" for text, times in counted.items()]
    aside = len(history.of(Event.SET_ASIDE))
    lines = refused[:FEW] + ([f"... and {len(refused) - FEW} more"] if len(refused) > FEW else [])
    lines += [f"set aside: {aside}"] if aside else []
    for name, text in history.facts.get("failed", {}).items():
        lines.append(f"{name} failed: {(text.strip().splitlines() or [''])[-1][:300]}")
    return "\n".join([*lines, *history.notes]) or "nothing"


# --- both versions ----------------------------------------------------------------------------------


def _both_versions(trial: Trial) -> Iterator[tuple[str, str]]:
    for party, version in zip(("sender", "receiver"), versions(trial.change, trial.practised), strict=True):
        yield from _version(party, version)


def _version(party: str, version: Version) -> Iterator[tuple[str, str]]:
    if version.before == version.after:
        yield f"The {party}, before and after", f"{version.before}\n\nNothing of this was edited."
        return
    yield f"The {party} before", version.before
    yield f"The {party} after", version.after
    yield f"The {party}: difference, {version.lines}", version.diff


def _source(trial: Trial) -> str:
    """Its class; all of its file where it changes neither messages nor what is said and heard."""
    edited = any(version.before != version.after for version in versions(trial.change, trial.practised))
    whole = None if edited else inspect.getmodule(trial.change)
    try:
        return inspect.getsource(whole or trial.change)
    except (OSError, TypeError):
        return "its source cannot be had"
