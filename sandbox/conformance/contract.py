"""Claims about what the contract asks of every channel, whatever it declares."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import msgspec

from sandbox.channel import ASK_GROUP, Backlog, Status, is_final
from sandbox.conformance.claims import DoesNotApply, Proof, applies, check, claim
from sandbox.conformance.stage import QUIET, Stage
from sandbox.conformance.state import read
from sandbox.conformance.traces import traces
from sandbox.exchange.schema import EXCHANGE, Operation, Verb, VolumeState
from sandbox.guarantees import Delivery, Support

TELL, ASK, SHARE = Verb.TELL, Verb.ASK, Verb.SHARE


@claim("contract.outcomes", TELL, ASK, SHARE)
def one_final_outcome(proof: Proof) -> str:
    """Every operation gets exactly one final outcome, and nothing after it."""
    stage = proof.stage()
    if proof.verb is SHARE:
        stage.owner()
    else:
        stage.receiver_of(proof.verb).work()
    sender = stage.sender()
    operations = stage.operations(proof.verb, 10)
    if proof.verb is SHARE:
        operations += [stage.read() for _ in range(10)]
    messages = {operation.id: operation.message for operation in operations}
    sender.begin(operations)
    sender.finals(operations)
    time.sleep(QUIET)
    log = sender.outcomes()
    finals: Counter[int] = Counter()
    after = 0
    for outcome in log:
        after += finals[outcome.operation] > 0
        known = outcome.operation in messages
        finals[outcome.operation] += not known or is_final(EXCHANGE, messages[outcome.operation], outcome.status)
    wrong = [outcome for outcome in log if outcome.status in (Status.FAILED, Status.UNKNOWN)]
    return check(
        finals == Counter(list(messages)) and not after and not wrong,
        sent=f"{len(operations)} operations of {proof.verb}, with everyone there",
        expected="one final outcome each, and nothing after it",
        came=f"{finals.total()} final outcomes of {len(+finals)} operations, {after} after a final one"
        + (f", {wrong[0].status.name}: {wrong[0].reason}" if wrong else ""),
    )


@claim("contract.backlog", TELL, ASK)
def backlog_is_true(proof: Proof) -> str:
    """The backlog is what lies in the channel: waiting, then claimed, then nothing."""
    stage = proof.stage()
    receiver, sender = stage.receiver_of(proof.verb), stage.sender()
    applies(stage.backlog() is not None, "it cannot tell")
    operations = stage.operations(proof.verb, 6)
    sender.begin(operations)
    said = []
    if proof.delivery is Delivery.NONE:
        said.append((0, 0, stage.backlog_when(_lies(0, 0))))
    else:
        said.append((6, 0, stage.backlog_when(_lies(6, 0))))
        keeps = proof.delivery is Delivery.AT_LEAST_ONCE  # else what was taken is over as far as the channel knows
        receiver.take(2)
        said.append((4, 2 * keeps, stage.backlog_when(_lies(4, 2 * keeps))))
        receiver.act("settle")
        receiver.take(4)  # carries out what was settled
        said.append((0, 4 * keeps, stage.backlog_when(_lies(0, 4 * keeps))))
        receiver.settle()
        said.append((0, 0, stage.backlog_when(_lies(0, 0))))
    return check(
        all(backlog is not None and _lies(ready, claimed)(backlog) for ready, claimed, backlog in said),
        sent=f"6 {proof.verb}s; 2 taken; these settled and 4 taken; these settled",
        expected="ready and claimed: " + ", ".join(f"{ready}/{claimed}" for ready, claimed, _ in said),
        came=", ".join(f"{b.ready}/{b.claimed}" if b else "cannot tell" for _, _, b in said),
    )


@claim("max_bytes", TELL, ASK, SHARE)
def takes_up_to_its_limit(proof: Proof) -> str:
    """A body of exactly the limit passes; one byte more raises TooLarge in begin and is never delivered."""
    limit = proof.guarantees.max_bytes
    applies(proof.verb is SHARE or proof.delivery is not Delivery.NONE, "nothing is delivered, whatever its length")
    stage = proof.stage()
    full, over = _of_size(stage, proof.verb, limit), _of_size(stage, proof.verb, limit + 1)
    sender = stage.sender()
    if proof.verb is SHARE:
        stage.owner()
        raised = sender.begin([full, over])
        sender.finals([full])
        outcome = read(stage, sender, until=1)
        whole = outcome is not None and getattr(outcome.answer, "metadata", None) == getattr(full.body, "metadata", "")
        seen = [full.id] if whole else []
    else:
        receiver = stage.receiver_of(proof.verb)
        receiver.work()
        raised = sender.begin([full, over])
        seen = [d.id for d in stage.gather([receiver], [full.id]) if d.operation in (full, over)]
    return check(
        set(raised) == {over.id} and raised[over.id].startswith("TooLarge") and seen == [full.id],
        sent=f"a body of {limit} bytes and one of {limit + 1}",
        expected="the first arrives, the second raises TooLarge",
        came=f"{'the first' if full.id in seen else 'not the first'} arrived, "
        f"{'the second as well' if over.id in seen else 'not the second'}; "
        f"{raised.get(over.id, 'the second raised nothing')}"
        + (f"; the first raised {raised[full.id]}" if full.id in raised else ""),
    )


@claim("contract.site", TELL, ASK, SHARE)
def sites_are_apart(proof: Proof) -> str:
    """Two sites side by side do not see each other's messages."""
    here, there = proof.stage(), proof.stage()
    operations = here.operations(proof.verb, 5)
    if proof.verb is SHARE:
        here.owner()
        there.owner()
        writer = here.sender()
        writer.begin(operations)
        writer.finals(operations)
        outcome = read(there, there.sender())
        leaked = outcome is not None and isinstance(outcome.answer, VolumeState) and outcome.answer.version > 0
    else:
        stranger, _ = there.receiver_of(proof.verb), here.receiver_of(proof.verb)
        here.sender().begin(operations)
        leaked = bool(stranger.take(1, QUIET))
    return check(
        not leaked,
        sent=f"5 operations of {proof.verb} on one site",
        expected="nothing on the other",
        came="something" if leaked else "nothing",
    )


