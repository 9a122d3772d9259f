"""Claims about deliveries: kills, settlement, competition, order, copies for every group."""

from __future__ import annotations

import itertools
from collections import Counter

from sandbox.channel import Status
from sandbox.conformance.claims import DoesNotApply, Proof, applies, check, claim
from sandbox.conformance.ends import Seen
from sandbox.conformance.stage import QUIET, SHORT
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor, Delivery, Order, Support, Tell

TELL, ASK = Verb.TELL, Verb.ASK
#: text that quoting, escaping or a charset could spoil
AWKWARD = "déjà vu, 'quotes' \"and\" \\ back\nslashes; \t{} %s \U0001d11e"


@claim("tell.support", TELL)
def arrives_as_sent(proof: Proof) -> str:
    """Every operation arrives once, as it was sent, as attempt 1."""
    _delivers(proof)
    stage = proof.stage()
    receiver, sender = stage.receiver(), stage.sender()
    operations = [*stage.tells(10), *stage.tells(10, AWKWARD)]
    receiver.work()
    sender.begin(operations)
    seen = stage.gather([receiver], [o.id for o in operations])
    came = sorted(((d.operation, d.attempt) for d in seen), key=lambda pair: pair[0].id)
    wrong = [pair for pair in came if pair[0] not in operations or pair[1] != 1]
    return check(
        came == [(operation, 1) for operation in operations],
        sent="20 tells, half of them with awkward text",
        expected="the same 20, each as attempt 1",
        came=f"{len(came)}" + (f", among them {wrong[0]}" if wrong else ""),
    )


@claim("tell.delivery", TELL)
def nothing_comes(proof: Proof) -> str:
    """Nothing is ever delivered."""
    applies(proof.delivery is Delivery.NONE, _declared(proof))
    stage = proof.stage()
    receiver, sender = stage.receiver(), stage.sender()
    sender.begin(stage.tells(10))
    seen = receiver.take(1, QUIET)
    return check(not seen, sent="10 tells", expected="no delivery", came=_numbers(seen))


@claim("{verb}.delivery", TELL, ASK)
def comes_again(proof: Proof) -> str:
    """What a killed receiver had taken and not settled is delivered again; nothing is lost."""
    applies(proof.delivery is Delivery.AT_LEAST_ONCE, _declared(proof))
    stage = proof.stage(lease=SHORT)
    first, sender = stage.receiver_of(proof.verb), stage.sender()
    operations = stage.operations(proof.verb, 10)
    sender.begin(operations)
    taken = first.take(3)
    first.kill()
    second = stage.receiver_of(proof.verb)
    second.work()
    seen = stage.gather([second], [o.id for o in operations])
    again = {d.attempt for d in seen if d.id in _ids(taken)}
    return check(
        len(taken) == 3 and _ids(seen) == {o.id for o in operations},
        sent=f"10 {proof.verb}s; the first receiver was killed when it had taken {_numbers(taken)}",
        expected="all 10 at the second receiver",
        came=f"{_numbers(seen)}; those again as attempt {', '.join(map(str, sorted(again))) or '-'}",
    )


@claim("{verb}.delivery", TELL, ASK)
def never_comes_again(proof: Proof) -> str:
    """What a killed receiver had taken is never delivered again, and not declared done or certainly undone."""
    applies(proof.delivery is Delivery.AT_MOST_ONCE, _declared(proof))
    stage = proof.stage(lease=SHORT, timeout=SHORT)
    first, sender = stage.receiver_of(proof.verb), stage.sender()
    operations = stage.operations(proof.verb, 3)
    sender.begin(operations)
    taken = first.take(3)
    first.kill()
    seen = stage.receiver_of(proof.verb).take(1, SHORT + 2 * QUIET)
    by_peer = proof.declared.accepted_by is Acceptor.PEER
    allowed = {Status.UNKNOWN} if by_peer else {Status.UNKNOWN, Status.ACCEPTED}
    told = {outcome.status for outcome in sender.outcomes()}
    return check(
        len(taken) == 3 and not seen and told <= allowed,
        sent=f"3 {proof.verb}s; the receiver was killed when it had taken {_numbers(taken)}",
        expected=f"none of them again; their sender told at most {' or '.join(s.name for s in sorted(allowed))}",
        came=f"{_numbers(seen)}; told {', '.join(s.name for s in sorted(told)) or 'nothing'}",
    )


