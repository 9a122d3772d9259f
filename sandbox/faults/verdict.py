"""What became of the business under a fault, whether that was promised, and how long nothing went.

Everything is read from the history: the accounts and the oracles say what was done, never the absence of an error.

Availability: from the fault's opening until the last operation is due, time is cut into bins of `BIN` s. In a bin it
went on when at least half as many operations were done as were offered in such a time; a hiccup of the machine is less.
One that is not, a lone bin when all had gone on for `CALM` bins since the fault or what it did, is not the fault's.

    available all the time     it went on in every bin
    recovered after s          from the opening until the bin from which on it went on
    did not recover            it did not go on in the last two bins: what came later than the load is not known
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor, Ask, Delivery, Tell
from sandbox.harness import checker
from sandbox.harness.history import History, Role
from sandbox.harness.journal import Event
from sandbox.harness.measure import NEVER
from sandbox.harness.plan import MESSAGES_OF, READ
from sandbox.harness.result import Result, lost
from sandbox.harness.words import plural

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BIN, CALM = 0.1, 5
#: what "done" is called of each verb
DONE = {Verb.TELL: "billed", Verb.ASK: "created", Verb.SHARE: "read"}


@dataclass(frozen=True)
class Availability:
    """recovered   False: not within what was observed;  after: s from the fault's opening, 0: it never was away."""

    recovered: bool
    after: float = 0.0

    def __str__(self) -> str:
        if not self.recovered:
            return "did not recover"
        return f"recovered after {self.after:.1f} s" if self.after else "available all the time"


@dataclass(frozen=True)
class Verdict:
    """One run of a cell. Counts are operations, of `twice` times.

    done        with its effect: billed, created (or refused by quota), read
    lost        acknowledged, without any effect, and not set aside by its receiver
    twice       effects beyond the first
    indefinite  whose sender never learned what became of them; done_anyway: of those, done
    refused     whose sender was told that they certainly did not happen
    aside       set aside by their receiver
    stuck       still in the channel, and nobody works on them;  unsent: their sender never came to them
    wrong       bytes billed otherwise than was meant, or entries of the volume service's books
    failed      participants that failed by themselves
    broken      promises that were broken, in words
    worked      availability of the work;  served: of the medium to its senders
    """

    verb: Verb
    intended: int
    done: int
    lost: int
    twice: int
    indefinite: int
    done_anyway: int
    refused: int
    aside: int
    stuck: int
    unsent: int
    wrong: int
    failed: tuple[str, ...]
    broken: tuple[str, ...]
    witnesses: int
    worked: Availability
    served: Availability

    @property
    def counts(self) -> dict[str, int]:
        """Word -> how many, of what is not as it should be."""
        named = {
            "lost": self.lost,
            "twice": self.twice,
            "indefinite": self.indefinite,
            "refused": self.refused,
            "set aside": self.aside,
            "stuck": self.stuck,
            "never sent": self.unsent,
            "billed wrongly": self.wrong,
            "failed": len(self.failed),
        }
        return {word: number for word, number in named.items() if number}

    @property
    def kinds(self) -> tuple[str, ...]:
        """What happened, without numbers: runs with the same are alike."""
        return ((f"all {DONE[self.verb]}",) if self.done >= self.intended else ()) + tuple(self.counts)

    @property
    def fired(self) -> bool:
        """Whether the fault has really touched something."""
        return self.witnesses > 0

    @property
    def kept(self) -> bool:
        """Whether the channel has held what it declares."""
        return not self.broken


def decide(history: History, *, done_once: bool = False) -> Verdict:
    """The verdict on a history with one verb. done_once: it is also promised that nothing has an effect twice."""
    import numpy as np

    (verb,) = history.workload.weights
    mine = np.isin(history.plan.rows["message"], MESSAGES_OF[verb])
    state, effects = checker.outcomes(history)[mine], _effects(history, verb)[mine]
    accounts = checker.account(history, verb)
    aside = int(np.sum(_set_aside(history, verb)[mine] & (effects == 0)))
    gone = lost(history, verb)
    done = effects > 0 if history.groups_of(verb) else state == checker.OK
    wrong = _wrong(Result(history))
    backlog = history.facts.get("backlog") or {}
    drained = not any("drain is unresolved" in note for note in history.notes)
    return Verdict(
        verb=verb,
        intended=accounts.intended,
        done=int(np.sum(done)),
        lost=gone,
        twice=accounts.duplicated or 0,
        indefinite=accounts.info,
        done_anyway=int(np.sum((state == checker.INFO) & done)),
        refused=accounts.fail,
        aside=aside,
        stuck=0 if drained else int(backlog.get("ready", 0)) + int(backlog.get("claimed", 0)),
        unsent=accounts.unattempted,
        wrong=wrong,
        failed=tuple(history.facts.get("failed", {})),
        broken=tuple(_broken(history, verb, gone, wrong, done_once)),
        witnesses=min((each["witnesses"] for each in history.facts.get("faults", ())), default=0),
        worked=availability(history, _ends(history, verb, worked=True)),
        served=availability(history, _ends(history, verb, worked=False)),
    )