@claim("contract.uninstall", TELL)
def leaves_nothing(proof: Proof) -> str:
    """Uninstall leaves nothing on a shared server, not even of what was never settled."""
    applies(bool(proof.channel.needs), "it uses no shared server; its folder is removed by the session")
    stage = proof.stage()
    ask, share = (proof.guarantees.of(verb).support is not Support.ABSENT for verb in (ASK, SHARE))
    sender, receiver = stage.sender(), stage.receiver()
    operations = [*stage.tells(5), *(stage.asks(5) if ask else []), *([stage.write(1)] if share else [])]
    sender.begin(operations)
    receiver.take(2)
    if ask:
        stage.receiver(ASK_GROUP).take(2)
    before = traces(stage.session, stage.channel.needs, stage.site)
    applies(bool(before), "nothing on the server bears the name of its site, so what is left cannot be told")
    stage.close()
    after = traces(stage.session, stage.channel.needs, stage.site)
    return check(
        not after,
        sent=f"uninstall with unsettled operations in {len(before)} tables, keys or the like",
        expected="nothing left with the name of the site",
        came=", ".join(sorted(after)[:5]) or "nothing",
    )


def _lies(ready: int, claimed: int) -> Callable[[Backlog], bool]:
    """Whether a backlog says so; what a receiver has fetched ahead may count as claimed."""

    def right(backlog: Backlog) -> bool:
        return backlog.ready + backlog.claimed == ready + claimed and backlog.claimed >= claimed

    return right


def _of_size(stage: Stage, verb: Verb, size: int) -> Operation:
    """An operation whose encoded body has exactly `size` bytes."""
    empty = stage.operations(verb, 1)[0]
    room = size - len(EXCHANGE.encode(empty.body))
    wide = max(0, -(-(room - (1 << 20)) // 3))  # as few characters of 4 bytes as keep the text below its longest
    if room < 0 or 4 * wide > room:
        raise DoesNotApply(f"no message of this schema has {size} bytes")
    metadata = "\U0001d11e" * wide + "x" * (room - 4 * wide)
    body = msgspec.structs.replace(empty.body, metadata=metadata)
    assert len(EXCHANGE.encode(body)) == size
    return Operation(empty.id, empty.message, body)
