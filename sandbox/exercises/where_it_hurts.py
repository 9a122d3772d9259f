"""Exercise of notebook 10: mend a channel until its crash map is clean, judged by the map itself.

The answer is killed just before and just after each of its effects (`sandbox.faults.crash`); one reason at a time, with
the line and the effect at which it hurts most.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.channel import Backlog
from sandbox.exchange.schema import Verb
from sandbox.exercises.check import Exercise, Reason
from sandbox.guarantees import Acceptor, Delivery
from sandbox.minimal import Minimal
from sandbox.site import Site

if TYPE_CHECKING:
    from sandbox.faults.crash.result import CrashMap, Point

_BOXES = "tell.*-*"


class Counted(Minimal):
    """Counts the files `<box>-<number>` that come after the bookmark `<box>.done`: so that the map need not wait.

    Whoever gives files other names writes a `backlog` of their own, or returns None: the map takes longer then.
    """

    def backlog(self, site: Site) -> Backlog | None:
        """What is not done yet; a bookmark that cannot be read counts as none."""
        names = [path.name.rpartition("-") for path in site.folder.glob(_BOXES)]
        done = {box: _read(site, box) for box, _, _ in names}
        return Backlog(sum(number.isdigit() and int(number) > done[box] for box, _, number in names), claimed=0)


def _read(site: Site, box: str) -> int:
    try:
        return int((site.folder / f"{box}.done").read_text())
    except (OSError, ValueError):
        return 0


def judge(answer: type[Minimal]) -> Iterator[Reason]:
    """What it promises, whether it works at all, and then the map."""
    from sandbox.faults.crash.mapping import crash_map

    channel = answer()
    if reason := _promises_less(channel):
        yield reason
        return
    found = crash_map(channel, verbs=["tell"], progress=False)
    if reason := _fails_by_itself(found) or _worst(found) or _begins_again(found):
        yield reason
    elif found.missed:
        yield Reason("unknown", f"{len(found.missed)} kills did not come about. Check it again; close what is running.")


def _promises_less(channel: Minimal) -> Reason | None:
    told = channel.guarantees.tell
    if told.delivery is not Delivery.AT_LEAST_ONCE:
        why = f"It declares {told.delivery}: then whatever it loses is as declared. What is asked for is at least once."
        return Reason("promises less", why)
    if told.accepted_by is Acceptor.NOBODY:
        return Reason("promises less", 'It declares that nobody has what it calls "accepted": keep the kernel.')
    return None


def _fails_by_itself(found: CrashMap) -> Reason | None:
    """What goes wrong although nobody is killed: then the map blames the wrong line."""
    harmed = [verdict for verdict in found.unharmed if verdict.broken]
    if not harmed:
        return None
    why = f"Even when nobody is killed, in {len(harmed)} of {len(found.unharmed)} runs: {harmed[0]}."
    return Reason("not by the kill", why)


def _worst(found: CrashMap) -> Reason | None:
    """Lost weighs more than stuck, as nobody sees it; the sender comes before the receiver."""
    if not found.breaks_promise:
        return None
    fate, _, point = min(
        ((_fate(point), not _is_senders(point), point) for point in found.breaks_promise), key=lambda each: each[:2]
    )
    who = "sender" if _is_senders(point) else "receiver"
    why = f"{_where(found, point)}: {point.verdict}.\nPromises are broken at {len(found.breaks_promise)} of "
    return Reason(f"{who} {fate}", f"{why}{len(found.points)} points; this one again: {found.command(point)}")


def _fate(point: Point) -> str:
    """What is stuck has not been done either, so it is lost only where nothing is stuck."""
    from sandbox.faults.crash.judging import Fate

    fates = {finding.fate for finding in point.verdict.broken}
    return "stuck" if Fate.STUCK in fates else "loses" if Fate.LOSES in fates else "repeats"


def _is_senders(point: Point) -> bool:
    return point.kill.who.startswith("sender")


def _where(found: CrashMap, point: Point) -> str:
    spot, when = point.kill.spot, "just after" if point.kill.strike.after else "just before"
    line = next(line for line in found.lines if (line.file, line.number) == spot[:2])
    return f"Killed {when} {spot.act} in line {spot.line}, `{line.text.strip()}`"


def _begins_again(found: CrashMap) -> Reason | None:
    """At least once allows to repeat what was in hand: one a kill. Not what was done and settled long ago."""
    from sandbox.harness.checker import account

    for point in found.points:
        again = account(point.ending.history, Verb.TELL).duplicated or 0
        if again > len(point.ending.struck):
            why = f"{_where(found, point)}: {again} times something is done again, and {len(point.ending.struck)} "
            return Reason("begins again", f"{why}had been in hand. The rest was settled before.")
    return None


exercise = Exercise(
    name="where it hurts",
    question=(
        "Mend Numbered until its crash map is clean: one sender and one receiver may be killed just before or just "
        "after any of their effects, and once more while they recover from it. What was acknowledged is done at least "
        "once; only what was in hand is done again; and afterwards new messages get through."
    ),
    answer="Numbered",
    judge=judge,
    base=Minimal,
)
