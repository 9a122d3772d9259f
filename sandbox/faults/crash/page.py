"""A crash map as text and as HTML: the source, each line painted by what happens where it is killed.

Each line has a word for those who were killed just before its effect and one for those just after: lower case where
the channel's declaration allows it, upper case where it breaks a promise. The colour is that of the worst. An arrow
marks a line that has no effect itself, but calls what has.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Sequence

from sandbox.faults.crash.judging import Fate
from sandbox.faults.crash.result import CrashMap, Line, Point
from sandbox.faults.crash.source import line_of, surroundings
from sandbox.harness.words import html_table, plural

#: worst first: the colour of a line with several fates
_WORST = (Fate.LOSES, Fate.STUCK, Fate.REPEATS, Fate.SAFE)
_PAPER = {Fate.SAFE: "#d8efe5", Fate.REPEATS: "#fbe6c2", Fate.LOSES: "#f6c9b4", Fate.STUCK: "#ead0e0"}
_INK, _QUIET = "#1a1a1a", "#595959"
_WIDTH = 110
#: points that are listed in a terminal
_LISTED = 12
_COLUMNS = ("killed", "at", "effect", "what became of it", "once more")


def summary(found: CrashMap) -> list[str]:
    """The map in a few sentences."""
    count = Counter(fate for point in found.points for fate in point.verdict.fates)
    parts = ", ".join(f"{fate} {count[fate]}" for fate in Fate if count[fate])
    spots = len({(point.kill.who, point.kill.spot) for point in found.points})
    lines = [
        f"{found.title}: {plural(len(found.points), 'kill')} just before and after {plural(spots, 'effect')}. {parts}."
    ]
    if not found.points:
        lines = [f"{found.title}: it has no outside effect that could be seen."]
    if not found.points and all(Fate.STUCK in verdict.fates for verdict in found.unharmed):
        return [f"{found.title}: it does not work, so nobody was killed. {found.unharmed[0]}."]
    broken = len(found.breaks_promise)
    lines.append(f"{plural(broken, 'kill')} broke what it promises." if broken else "Nothing breaks what it promises.")
    harmed = [verdict for verdict in found.unharmed if verdict.findings]
    if harmed:
        often = f"in {len(harmed)} of {plural(len(found.unharmed), 'run')}"
        lines.append(f"Even when nobody is killed, {often}: {harmed[0]}. So not all below is the kill's doing.")
    if found.missed:
        lines.append(f"Unknown: {plural(len(found.missed), 'kill')} did not come about, such as {found.missed[0].id}.")
    return lines


def words(line: Line) -> tuple[str, str]:
    """What happens to who is killed just before the effects of a line, and just after them."""
    before, after = ([p for p in line.points if p.kill.strike.after is side] for side in (False, True))
    return _word(before), _word(after)


def _word(points: Sequence[Point]) -> str:
    fates = {fate for point in points for fate in point.verdict.fates}
    broken = {finding.fate for point in points for finding in point.verdict.broken}
    hurt = [fate.upper() if fate in broken else str(fate) for fate in _WORST[:-1] if fate in fates]
    return ", ".join(hurt) or ("safe" if points else "-")


def what(line: Line) -> str:
    """Everything that happened at a line, each once."""
    texts = dict.fromkeys(str(point.verdict) for point in line.points if point.verdict.findings)
    return "; or ".join(texts)


# --- text ------------------------------------------------------------------------------------------


def as_text(found: CrashMap) -> str:
    """For a terminal: the lines that have effects, and the kills that break a promise."""
    parts = [*summary(found)]
    for name in dict.fromkeys(line.name for line in found.lines):
        lines = [line for line in found.lines if line.name == name]
        parts += ["", name, *_text_of(lines)]
    broken = found.breaks_promise
    if broken:
        parts += ["", "What breaks a promise, and how to see it again:"]
        for point in broken[:_LISTED]:
            parts += [f"  {point.kill.id}: {point.verdict}", f"      {found.command(point)}"]
        if len(broken) > _LISTED:
            parts.append(f"  and {len(broken) - _LISTED} more; to_frame() has all of them")
    return "\n".join(parts)


def _text_of(lines: Sequence[Line]) -> Iterator[str]:
    shown = 0
    pairs = [words(line) for line in lines]
    wide = [max(6, *(len(pair[side]) for pair in pairs)) for side in (0, 1)]
    yield f"  {'before':{wide[0]}}  {'after':{wide[1]}}"
    for line, (before, after) in zip(lines, pairs, strict=True):
        first, _ = surroundings(line.file, line.number)
        if first > shown and first < line.number:
            yield f"  {'':{wide[0]}}  {'':{wide[1]}}  {first:4d}  {line_of(line.file, first)}"[:_WIDTH]
        shown = line.number
        yield f"  {before:{wide[0]}}  {after:{wide[1]}}  {line.number:4d}  {line.text}"[:_WIDTH]


# --- HTML ------------------------------------------------------------------------------------------


def as_html(found: CrashMap) -> str:
    """For a notebook: every function that has, or leads to, an effect, and a table of all that is not safe."""
    head = "".join(f"<p style='margin:.2em 0'>{html.escape(sentence)}</p>" for sentence in summary(found))
    painted: dict[str, dict[int, tuple[Line, bool]]] = {}
    for lines, own in ((found.leading, False), (found.lines, True)):
        for line in lines:
            painted.setdefault(line.file, {})[line.number] = (line, own)
    files = sorted(painted, key=found.names.of)
    sources = "".join(_html_of(found.names.of(file), file, painted[file]) for file in files)
    hurt = [point for point in found.points if point.verdict.findings]
    rows = [_row(found, point) for point in hurt]
    table = html_table(_COLUMNS, rows) if rows else ""
    more = f"<details><summary>{plural(len(rows), 'kill')} that hurt</summary>{table}</details>" if rows else ""
    return f"<div style='color:{_INK};background:white;padding:.5em'>{head}{_legend()}{sources}{more}</div>"


def as_page(found: CrashMap) -> str:
    """A page of its own."""
    title = html.escape(f"Crash map of {found.title}")
    style = "body{font-family:sans-serif;margin:1em} table{border-collapse:collapse} td,th{padding:.2em .6em}"
    head = f"<meta charset='utf-8'><title>{title}</title><style>{style}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body><h1>{title}</h1>{as_html(found)}</body></html>\n"


def _legend() -> str:
    marks = "".join(
        f"<span style='background:{_PAPER[fate]};padding:0 .5em;margin-right:.5em'>{fate}</span>" for fate in Fate
    )
    text = "killed just before | just after the effect; CAPITALS: breaks a promise; &rarr; leads to an effect elsewhere"
    return f"<p style='margin:.4em 0'>{marks} {text}</p>"


def _html_of(name: str, file: str, painted: dict[int, tuple[Line, bool]]) -> str:
    shown = sorted({number for at in painted for number in _range(surroundings(file, at))})
    rows: list[str] = []
    before = shown[0] - 1
    for number in shown:
        if number != before + 1:
            rows.append("<div style='color:#595959'>&#8942;</div>")
        rows.append(_html_line(number, line_of(file, number), painted.get(number)))
        before = number
    style = "font:12px/1.45 monospace;white-space:pre;overflow-x:auto;border:1px solid #c8c8c8;padding:.4em"
    return f"<h4 style='margin:.8em 0 .2em'>{html.escape(name)}</h4><div style='{style}'>{''.join(rows)}</div>"


def _range(span: tuple[int, int]) -> range:
    return range(span[0], span[1] + 1)


def _html_line(number: int, text: str, painted: tuple[Line, bool] | None) -> str:
    labels, paper, hint = ["", ""], "", ""
    if painted is not None:
        line, own = painted
        labels = list(words(line)) if own else [f"\u2192 {_word(line.points)}", ""]
        colour = _PAPER[next(fate for fate in _WORST if fate in line.fates)]
        paper = (
            f"background:{colour};" if own else f"box-shadow:inset 4px 0 {colour};padding-left:6px;margin-left:-6px;"
        )
        told = [", ".join(line.effects), plural(len(line.points), "kill"), what(line)]
        hint = html.escape(" - ".join(part for part in told if part), quote=True)
    cell = f"<span style='display:inline-block;width:12em;color:{_INK}'>"
    gutter = "".join(f"{cell}{html.escape(label)}</span>" for label in labels)
    where = f"<span style='color:{_QUIET}'>{number:4d}</span>"
    return f'<div style="{paper}" title="{hint}">{gutter}{where}  {html.escape(text)}</div>'


def _row(found: CrashMap, point: Point) -> list[str]:
    kill, spot = point.kill, point.kill.spot
    when = "after" if kill.strike.after else "before"
    twice = ", and its successor there too" if kill.again else ""
    who = f"{kill.who}{' (in recovery)' if kill.successor else ''}"
    at = f"{found.names.of(spot.file)}:{spot.line}"
    return [who, at, f"just {when} the {kill.which} {spot.act}{twice}", str(point.verdict), found.command(point)]
