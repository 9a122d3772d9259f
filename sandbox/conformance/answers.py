"""Claims about asking: every answer belongs to its question, and arrives as what it is."""

from __future__ import annotations

import time

from sandbox.channel import Outcome, Status
from sandbox.conformance.claims import Proof, applies, check, claim
from sandbox.conformance.delivery import AWKWARD
from sandbox.conformance.ends import volume_created
from sandbox.conformance.stage import QUIET, SHORT
from sandbox.errors import NoSuchVolume, OverQuota, Refusal, RemoteError
from sandbox.exchange.schema import CreateVolume, Operation, Verb
from sandbox.guarantees import Delivery

ASK = Verb.ASK


class Surprise(Refusal):
    """A kind of refusal that is not allowed to travel."""


@claim("ask.support", ASK)
def answers_belong_to_questions(proof: Proof) -> str:
    """Of many asks in flight that are answered out of order, each gets its own answer."""
    stage = proof.stage()
    receiver, sender = stage.receiver_of(ASK), stage.sender()
    operations = [*stage.asks(10), *stage.asks(10, AWKWARD)]
    sender.begin(operations)
    taken = receiver.take(20)
    for delivery in reversed(taken):
        body = delivery.operation.body
        assert isinstance(body, CreateVolume)
        receiver.act("reply", [delivery.id], volume_created(body))
    receiver.settle()
    told = sender.finals(operations)
    wrong = [o.id for o in operations if not _is_own(o, told.get(o.id))]
    return check(
        [d.operation for d in sorted(taken, key=lambda d: d.id)] == operations and not wrong,
        sent="20 asks, half of them with awkward text; all taken, then answered in reverse",
        expected="20 answers, each to its own question",
        came=f"{len(told)} answers, {len(wrong)} wrong or missing",
    )


@claim("ask.support", ASK)
def refusals_keep_their_kind(proof: Proof) -> str:
    """A refusal arrives as what it is, and one of a kind that may not travel as RemoteError."""
    stage = proof.stage()
    receiver, sender = stage.receiver_of(ASK), stage.sender()
    refusals = [OverQuota("over by 1 GB"), NoSuchVolume("no 404"), RemoteError("it broke"), Surprise("who knew")]
    operations = stage.asks(len(refusals))
    sender.begin(operations)
    receiver.take(len(refusals))
    for operation, refused in zip(operations, refusals, strict=True):
        receiver.act("reply", [operation.id], refused)
    receiver.settle()
    told = sender.finals(operations)
    came = [told[o.id].answer if o.id in told else None for o in operations]
    kinds = [type(answer).__name__ for answer in came]
    texts = all(str(refused) in str(answer) for refused, answer in zip(refusals, came, strict=True))
    return check(
        kinds == ["OverQuota", "NoSuchVolume", "RemoteError", "RemoteError"] and texts,
        sent="4 asks, refused with OverQuota, NoSuchVolume, RemoteError and a kind that nobody knows",
        expected="OverQuota, NoSuchVolume, RemoteError, RemoteError, with their texts",
        came=", ".join(kinds) + ("" if texts else ", other texts"),
    )


@claim("ask.support", ASK)
def late_answers_are_dropped(proof: Proof) -> str:
    """An answer that comes after its ask was reported unknown is counted as late and given to no other ask."""
    applies(proof.has_knob("timeout"), "it has no knob `timeout`: an ask stays open until its answer comes")
    stage = proof.stage(timeout=SHORT)
    receiver, sender = stage.receiver_of(ASK), stage.sender()
    first, second = stage.asks(1), stage.asks(1)
    sender.begin(first)
    taken = receiver.take(1)
    unknown = sender.finals(first).get(first[0].id)
    sender.begin(second)
    taken += receiver.take(1)
    for delivery in taken:  # the late answer goes first
        assert isinstance(delivery.operation.body, CreateVolume)
        receiver.act("reply", [delivery.id], volume_created(delivery.operation.body))
    receiver.settle()
    answer = sender.finals(second).get(second[0].id)
    time.sleep(QUIET)
    on_time = _is_own(second[0], answer)
    overtaken = answer is not None and answer.status is Status.UNKNOWN  # on a busy machine it may be late, too
    reported = [o for o in sender.outcomes() if o.operation == first[0].id and o.status is not Status.ACCEPTED]
    late = sender.late()
    return check(
        unknown is not None
        and {o.status for o in reported} == {Status.UNKNOWN}
        and (on_time or overtaken)
        and late == (1 if on_time else 2),
        sent=f"an ask that was answered only after {SHORT} s had passed and another ask had begun",
        expected="the first unknown for good, the second its own answer, 1 late",
        came=f"the first {', '.join(o.status.name.lower() for o in reported) or 'open'}, the second "
        f"{_says(answer)}, {late} late",
    )


@claim("ask.delivery", ASK)
def answered_after_a_kill(proof: Proof) -> str:
    """An ask whose receiver is killed before it has answered is answered by the next one."""
    applies(proof.delivery is Delivery.AT_LEAST_ONCE, f"declared {proof.delivery}")
    stage = proof.stage(lease=SHORT)
    first, sender = stage.receiver_of(ASK), stage.sender()
    operations = stage.asks(3)
    sender.begin(operations)
    taken = first.take(3)
    first.kill()
    stage.receiver_of(ASK).work()
    told = sender.finals(operations)
    answered = sum(outcome.status is Status.ANSWERED for outcome in told.values())
    return check(
        len(taken) == 3 and answered == 3,
        sent="3 asks; their receiver was killed when it had taken them, and another came",
        expected="3 answers",
        came=f"{answered}",
    )


def _is_own(operation: Operation, outcome: Outcome | None) -> bool:
    assert isinstance(operation.body, CreateVolume)
    return outcome is not None and outcome.answer == volume_created(operation.body)


def _says(outcome: Outcome | None) -> str:
    if outcome is None:
        return "nothing"
    return str(outcome.answer) if outcome.status is Status.ANSWERED else outcome.status.name.lower()
