"""One channel on a stage with a tracer: a few operations, one by one, each accepted before the next is sent."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.catalogue import find
from sandbox.channel import ASK_GROUP, OWNER_GROUP, Channel, Status
from sandbox.errors import RunFailed
from sandbox.exchange.schema import EXCHANGE, CreateVolume, ImageDownloaded, Operation, SetState, Verb, VolumeCreated
from sandbox.faults.power_cut.calls import Event, numbers
from sandbox.faults.power_cut.judging import NOTHING_STORED, PowerCut, answer_of, fate
from sandbox.faults.power_cut.ptrace import let_be_traced
from sandbox.faults.power_cut.tracing import trace
from sandbox.guarantees import Acceptor, Share, Support
from sandbox.harness.compare import name_of
from sandbox.harness.participant import Link, Participant
from sandbox.harness.session import Session, default_session
from sandbox.servers.postgres import kill_stragglers, release_shared_memory
from sandbox.site import Site

#: how many operations: a server that flushes once a second may happen to do it in the middle of one of them
OPERATIONS = 5
#: s until an operation is accepted, and until a process that says nothing is given up
_PATIENCE, _SILENCE = 5.0, 40.0
_MARK = b"sandbox power cut: "


def power_cut(
    channel: str | type[Channel] | Channel,
    session: Session | None = None,
    *,
    verb: Verb | str = Verb.TELL,
    **knobs: Any,
) -> PowerCut:
    """Whether what a channel accepts is flushed to disk before; seen by tracing, on Linux, in a second or two.

    The servers that it needs are started for this alone. `BadArgument` for a channel or verb that there is not.
    """
    value, verb = find(channel, **knobs), Verb(verb)
    promise = value.guarantees.of(verb)

    def untraced(reason: str) -> PowerCut:
        return PowerCut.untraced(name_of(value), verb, promise.accepted_by, reason)

    if promise.support is Support.ABSENT:
        return untraced(f"it has no {verb}")
    if sys.platform != "linux" or not numbers():
        return untraced("only on Linux, on x86-64 and ARM64")
    stage = _Stage(session or default_session(), value, verb)
    try:
        events, unseen = stage.play()
    except EOFError:
        return untraced("a process of it has died")
    except Exception as error:  # a student's channel may raise anything
        return untraced(_reason(error))
    finally:
        stage.close()
    return _judged(value, verb, events, unseen, stage.words)


class _Stage:
    """The ends, the tracer, and where they are. words: by which the operations are known."""

    def __init__(self, session: Session, channel: Channel, verb: Verb) -> None:
        self._session, self._channel, self._verb = session, channel, verb
        self._hold: list[Participant] = []
        self._folders: list[Path] = []
        self.words = [f"trace-{secrets.token_hex(8)}".encode() for _ in range(OPERATIONS)]

    def play(self) -> tuple[list[Event], str]:
        """All of it; what happened, and which file an end may have written unseen. `RunFailed` with the reason."""
        within = self._session.folder  # directly in it, where its guard looks for what a killed server leaves
        servers = {medium: Path(tempfile.mkdtemp(prefix="t-", dir=within)) for medium in self._channel.needs}
        self._folders += servers.values()
        tracer = self._process("tracer")
        tracer.begin(trace, servers, _MARK, self.words)
        addresses = _expect(tracer, dict)
        site = replace(self._session.site(), addresses=addresses)
        self._folders.append(site.folder)
        ends = {"sender": self._process("sender")}
        ends["sender"].begin(_send, self._channel, site, _operations(self._verb, self.words), _MARK)
        _expect(ends["sender"], bool)
        if self._somebody_receives():
            ends["receiver"] = self._process("receiver")
            ends["receiver"].begin(_receive, self._channel, site, _group(self._verb, site))
            _expect(ends["receiver"], bool)
        tracer.send({name: end.pid for name, end in ends.items()})
        if (said := _expect(tracer, str)) != "traced":
            raise RunFailed(said)
        ends["sender"].send("go")
        found: tuple[list[Event], str] = _expect(tracer, tuple)
        if told := ends["sender"].receive(_SILENCE):
            raise RunFailed(told)
        return found

    def close(self) -> None:
        """End everybody, the tracer last: it has to end its servers, and who is traced dies with it."""
        for end in self._hold[1:]:
            end.close()
        for tracer in self._hold[:1]:
            with contextlib.suppress(RunFailed, EOFError, TimeoutError):
                tracer.finish(_PATIENCE)
            tracer.close()
        for folder in self._folders:
            kill_stragglers(folder / "data")
            release_shared_memory(folder / "data")
            shutil.rmtree(folder, ignore_errors=True)

    def _process(self, name: str) -> Participant:
        self._hold.append(self._session.participant(f"power-cut-{name}"))
        return self._hold[-1]

    def _somebody_receives(self) -> bool:
        promise = self._channel.guarantees.of(self._verb)
        if isinstance(promise, Share):
            return promise.needs_owner
        return promise.accepted_by in (Acceptor.PEER, Acceptor.NOBODY) or not promise.receiver_may_be_away


def _reason(error: Exception) -> str:
    """In one line; of what was raised in a participant, the last one of its traceback."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1 if "Traceback" in str(error) else 0]