@claim("{verb}.delivery", TELL, ASK)
def settled_is_over(proof: Proof) -> str:
    """A settled operation never comes back, neither after the lease nor after its receiver's death."""
    _delivers(proof)
    for _ in range(5):
        stage = proof.stage(lease=SHORT)
        first, sender = stage.receiver_of(proof.verb), stage.sender()
        sender.begin(stage.operations(proof.verb, 5))
        held = first.take_and_settle(5)
        if held < SHORT / 2 or not proof.has_knob("lease"):
            break  # else the machine paused, claims may have lapsed before they were settled, and rightly come back
    else:
        raise DoesNotApply(f"this machine is too busy to settle within a lease of {SHORT} s")
    before = first.seen()
    first.kill()
    seen = stage.receiver_of(proof.verb).take(1, 2 * SHORT + QUIET)
    return check(
        len(before) == 5 and not seen,
        sent=f"5 {proof.verb}s, taken {len(before)}, settled, then the receiver was killed",
        expected="nothing more",
        came=_numbers(seen),
    )


@claim("contract.competing", TELL, ASK)
def claims_are_exclusive(proof: Proof) -> str:
    """What one receiver has claimed no other of its group gets while the lease runs."""
    _delivers(proof)
    stage = proof.stage()
    first, sender = stage.receiver_of(proof.verb), stage.sender()
    sender.begin(stage.operations(proof.verb, 3))
    taken = first.take(3)
    seen = stage.receiver_of(proof.verb).take(1, QUIET)
    return check(
        len(taken) == 3 and not seen,
        sent=f"3 {proof.verb}s; one receiver holds {_numbers(taken)}",
        expected="nothing at the other",
        came=_numbers(seen),
    )


@claim("contract.competing", TELL, ASK)
def each_to_exactly_one(proof: Proof) -> str:
    """Of two receivers of one group that work at the same time, each operation comes to exactly one."""
    _delivers(proof)
    stage = proof.stage()
    receivers = [stage.receiver_of(proof.verb) for _ in range(2)]
    sender = stage.sender()
    operations = stage.operations(proof.verb, 200)
    for receiver in receivers:
        receiver.work()
    sender.begin(operations)
    seen = stage.gather(receivers, [o.id for o in operations])
    shares = " + ".join(str(len(receiver.seen())) for receiver in receivers)
    return check(
        _once_each(seen, [o.id for o in operations]),
        sent=f"200 {proof.verb}s to two working receivers",
        expected="each at exactly one of them",
        came=f"{shares} deliveries of {len(_ids(seen))} operations",
    )


@claim("tell.order", TELL)
def in_order(proof: Proof) -> str:
    """One receiver sees the operations of one sender in the order in which they were begun."""
    assert isinstance(proof.declared, Tell)
    applies(proof.declared.order is Order.PER_SENDER, f"declared {proof.declared.order}")
    stage = proof.stage()
    receiver, sender = stage.receiver(), stage.sender()
    operations = stage.tells(200)
    receiver.work()
    sender.begin(operations)
    seen = [d.id for d in stage.gather([receiver], [o.id for o in operations]) if d.attempt == 1]
    late = [later for earlier, later in itertools.pairwise(seen) if later < earlier]
    return check(
        len(set(seen)) == 200 and not late,
        sent="200 tells of one sender to one receiver that takes up to 16 at a time",
        expected="all in the order of sending",
        came=f"{len(set(seen))}, {len(late)} of them out of order" + (f" (first: {late[0]})" if late else ""),
    )


@claim("tell.one_to_many", TELL)
def a_copy_for_every_group(proof: Proof) -> str:
    """Every group gets every operation exactly once."""
    assert isinstance(proof.declared, Tell)
    applies(proof.declared.one_to_many is not Support.ABSENT, "declared absent")
    _delivers(proof)
    stage = proof.stage("metering", "audit")
    receivers = {group: stage.receiver(group) for group in stage.site.groups}
    sender = stage.sender()
    operations = stage.tells(50)
    for receiver in receivers.values():
        receiver.work()
    sender.begin(operations)
    wanted = [o.id for o in operations]
    seen = {group: stage.gather([receiver], wanted) for group, receiver in receivers.items()}
    return check(
        all(_once_each(copies, wanted) for copies in seen.values()),
        sent="50 tells with two groups of listeners",
        expected="each exactly once in either group",
        came=", ".join(f"{len(found)} of {len(_ids(found))} in {group}" for group, found in seen.items()),
    )


