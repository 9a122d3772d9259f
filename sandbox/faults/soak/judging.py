"""What a run broke of the channel's own declaration. Never fired, late, failed for sure: that is no breach."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.channel import Channel
from sandbox.exchange.schema import Verb
from sandbox.faults.soak.proof import killed
from sandbox.guarantees import Acceptor, Ask, Delivery, Reads, Tell
from sandbox.harness.checker import Accounts, State, deliveries
from sandbox.harness.history import History, Role
from sandbox.harness.result import Result, lost
from sandbox.harness.words import plural
from sandbox.idempotent import Idempotent


def breaches(history: History, channel: Channel) -> list[str]:
    """In words; empty when all that was promised was held."""
    result = Result(history)
    found = list(history.notes) + [_failed(name, text) for name, text in history.facts.get("failed", {}).items()]
    if result.verdict.state is State.INVALID:
        found += result.verdict.reasons
    for verb, accounts in result.accounts.items():
        promise = history.guarantees.of(verb)
        if isinstance(promise, Tell | Ask):
            found += _deliveries(history, verb, accounts, promise)
    if isinstance(channel, Idempotent):
        found += _effects(history)
    return [*found, *_business(result)]


def _failed(name: str, text: str) -> str:
    """By the first line that says more than where: what stands behind the traceback's last indented one."""
    lines = text.strip().rpartition("Traceback (most recent call last):")[2].splitlines()
    said = next((line for line in lines if line and not line[0].isspace()), "")
    return f"{name} failed: {said or text.strip()}"


def _deliveries(history: History, verb: Verb, accounts: Accounts, promise: Tell | Ask) -> Iterator[str]:
    gone = lost(history, verb)
    told = promise.accepted_by is Acceptor.PEER  # whoever has settled it must have done it, however often it comes
    if gone and (promise.delivery is Delivery.AT_LEAST_ONCE or told):
        yield f"{verb}: {plural(gone, 'operation')} acknowledged and lost ({promise.delivery} is promised)"
    if accounts.duplicated and promise.delivery is Delivery.AT_MOST_ONCE:
        yield f"{verb}: worked again {plural(accounts.duplicated, 'time')} (at most once is promised)"
    if accounts.contradicted:
        yield f"{verb}: {accounts.contradicted} done although their sender was told that they certainly were not"
    if accounts.unexpected:
        yield f"{verb}: {accounts.unexpected} done although nobody had sent them"


def _effects(history: History) -> Iterator[str]:
    """Idempotent: one effect each, but for what a receiver died with: nobody can know how far it was (`idempotent`)."""
    doubtful = {each for dead in killed(history) if dead.sort == Role.RECEIVER for each in dead.in_hand}
    for verb in (Verb.TELL, Verb.ASK):
        for group in history.groups_of(verb) if verb in history.workload.weights else ():
            times = deliveries(history, group)
            again = [row + 1 for row in range(len(times)) if times[row] > 1 and row + 1 not in doubtful]
            if again:
                number = plural(len(again), "operation")
                yield f"{verb}: {number} worked again, e.g. {again[0]}, though nobody died at it"


def _business(result: Result) -> Iterator[str]:
    """What no account shows: done, but otherwise than was meant."""
    for group, bill in result.bills.items():
        if bill.wrong:
            yield f"{group}: {bill.wrong:,} bytes billed wrongly"
    books = result.volumes
    if books and (books.mismatched or books.unfounded or books.denied or books.wrong):
        yield f"answers that the books do not bear out: {books}"
    states = result.states
    if states and not states.right:
        yield f"states read that were never written, or are long gone: {states}"
    if states and states.stale and result.history.guarantees.share.reads is Reads.LATEST:
        yield f"{plural(states.stale, 'read')} without an acknowledged write"
