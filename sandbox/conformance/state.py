"""Claims about shared state: what readers may see, and who must be up for it."""

from __future__ import annotations

import itertools
import time

from sandbox.channel import Outcome, Status
from sandbox.conformance.claims import Proof, applies, check, claim
from sandbox.conformance.delivery import AWKWARD
from sandbox.conformance.ends import LOOK
from sandbox.conformance.handles import SendingEnd
from sandbox.conformance.stage import QUIET, Stage
from sandbox.errors import NoSuchVolume
from sandbox.exchange.schema import Operation, Verb, VolumeState
from sandbox.guarantees import Reads, Share

SHARE = Verb.SHARE


@claim("share.support", SHARE)
def reads_as_written(proof: Proof) -> str:
    """A state is read as it was written, for each volume its own."""
    stage = proof.stage()
    stage.owner()
    writer, reader = stage.sender(), stage.sender()
    writes = [stage.write(1, volume, AWKWARD) for volume in (1, 2, 3)]
    writer.begin(writes)
    writer.finals(writes)
    expected = [VolumeState(volume, "available", 1, AWKWARD) for volume in (1, 2, 3)]
    found = [_answer(read(stage, reader, volume, until=1)) for volume in (1, 2, 3)]
    return check(
        found == expected,
        sent="the states of 3 volumes, with awkward text",
        expected="the same, read by another",
        came="the same" if found == expected else str(found),
    )


@claim("share.reads", SHARE)
def reads_the_latest(proof: Proof) -> str:
    """A read begun after a write was accepted sees that write or a later one."""
    assert isinstance(proof.declared, Share)
    applies(proof.declared.reads is Reads.LATEST, f"declared {proof.declared.reads}")
    stage = proof.stage()
    stage.owner()
    writer, readers = stage.sender(), [stage.sender(), stage.sender()]
    stale = []
    for version in range(1, 31):
        write = stage.write(version)
        writer.begin([write])
        writer.finals([write])
        seen = _version(read(stage, readers[version % 2]))
        if seen < version:
            stale.append((version, seen))
    return check(
        not stale,
        sent="30 writes, each read by another process as soon as it was accepted",
        expected="its version",
        came=f"version {stale[0][1]} after {stale[0][0]}, and {len(stale) - 1} more stale" if stale else "its version",
    )


@claim("share.reads", SHARE)
def never_goes_back(proof: Proof) -> str:
    """A reader never sees an older version than before, and sees the last one in the end."""
    stage = proof.stage()
    stage.owner()
    writer, reader = stage.sender(), stage.sender()
    writes = [stage.write(version) for version in range(1, 31)]
    versions = []
    for write in writes:
        writer.begin([write])
        versions.append(_version(read(stage, reader)))
        versions.append(_version(read(stage, reader)))
    last = read_until(stage, reader, 30)
    back = [(was, now) for was, now in itertools.pairwise(versions) if now < was]
    return check(
        not back and last == 30,
        sent="30 writes, and two reads after each without waiting for its acceptance",
        expected="versions that never decrease, and 30 in the end",
        came=f"{last} in the end" + (f", but {back[0][1]} after {back[0][0]}" if back else ", none decreased"),
    )


@claim("share.support", SHARE)
def says_what_it_never_saw(proof: Proof) -> str:
    """Reading a volume that nobody has written is answered NoSuchVolume."""
    stage = proof.stage()
    stage.owner()
    outcome = read(stage, stage.sender(), 404)
    answer = outcome.answer if outcome else None
    return check(
        isinstance(answer, NoSuchVolume),
        sent="a read of a volume that nobody has written",
        expected="NoSuchVolume",
        came=f"{type(answer).__name__}: {answer}" if answer is not None else "no answer",
    )


@claim("share.needs_owner", SHARE)
def does_without_an_owner(proof: Proof) -> str:
    """State is written and read although no owner runs."""
    assert isinstance(proof.declared, Share)
    applies(not proof.declared.needs_owner, "declared: it needs one")
    stage = proof.stage()
    writer, reader = stage.sender(), stage.sender()
    write = stage.write(1)
    writer.begin([write])
    told = writer.finals([write])
    last = read_until(stage, reader, 1)
    return check(
        write.id in told and told[write.id].status is Status.ACCEPTED and last == 1,
        sent="a write and then a read, with no other process",
        expected="accepted, and version 1",
        came=f"{told[write.id].status.name.lower() if told else 'no outcome'}, and version {last}",
    )


@claim("share.needs_owner", SHARE)
def needs_its_owner(proof: Proof) -> str:
    """Without the owner nothing is accepted or answered; with it, it is."""
    assert isinstance(proof.declared, Share)
    applies(proof.declared.needs_owner, "declared: it needs none")
    stage = proof.stage()
    sender = stage.sender()
    early = [stage.write(1), stage.read()]
    sender.begin(early)
    done = _done(sender.finals(early, QUIET))
    stage.owner()
    later = [stage.write(2)]
    sender.begin(later)
    accepted = _done(sender.finals(later))
    last = read_until(stage, sender, 2)
    return check(
        not done and accepted == 1 and last == 2,
        sent="a write and a read without an owner; then an owner came, and another of each",
        expected="0 done without it, and version 2 with it",
        came=f"{done} done without it, and version {last} with it",
    )


def read(stage: Stage, reader: SendingEnd, volume: int = 1, until: int = 0) -> Outcome | None:
    """One read, or as many as it takes to see a version of at least `until`; the last outcome."""
    deadline = time.monotonic() + stage.patience
    while True:
        wanted: Operation = stage.read(volume)
        reader.begin([wanted])
        outcome = reader.finals([wanted]).get(wanted.id)
        if _version(outcome) >= until or time.monotonic() > deadline:
            return outcome
        time.sleep(LOOK)


def read_until(stage: Stage, reader: SendingEnd, version: int) -> int:
    """Read until `version` is seen or patience ends; the version seen last."""
    return _version(read(stage, reader, until=version))


def _version(outcome: Outcome | None) -> int:
    """The version that was read: 0 where there was none yet, -1 where there was no answer."""
    if outcome is None or outcome.status is not Status.ANSWERED:
        return -1
    return outcome.answer.version if isinstance(outcome.answer, VolumeState) else 0


def _answer(outcome: Outcome | None) -> object:
    return outcome.answer if outcome is not None else None


def _done(outcomes: dict[int, Outcome]) -> int:
    return sum(outcome.status in (Status.ACCEPTED, Status.ANSWERED) for outcome in outcomes.values())
