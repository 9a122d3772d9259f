"""Exercise of notebook 02: a folder as a mailbox, without torn files and without anything taken twice.

The check does not wait for luck: it stops one process before each of its steps on files in turn and lets another act
meanwhile (`stepwise`), kills it there, and in the end runs the mailbox under the harness.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.exercises.check import RAISED, UNFINISHED, Exercise, Reason
from sandbox.exercises.stepwise import Done, Parties, Party, Step, parties
from sandbox.minimal import Minimal

FIRST, SECOND, THIRD = (name * 3000 for name in (b"first. ", b"second. ", b"third. "))
#: seconds after which one that nobody else holds up is taken for waiting for the dead
_STUCK = 3.0
_RENAMES = {"rename", "replace", "link"}


def judge(mailbox: type[Minimal]) -> Iterator[Reason]:
    """The first look that finds something ends it: what else is wrong may follow from that."""
    from sandbox.harness.session import default_session

    with parties(default_session(), mailbox()) as stage:
        looks = (_round_trip, _publishing, _claiming, _names, _dying_receiver, _dying_sender, _racing, _keeping)
        reasons = (look(stage, f"box{number}") for number, look in enumerate(looks))
        reason = next(filter(None, reasons), None) or _in_a_run(mailbox)
    if reason:
        yield reason


def _round_trip(stage: Parties, box: str) -> Reason | None:
    """One message, one process at a time, nothing at once."""
    one = stage.new("one")
    for verb, arguments, expected in (
        ("put", (box, FIRST), None),
        ("take", (f"{box}.other",), None),
        ("take", (box,), FIRST),
        ("settle", (box,), None),
        ("take", (box,), None),
    ):
        done = one.do(verb, *arguments, patience=_STUCK)
        if done is None:
            return Reason(
                "lock", f"{verb} has not returned for {_STUCK:g} s, although nobody else is there to wait for."
            )
        if done.error:
            return _raised(done)
        if verb == "take" and done.value != expected:
            meant = "the message that had been put" if expected else "None, for there is nothing in that box"
            return Reason(
                "round trip",
                f"put, take, settle, take, all by one process: take gives {_said(done.value)}.\nExpected was {meant}.",
            )
    return None


def _publishing(stage: Parties, box: str) -> Reason | None:
    """A receiver looks before each step of put."""
    sender, receiver = stage.new("sender"), stage.new("receiver")
    for here, step in _stops(sender, box, "put", FIRST):
        seen = stage.meanwhile(receiver, "take", here)
        sender.go_on()
        put, seen = sender.end(), seen or receiver.end()
        assert put is not None
        assert seen is not None
        if seen.error and not put.error:
            return _raised(seen, f"while put was stopped {_at(step)}")
        if seen.value not in (None, FIRST):
            return _torn(step, seen.value, put)
        if put.error:
            return _raised(put, "because a receiver was faster" if seen.value else "")
        later = receiver.do("take", here)
        assert later is not None
        if (seen.value or later.value) != FIRST:
            return Reason("lost", f"A receiver looked while put was stopped {_at(step)}, and nobody got the message.")
    return None


def _torn(step: Step, seen: bytes, put: Done) -> Reason:
    text = f"put was stopped {_at(step)}; a receiver looked, and took {_said(seen)} of {len(FIRST):,}."
    if any(name.startswith("copy") for name in step.inside):
        return Reason("copied", f"{text} A copy is written piece by piece too: only a rename shows a file at once.")
    if _RENAMES & set(put.calls):
        why = "You do write under another name first, but where receivers look: they take the draft."
        return Reason("draft in sight", f"{text} {why}")
    return Reason("torn", f"{text} The file is there, under its name, before its content is.")


def _names(stage: Parties, box: str) -> Reason | None:
    """Another sender puts before each step of put."""
    one, other = stage.new("one"), stage.new("other")
    for here, step in _stops(one, box, "put", FIRST):
        beside = stage.meanwhile(other, "put", here, SECOND)
        one.go_on()
        for done in (one.end(), beside or other.end()):
            assert done is not None
            if done.error:
                return _raised(done, f"while two senders put at once, one of them stopped {_at(step)}")
        if missing := {FIRST, SECOND} - set(_all(one, here)):
            lost = "the first" if FIRST in missing else "the second"
            return Reason(
                "overwritten",
                f"One sender was stopped {_at(step)}, another put a message meanwhile, then the "
                f"first went on. Both were told that all is well, and {lost} message is gone: do they give "
                "the same name? A rename replaces what is there, and says nothing.",
            )
    return None


def _claiming(stage: Parties, box: str) -> Reason | None:
    """Another receiver looks after take, before settle."""
    one, other = stage.new("one"), stage.new("other")
    one.do("put", box, FIRST)
    one.do("take", box)
    seen = other.do("take", box)
    assert seen is not None
    if seen.error:
        return _raised(seen, "when another had taken the only message")
    if seen.value is None:
        return None
    return Reason(
        "not claimed",
        "One receiver has taken a message and works on it. Another takes, and gets the same: "
        "reading takes nothing away. It must be out of sight as soon as it is taken.",
    )


def _racing(stage: Parties, box: str) -> Reason | None:
    """Another receiver takes before each step of take; there are two messages."""
    one, other = stage.new("one"), stage.new("other")
    for here, step in _stops(one, box, "take", before=(FIRST, SECOND)):
        beside = stage.meanwhile(other, "take", here)
        one.go_on()
        took, beside = one.end(), beside or other.end()
        assert took is not None
        assert beside is not None
        if took.error or beside.error:
            why = f"One receiver was stopped {_at(step)}, and another took meanwhile"
            done = took if took.error else beside
            return Reason(
                "beaten", f"{why}. Then {_told(done)}\nThat another was faster is no error: go on to the next."
            )
        everything = [took.value, beside.value, *_all(other, here)]
        if any(everything.count(message) > 1 for message in (FIRST, SECOND)):
            why = "What you look at may be gone, or be somebody else's, one step later: claim it in one step."
            return Reason(
                "taken twice",
                f"One receiver was stopped {_at(step)}; another took meanwhile, and both work "
                f"on the same message. {why}",
            )
        if not {FIRST, SECOND} <= set(everything):
            return Reason("lost", f"One receiver was stopped {_at(step)}, another took meanwhile: a message is gone.")
    return None


def _keeping(stage: Parties, box: str) -> Reason | None:
    """What is taken lies on the disk until it is settled, and no longer."""
    one = stage.new("one")
    one.do("put", box, THIRD)
    one.do("take", box)
    if not _on_disk(stage, THIRD):
        return Reason(
            "gone too early",
            "A message was taken and not settled, and it is in no file any more. If the "
            "receiver dies now, not even a person can put it back: it may go only when it is settled.",
        )
    one.do("settle", box)
    if _on_disk(stage, THIRD):
        return Reason("left behind", "A message was settled and still lies in a file: the disk will be full one day.")
    return None


def _dying_receiver(stage: Parties, box: str) -> Reason | None:
    """A receiver is killed before each step of take; there are two messages, and it can only have had one."""
    return _dying(stage, box, "take", (), before=(FIRST, SECOND))


def _dying_sender(stage: Parties, box: str) -> Reason | None:
    """A sender is killed before each step of put; another puts the message that must arrive."""
    return _dying(stage, box, "put", (FIRST,), after=(SECOND,))


def _dying(
    stage: Parties,
    box: str,
    verb: str,
    arguments: tuple[bytes, ...],
    before: tuple[bytes, ...] = (),
    after: tuple[bytes, ...] = (),
) -> Reason | None:
    survivor = stage.new("survivor")
    stop = 0
    while True:
        stop += 1
        here = f"{box}.{stop}"
        for message in before:
            survivor.do("put", here, message)
        victim = stage.new(f"victim{stop}")
        step = victim.begin(verb, here, *arguments, stop=stop)
        victim.kill()
        if step is None:
            return None
        sent = [survivor.do("put", here, message, patience=_STUCK) for message in after]
        got = survivor.do("take", here, patience=_STUCK) if None not in sent else None
        if got is None or got.value is None:
            return Reason(
                "lock",
                f"A process was killed {_at(step)}. From then on another one gets nothing, although "
                "there is something: it waits for the dead. Whatever a process leaves when it dies must not "
                "stop the others.",
            )


def _in_a_run(mailbox: type[Minimal]) -> Reason | None:
    """Large messages, two senders, two receivers, in a run of the harness."""
    from sandbox.api import run
    from sandbox.harness.workload import Workload

    load = Workload(operations=60, rate=60, size=100_000, senders=2, receivers=2, service=0.005, warmup=0)
    findings = run(mailbox, load).findings
    return Reason("run", "A run with two senders and two receivers says:\n" + "\n".join(findings)) if findings else None


# ---- what the looks have in common ----------------------------------------------------------------------------------


def _stops(
    party: Party, box: str, verb: str, *arguments: bytes, before: tuple[bytes, ...] = ()
) -> Iterator[tuple[str, Step]]:
    """Stop it before its first step, then before its second, ..., until it has no more: each time in another box."""
    stop = 0
    while True:
        stop += 1
        here = f"{box}.{stop}"
        for message in before:
            party.do("put", here, message)
        step = party.begin(verb, here, *arguments, stop=stop)
        if step is None:
            return
        yield here, step


def _all(party: Party, box: str) -> list[bytes]:
    """Up to five messages that it can still take; it settles them."""
    taken: list[bytes] = []
    while len(taken) < 5 and (done := party.do("take", box)) is not None and done.value is not None:
        taken.append(done.value)
        party.do("settle", box)
    return taken


def _on_disk(stage: Parties, data: bytes) -> bool:
    return any(data in path.read_bytes() for path in Path(stage.site.folder).rglob("*") if path.is_file())


def _at(step: Step) -> str:
    return f"before {step.call} in line {step.line}" + (f" (`{step.code}`)" if step.code else "")


def _said(value: Any) -> str:
    if not isinstance(value, bytes):
        return repr(value)
    return f"{len(value):,} bytes"


def _told(done: Done) -> str:
    line = f", `{done.code}`" if done.code else ""
    if not done.line:
        return f"the check could not work with what your code gave back: {done.text}"
    return f"your code raised {done.error} in {done.where}, line {done.line}{line}: {done.text}"


def _raised(done: Done, when: str = "") -> Reason:
    if done.error == "NotImplementedError":
        return Reason(UNFINISHED, f"{done.where} still raises NotImplementedError: write its body.")
    told = _told(done)
    return Reason(RAISED, f"{told[0].upper()}{told[1:]}" + (f"\nThat was {when}." if when else ""))


exercise = Exercise(
    name="sharing_a_file",
    question=(
        "Mailbox passes messages through files and is written the way everybody writes it first. Make put, take and "
        "settle safe. A receiver never sees part of a message. Of several receivers one gets it, and one that was not "
        "fast enough goes on to the next without an error. What is taken stays in some file until it is settled, and "
        "no longer. Nobody waits for a process that has died. (What a dead receiver had taken need not come back.)"
    ),
    answer="Mailbox",
    judge=judge,
    base=Minimal,
)
