"""What became of a trial: the oracles' word on it, and whether the channel's own declaration allows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sandbox.channel import Backlog
from sandbox.exchange import oracles
from sandbox.exchange.schema import Verb
from sandbox.faults.crash.load import SENDER
from sandbox.faults.crash.trial import Ending
from sandbox.guarantees import Acceptor, Delivery, Guarantees, Reads
from sandbox.harness.checker import OK, account, outcomes
from sandbox.harness.history import History
from sandbox.harness.plan import MESSAGES_OF
from sandbox.harness.words import plural


class Fate(StrEnum):
    """What happens to the operations of a channel that is killed at a point."""

    SAFE = "safe"
    LOSES = "loses"  #: something acknowledged has had no effect, or another than was meant
    REPEATS = "repeats"  #: something was done more than once
    STUCK = "gets stuck"  #: something is neither done nor failed nor lost, or the channel does not work any more


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be; `declared`: the channel's guarantees allow it."""

    fate: Fate
    text: str
    declared: bool = False


@dataclass(frozen=True)
class Verdict:
    """All findings of a trial; none: safe."""

    findings: tuple[Finding, ...] = ()

    @property
    def fates(self) -> tuple[Fate, ...]:
        """In the order of `Fate`, each once."""
        found = {finding.fate for finding in self.findings}
        return tuple(fate for fate in Fate if fate in found) or (Fate.SAFE,)

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Those that the channel's declaration does not allow."""
        return tuple(finding for finding in self.findings if not finding.declared)

    def __str__(self) -> str:
        if not self.findings:
            return "safe"
        return "; ".join(f"{each.text}{' (as declared)' if each.declared else ''}" for each in self.findings)


def judge(ending: Ending) -> Verdict:
    """The verdict on a trial."""
    history = ending.history
    lying = _lying(ending.backlog)
    findings: list[Finding] = []
    for verb in history.workload.weights:
        if verb is Verb.SHARE:
            findings += _states(history)
        else:
            findings += _operations(history, verb, lying)
            lying = max(0, lying - (account(history, verb).lost or 0))
    return Verdict((*findings, *_business(history), *_stuck(ending)))


def _lying(backlog: Backlog | None) -> int:
    """How many are not lost, since they still lie in the channel."""
    return backlog.ready + backlog.claimed if backlog is not None else 0


def _operations(history: History, verb: Verb, lying: int) -> Iterator[Finding]:
    accounts = account(history, verb)
    lost, twice = max(0, (accounts.lost or 0) - lying), accounts.duplicated or 0
    promised = _delivery(history.guarantees, verb)
    if lost:
        told = f"{plural(lost, f'acknowledged {verb}')} of {accounts.acknowledged} without any effect"
        yield Finding(Fate.LOSES, told, declared=_may_lose(history.guarantees, verb))
    if twice:
        told = f"a {verb} is done again" if twice == 1 else f"{verb}s are done again, {twice} times in all"
        yield Finding(Fate.REPEATS, told, declared=promised is Delivery.AT_LEAST_ONCE)


def _delivery(guarantees: Guarantees, verb: Verb) -> Delivery:
    return (guarantees.ask if verb is Verb.ASK else guarantees.tell).delivery


def _may_lose(guarantees: Guarantees, verb: Verb) -> bool:
    """At most once is no licence to lose what the receiver itself has acknowledged, only what others have."""
    acceptor = guarantees.of(verb).accepted_by
    return _delivery(guarantees, verb) is not Delivery.AT_LEAST_ONCE and acceptor is not Acceptor.PEER


def _states(history: History) -> Iterator[Finding]:
    states = oracles.states(history)
    if states.impossible or states.mismatched or states.backwards:
        wrong = states.impossible + states.mismatched + states.backwards
        yield Finding(Fate.LOSES, f"{plural(wrong, 'read')} of a state that was never written, or is long gone")
    if states.stale:
        told = f"{plural(states.stale, 'read')} without an acknowledged write"
        yield Finding(Fate.LOSES, told, declared=history.guarantees.share.reads is not Reads.LATEST)


def _business(history: History) -> Iterator[Finding]:
    """What no account shows: done, but otherwise than was meant."""
    wrong = sum(oracles.bill(history, group).wrong > 0 for group in history.groups_of(Verb.TELL))
    if wrong:
        yield Finding(Fate.LOSES, "a download is billed with another amount, or to another project")
    books = oracles.volumes(history)
    if false := books.mismatched + books.unfounded + books.denied + books.wrong:
        yield Finding(Fate.LOSES, f"{plural(false, 'answer')} that the books do not bear out")


def _stuck(ending: Ending) -> Iterator[Finding]:
    backlog, history = ending.backlog, ending.history
    if backlog is not None and backlog.ready + backlog.claimed:
        left = plural(backlog.ready + backlog.claimed, "operation")
        yield Finding(Fate.STUCK, f"{left} in the channel, and nobody gets them")
    for text in ending.complaints:
        yield Finding(Fate.STUCK, text)
    if not ending.struck:  # else it may fail, if only it goes on after that
        for name, reason in ending.failures.items():
            yield Finding(Fate.STUCK, f"{name} fails by itself: {reason}")
    if unanswered := _unanswered_probes(history):
        yield Finding(Fate.STUCK, f"afterwards, no new {' or '.join(unanswered)} gets through")


def _unanswered_probes(history: History) -> list[str]:
    """Verbs of which no probe, after all has ended and begun again, was even accepted, or answered."""
    state, rows = outcomes(history), history.plan.rows
    probes = rows["sender"] != history.plan.senders.index(SENDER)
    found = []
    for verb in history.workload.weights:
        mine = [row for row in range(len(rows)) if probes[row] and rows["message"][row] in MESSAGES_OF[verb]]
        if not any(state[row] == OK for row in mine):
            found.append(str(verb))
    return found
