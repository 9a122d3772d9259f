"""Claims about acceptance: who has an operation when its sender is told so, and whether a receiver must be up."""

from __future__ import annotations

import time
from collections.abc import Collection

from sandbox.channel import Outcome, Status
from sandbox.conformance.claims import Proof, applies, check, claim
from sandbox.conformance.handles import EndFailed, ReceivingEnd
from sandbox.conformance.stage import QUIET, SHORT, Stage
from sandbox.conformance.state import read_until
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Operation, SetState, Verb
from sandbox.guarantees import Acceptor, Ask, Delivery, Share, Tell

#: s after which a server that flushes once a second has flushed
FLUSHED = 1.2


@claim("{verb}.accepted_by", Verb.TELL, Verb.ASK, Verb.SHARE)
def survives_the_sender(proof: Proof) -> str:
    """What was accepted is not lost when its sender is killed in the same moment."""
    acceptor = proof.declared.accepted_by
    applies(acceptor in (Acceptor.KERNEL, Acceptor.SERVER, Acceptor.DISK), f"declared {acceptor}")
    applies(_delivers(proof), "nothing is delivered")
    stage = proof.stage()
    receiver = stage.owner() if proof.verb is Verb.SHARE else stage.receiver_of(proof.verb)
    operations = stage.operations(proof.verb, 20)
    sender = stage.sender()
    accepted = sender.begin_and_freeze(operations)
    sender.kill()
    _accepts(proof, accepted)
    missing = _missing(stage, receiver, operations, accepted)
    kept = "its death (a kill does not show a power cut)" if acceptor is Acceptor.DISK else "its death"
    return check(
        bool(accepted) and not missing,
        sent=f"20 {_plural(proof)}, {len(accepted)} accepted, then the sender was killed",
        expected=f"each of these survives {kept}",
        came=f"{len(accepted) - missing}",
    )


@claim("{verb}.accepted_by", Verb.TELL, Verb.ASK, Verb.SHARE)
def survives_the_server(proof: Proof) -> str:
    """What was accepted is not lost when the server is killed (and its flush interval was over)."""
    acceptor, needs = proof.declared.accepted_by, proof.channel.needs
    applies(acceptor in (Acceptor.SERVER, Acceptor.DISK), f"declared {acceptor}")
    applies(bool(needs), "there is no server; a power cut, which would tell, is not shown by any kill")
    session = proof.doomed_session()
    servers = [session.server(medium) for medium in needs]
    applies(not any(server.external for server in servers), "the server is yours: it is not killed")
    stage = proof.stage(session=session)
    operations = stage.operations(proof.verb, 20)
    sender = stage.sender()
    accepted = sender.begin_and_freeze(operations)
    _accepts(proof, accepted)
    time.sleep(0 if acceptor is Acceptor.DISK else FLUSHED)
    for server in servers:
        server.kill()
    sender.kill()
    for server in servers:
        server.restart()
    receiver = stage.owner() if proof.verb is Verb.SHARE else stage.receiver_of(proof.verb)
    missing = _missing(stage, receiver, operations, accepted)
    when = "at once" if acceptor is Acceptor.DISK else f"{FLUSHED:g} s later"
    return check(
        bool(accepted) and not missing,
        sent=f"20 {_plural(proof)}, {len(accepted)} accepted; {', '.join(needs)} killed {when} and restarted",
        expected="each of these survives (a kill does not show a power cut)",
        came=f"{len(accepted) - missing}",
    )


@claim("{verb}.accepted_by", Verb.TELL, Verb.ASK, Verb.SHARE)
def accepted_when_settled(proof: Proof) -> str:
    """It is not accepted before its receiver has settled it."""
    acceptor = proof.declared.accepted_by
    applies(acceptor is Acceptor.PEER, f"declared {acceptor}")
    applies(_delivers(proof), "nothing is delivered")
    stage = proof.stage()
    receiver, sender = stage.receiver_of(proof.verb), stage.sender()
    operations = stage.operations(proof.verb, 1)
    sender.begin(operations)
    taken = receiver.take(1)
    before = sender.finals(operations, QUIET)
    early = sender.accepted() or set(before)
    receiver.settle()
    asked = proof.verb is Verb.ASK  # its final outcome is the answer, of which nothing is said here
    after = "accepted" if asked else _words(list(sender.finals(operations).values()))
    return check(
        len(taken) == 1 and not early and after == "accepted",
        sent=f"1 {_plural(proof)[:-1]}, taken, and settled later",
        expected="no acceptance before it was settled, and accepted after",
        came=f"{'accepted' if early else 'nothing'} before, {after} after",
    )