def _expect(participant: Participant, kind: type) -> Any:
    """What a participant says; where that is a reason instead of what was expected, it is raised."""
    said = participant.receive(_SILENCE)
    if not isinstance(said, kind):
        raise RunFailed(str(said))
    return said


def _group(verb: Verb, site: Site) -> str:
    return {Verb.TELL: site.groups[0], Verb.ASK: ASK_GROUP, Verb.SHARE: OWNER_GROUP}[verb]


def _operations(verb: Verb, words: Sequence[bytes]) -> list[Operation]:
    """One a word, which stands in its text twice: one of them lies in one piece, wherever a page ends."""
    found = []
    for number, word in enumerate(words, start=1):
        text = f"{word.decode()} {word.decode()}"
        if verb is Verb.TELL:
            found.append(Operation(number, "image_downloaded", ImageDownloaded(number, 1, 1000, text)))
        elif verb is Verb.ASK:
            found.append(Operation(number, "create_volume", CreateVolume(number, 1, 1, text)))
        else:
            found.append(Operation(number, "set_state", SetState(1, "available", number, text)))
    return found


def _judged(channel: Channel, verb: Verb, events: list[Event], unseen: str, words: Sequence[bytes]) -> PowerCut:
    promise = channel.guarantees.of(verb)
    fates = [fate(events, word, _accepted(number)) for number, word in enumerate(words, start=1)]
    known = [each for each in fates if each is not None]
    if not known:
        return PowerCut.untraced(name_of(channel), verb, promise.accepted_by, "nothing was accepted")
    answer, shown = answer_of(known)
    if answer == NOTHING_STORED and unseen:
        reason = f"it writes {unseen} through mapped memory"
        return PowerCut.untraced(name_of(channel), verb, promise.accepted_by, reason)
    flushed = sum(each.flushed for each in known)
    return PowerCut(name_of(channel), verb, answer, promise.accepted_by, shown.evidence, len(known), flushed)


def _accepted(number: int) -> bytes:
    return _MARK + b"accepted %d" % number


# --- in the participants --------------------------------------------------------------------------------


def _send(link: Link, channel: Channel, site: Site, operations: list[Operation], mark: bytes) -> None:
    """The sender: opens its end once it is traced, and says by marks where it is. Sends why it failed, or ""."""
    let_be_traced()
    channel.install(site, EXCHANGE)
    link.send(True)
    link.recv()
    marks = os.open(os.devnull, os.O_WRONLY)
    failed = ""
    sender = channel.sender(site, EXCHANGE, "sender-0")
    try:
        for operation in operations:
            sender.begin(operation)
            failed = failed or _wait(sender, operation)
            if failed:
                break
            os.write(marks, mark + b"accepted %d" % operation.id)
    except Exception as error:  # a student's channel may raise anything
        failed = f"{type(error).__name__}: {error}"
    finally:
        link.send(failed)
        os.write(marks, mark + b"end")  # who traces lets nobody go on from here
        sender.close()
        os.close(marks)


def _wait(sender: Any, operation: Operation) -> str:
    """Until it is accepted (or answered); why it was not, or ""."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for outcome in sender.outcomes(0.1):
            if outcome.operation == operation.id:
                taken = outcome.status in (Status.ACCEPTED, Status.ANSWERED)
                return "" if taken else f"it was not accepted: {outcome.status.name}, {outcome.reason}"
    return f"it was not accepted within {_PATIENCE:g} s"


def _receive(link: Link, channel: Channel, site: Site, group: str) -> None:
    """The receiver, where nothing is accepted without one: settles whatever comes."""
    let_be_traced()
    receiver = channel.receiver(site, EXCHANGE, group, "receiver-0")
    link.send(True)
    while not link.poll(0):
        for delivery in receiver.take(0.05):
            body = delivery.operation.body
            if isinstance(body, CreateVolume):
                delivery.reply(VolumeCreated(body.volume, "host-0"))
            delivery.settle()
    receiver.close()