@claim("contract.set_aside", TELL)
def set_aside_is_over(proof: Proof) -> str:
    """What was set aside is not delivered again, and counted."""
    _delivers(proof)
    stage = proof.stage(lease=SHORT)
    first, sender = stage.receiver(), stage.sender()
    sender.begin(stage.tells(1))
    taken = first.take(1)
    first.act("set_aside", None, "a claim about dead letters")
    again = [*first.take(1, SHORT + QUIET), *stage.receiver().take(1, QUIET)]
    backlog = stage.backlog()
    counted = "cannot tell" if backlog is None else str(backlog.set_aside)
    return check(
        len(taken) == 1 and not again and counted in ("cannot tell", "1"),
        sent="1 tell, taken and set aside",
        expected="nothing more, and 1 set aside in the backlog",
        came=f"{_numbers(again)}, and set aside: {counted}",
    )


@claim("contract.release", TELL)
def released_comes_again(proof: Proof) -> str:
    """What was released is delivered again."""
    applies(proof.delivery is Delivery.AT_LEAST_ONCE, _declared(proof))
    stage = proof.stage()
    receiver, sender = stage.receiver(), stage.sender()
    sender.begin(stage.tells(1))
    taken = receiver.take(1)
    receiver.act("release")
    again = receiver.take(1)
    return check(
        len(taken) == 1 and _ids(again) == _ids(taken),
        sent="1 tell, taken and released",
        expected="the same again, well before its lease is over",
        came=_numbers(again) + (f" as attempt {again[0].attempt}" if again else ""),
    )


@claim("contract.release", TELL)
def released_waits(proof: Proof) -> str:
    """What was released with a delay is delivered again, and not before that delay."""
    applies(proof.delivery is Delivery.AT_LEAST_ONCE, _declared(proof))
    stage = proof.stage()
    receiver, sender = stage.receiver(), stage.sender()
    sender.begin(stage.tells(1))
    taken = receiver.take(1)
    error = receiver.act("release", None, SHORT)
    applies(not error, f"this channel cannot delay: {error}")
    again = receiver.take(1)
    waited = again[0].time - taken[0].time if again and taken else 0.0
    return check(
        _ids(again) == _ids(taken) and waited >= 0.9 * SHORT,
        sent=f"1 tell, taken and released with a delay of {SHORT} s",
        expected="the same again, not earlier",
        came=_numbers(again) + (f" after {waited:.2f} s" if again else ""),
    )


@claim("contract.release", TELL)
def cannot_be_released(proof: Proof) -> str:
    """Where nothing comes again, release raises BadArgument."""
    applies(proof.delivery is Delivery.AT_MOST_ONCE, _declared(proof))
    stage = proof.stage()
    receiver, sender = stage.receiver(), stage.sender()
    sender.begin(stage.tells(1))
    taken = receiver.take(1)
    error = receiver.act("release")
    return check(
        len(taken) == 1 and bool(error),
        sent="1 tell, taken and released",
        expected="BadArgument",
        came=error or "no error",
    )


def _delivers(proof: Proof) -> None:
    applies(proof.delivery is not Delivery.NONE, _declared(proof))


def _declared(proof: Proof) -> str:
    return f"declared {proof.delivery}"


def _ids(seen: list[Seen]) -> set[int]:
    return {delivery.id for delivery in seen}


def _once_each(seen: list[Seen], wanted: list[int]) -> bool:
    return Counter(delivery.id for delivery in seen) == Counter(wanted)


def _numbers(seen: list[Seen]) -> str:
    if not seen:
        return "nothing"
    numbers = sorted(_ids(seen))
    return "operation " + ", ".join(map(str, numbers)) if len(numbers) <= 3 else f"{len(numbers)} operations"