@claim("{verb}.receiver_may_be_away", Verb.TELL, Verb.ASK)
def waits_for_a_receiver(proof: Proof) -> str:
    """What is sent while no receiver runs is delivered when one comes."""
    assert isinstance(proof.declared, Tell | Ask)
    applies(proof.declared.receiver_may_be_away and _delivers(proof), "declared: the receiver must be there")
    stage = proof.stage()
    sender = stage.sender()
    operations = stage.operations(proof.verb, 5)
    ids = {operation.id for operation in operations}
    sender.begin(operations)
    if proof.verb is Verb.TELL:
        sender.finals(operations)
    away = sender.accepted()
    receiver = stage.receiver_of(proof.verb)
    receiver.work()
    seen = {delivery.id for delivery in stage.gather([receiver], ids)}
    answered = {i for i, o in sender.finals(operations).items() if o.status is Status.ANSWERED}
    right = away == ids if proof.verb is Verb.TELL else answered == ids
    return check(
        seen == ids and right,
        sent=f"5 {proof.verb}s while no receiver ran; then one came",
        expected="5 accepted while it was away, 5 delivered" if proof.verb is Verb.TELL else "5 delivered, 5 answered",
        came=f"{len(away)} accepted, {len(seen)} delivered" + (f", {len(answered)} answered" if answered else ""),
    )


@claim("{verb}.receiver_may_be_away", Verb.TELL, Verb.ASK)
def says_so_without_a_receiver(proof: Proof) -> str:
    """What is sent while no receiver runs is reported failed or unknown, in time."""
    assert isinstance(proof.declared, Tell | Ask)
    applies(not proof.declared.receiver_may_be_away, "declared: the receiver may be away")
    applies(_delivers(proof), "nothing is delivered, so nobody can be away")
    stage = proof.stage(timeout=SHORT)
    sender = stage.sender()
    operations = stage.operations(proof.verb, 5)
    sender.begin(operations)
    told = list(sender.finals(operations).values())
    return check(
        len(told) == 5 and all(outcome.status in (Status.FAILED, Status.UNKNOWN) for outcome in told),
        sent=f"5 {proof.verb}s while no receiver ran",
        expected="5 failed or unknown",
        came=f"{len(told)} outcomes: {_words(told)}",
    )


@claim("contract.begin", Verb.TELL, Verb.ASK, Verb.SHARE)
def begin_does_not_wait(proof: Proof) -> str:
    """begin never waits for an outcome: it returns 200 times although nobody receives."""
    applies(proof.verb is not Verb.SHARE or _needs_owner(proof), "it needs no owner: nobody to wait for")
    stage = proof.stage()
    operations = stage.operations(proof.verb, 200)
    try:
        raised = stage.sender().begin(operations)
    except EndFailed as error:
        raised = {0: str(error)}
    return check(
        not raised,
        sent=f"200 {_plural(proof)} with no receiver",
        expected="200 returns",
        came=next(iter(raised.values()), "200 returns"),
    )


def _needs_owner(proof: Proof) -> bool:
    return isinstance(proof.declared, Share) and proof.declared.needs_owner


def _delivers(proof: Proof) -> bool:
    return isinstance(proof.declared, Share) or proof.delivery is not Delivery.NONE


def _accepts(proof: Proof, accepted: Collection[int]) -> None:
    applies(bool(accepted) or proof.verb is not Verb.ASK, "it reports nothing of an ask before its answer")


def _missing(
    stage: Stage, receiver: ReceivingEnd | None, operations: list[Operation], accepted: Collection[int]
) -> int:
    """How many of the accepted operations are not there: not delivered, or not to be read."""
    versions = [o.body.version for o in operations if isinstance(o.body, SetState) and o.id in accepted]
    if versions:
        last = read_until(stage, stage.sender(), max(versions))
        return sum(version > last for version in versions)
    if receiver is None:
        raise BadArgument("verb", expected="tell or ask, which have receivers", got="share")
    receiver.work()
    return len(set(accepted) - {delivery.id for delivery in stage.gather([receiver], accepted, 0)})


def _words(outcomes: list[Outcome]) -> str:
    return ", ".join(sorted({outcome.status.name.lower() for outcome in outcomes})) or "none"


def _plural(proof: Proof) -> str:
    return "writes" if proof.verb is Verb.SHARE else f"{proof.verb}s"