def availability(history: History, ends: Array) -> Availability:
    """From when each operation of the plan was done (ns; `NEVER`)."""
    import numpy as np

    opened = [each["opened"] for each in history.facts.get("faults", ()) if each["opened"] is not None]
    due = history.plan.rows["due"] / 1e9
    since, last = min(opened, default=0.0), float(due.max(initial=0.0))
    number = int(round((last - since) / BIN, 6))
    if not opened or number < 1:
        return Availability(True)
    edges = since + BIN * np.arange(number + 1)
    done, _ = np.histogram(ends[ends < NEVER] / 1e9, edges)
    offered = len(due) / last * BIN
    if done[-2:].sum() < offered / 2 * len(done[-2:]):
        return Availability(False)
    away = _absences(np.flatnonzero(done < offered / 2).tolist())
    return Availability(True, BIN * (away[-1] + 1) if away else 0.0)


def _absences(bins: list[int]) -> list[int]:
    """Of the bins in which it did not go on, those that are not lone ones long after all others: see above."""
    found: list[int] = []
    for each in bins:
        calm = each - (found[-1] + 1 if found else 0)
        if calm < CALM or each - 1 in bins or each + 1 in bins:
            found.append(each)
    return found


# --- promises -------------------------------------------------------------------------------------


def _broken(history: History, verb: Verb, lost: int, wrong: int, done_once: bool) -> Iterator[str]:
    promise = history.guarantees.of(verb)
    faults = history.facts.get("faults", ())
    accounts = checker.account(history, verb)
    if not isinstance(promise, Tell | Ask):
        states = Result(history).states
        if states is not None and not states.right:
            yield "states were read that were never written, or were long gone"
        return
    cut = any(each.get("power_cut") for each in faults)
    down = any(each["kind"] == "server" and each.get("instant") for each in faults)
    excused = (cut and promise.accepted_by is not Acceptor.DISK) or (down and not _survives_its_server(promise))
    kept = promise.delivery is Delivery.AT_LEAST_ONCE or promise.accepted_by is Acceptor.PEER
    if lost and kept and not excused and history.workload.settle == "after":
        yield f"{plural(lost, 'operation')} acknowledged (accepted by: {promise.accepted_by}) and lost"
    again = sum(each["witnesses"] for each in faults if each.get("repeats"))
    if (accounts.duplicated or 0) > again and promise.delivery is Delivery.AT_MOST_ONCE:
        yield f"worked again {plural(accounts.duplicated or 0, 'time')}, at most once is promised"
    if done_once and accounts.duplicated:
        yield f"worked again {plural(accounts.duplicated, 'time')} by an idempotent receiver"
    if accounts.contradicted:
        yield f"{accounts.contradicted} done although their sender was told that they certainly were not"
    if accounts.unexpected:
        yield f"{accounts.unexpected} done although nobody had sent them"
    if wrong and not excused:
        yield f"{wrong:,} on the books otherwise than was meant"


def _survives_its_server(promise: Tell | Ask) -> bool:
    """Whether what was accepted is promised to survive a kill of the server, whatever was flushed by then."""
    return promise.accepted_by in (Acceptor.DISK, Acceptor.PEER)


def _wrong(result: Result) -> int:
    wrong = sum(bill.wrong for bill in result.bills.values())
    books = result.volumes
    return wrong + (books.wrong + books.mismatched + books.unfounded + books.denied if books else 0)


# --- per operation --------------------------------------------------------------------------------


def _effects(history: History, verb: Verb) -> Array:
    """Per row of the plan: how often the group that did it least often has done it."""
    import numpy as np

    times = [checker.deliveries(history, group) for group in history.groups_of(verb)]
    return np.min(times, axis=0) if times else np.zeros(len(history.plan.rows), dtype=int)


def _set_aside(history: History, verb: Verb) -> Array:
    import numpy as np

    found = np.zeros(len(history.plan.rows), dtype=bool)
    events = history.of(Event.SET_ASIDE)
    for group in history.groups_of(verb):
        mine = events[np.isin(events["process"], history.indices(Role.RECEIVER, group))]["operation"]
        found[mine[(mine >= 1) & (mine <= len(found))] - 1] = True
    return found


def _ends(history: History, verb: Verb, *, worked: bool) -> Array:
    """When each was done: worked by every group (answered, where there is an answer), or taken from its sender."""
    import numpy as np

    accepted = _first(history, history.of(Event.ACCEPTED, Event.ANSWERED))
    if not worked:
        return accepted
    if verb is Verb.TELL:
        effects = history.of(Event.EFFECT)
        groups = [history.indices(Role.RECEIVER, group) for group in history.groups_of(verb)]
        firsts = [_first(history, effects[np.isin(effects["process"], group)]) for group in groups]
        return np.max(firsts, axis=0) if firsts else accepted
    answered = _first(history, history.of(Event.ANSWERED))
    answer = (verb is Verb.ASK) | (history.plan.rows["message"] == READ)
    return np.where(answer, answered, accepted)


def _first(history: History, events: Array) -> Array:
    """Per row of the plan: time of its first event among these."""
    import numpy as np

    count = len(history.plan.rows)
    known = events[(events["operation"] >= 1) & (events["operation"] <= count)]
    first = np.full(count, NEVER)
    np.minimum.at(first, known["operation"] - 1, known["time"])
    return first
