"""The spool directory: one file per message, published by rename, claimed by rename.

    tell    a file with a name in the `ready` folder of every group
    ask     a file in the box of requests; the answer is a file in a folder of the sender
    share   a snapshot file per volume, replaced as a whole; who wants to know reads it

Rename is atomic, which gives all there is: a file is never seen half written, and of several
receivers that claim the same file one succeeds. A claim carries its deadline in its name, so
any receiver can see that it has lapsed and give it back. See `folders` for what lies where.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec
from msgspec import Struct

from sandbox import channel
from sandbox.channel import ASK_GROUP, OWNER_GROUP, Backlog, Channel, Envelope, Outcome, Status
from sandbox.errors import BadArgument, Definite, Indefinite, Malformed, NoSuchVolume, Refusal, TooLarge
from sandbox.exchange.schema import Message, Operation, Schema, Verb
from sandbox.file_share.answers import Answers
from sandbox.file_share.box import Box, count
from sandbox.file_share.folders import (
    MAX_BYTES,
    MESSAGE,
    Publisher,
    installed,
    read_envelope,
    read_plain,
    root_of,
    word,
)
from sandbox.file_share.inbox import Inbox
from sandbox.file_share.wakeup import watch
from sandbox.guarantees import Acceptor, Ask, Guarantees, Order, Reads, Share, Support, Tell
from sandbox.guarantees import Delivery as Promise
from sandbox.site import Site


@dataclass(frozen=True)
class Spool(Channel):
    """At least once, in order per sender, whoever is away.

    lease    seconds after which a claim that is not settled is given back; longer than any one piece of work
    poll     seconds between two looks, where the system does not wake us
    flush    flush file and folder to disk before a send is acknowledged: survives a power cut, costs a flush
    wake     False: poll, even where the system could wake us
    timeout  seconds after which an ask without an answer is reported UNKNOWN

    Claims survive the receiver's death, not the machine's: a lease is counted on the clock since boot.
    """

    lease: float = 2.0
    poll: float = 0.001
    flush: bool = False
    wake: bool = True
    timeout: float = 5.0

    style: ClassVar[str] = "file_share"

    def __post_init__(self) -> None:
        for knob in ("lease", "poll", "timeout"):
            if not getattr(self, knob) > 0:
                raise BadArgument(knob, expected="a number of seconds above 0", got=getattr(self, knob))

    @property
    def guarantees(self) -> Guarantees:
        """One-to-many is layered: a name per group, given one after the other, each at the price of a link."""
        accepted = Acceptor.DISK if self.flush else Acceptor.KERNEL
        return Guarantees(
            tell=Tell(Support.NATURAL, Promise.AT_LEAST_ONCE, Order.PER_SENDER, accepted, True, Support.LAYERED),
            ask=Ask(Support.LAYERED, Promise.AT_LEAST_ONCE, accepted, receiver_may_be_away=True),
            share=Share(Support.NATURAL, Reads.LATEST, accepted, needs_owner=False),
            max_bytes=MAX_BYTES,
        )

    def install(self, site: Site, schema: Schema) -> None:
        """Make the folders."""
        for group in site.groups:
            self.admit(site, group)
        Box(root_of(site), "ask").make()
        for folder in ("new", "states", "answers"):
            Path(f"{root_of(site)}/{folder}").mkdir(mode=0o700, exist_ok=True)

    def admit(self, site: Site, group: str) -> None:
        """See `Channel.admit`. Group names become folder names: letters, digits, dashes, underscores."""
        if group in (ASK_GROUP, OWNER_GROUP):
            raise BadArgument("group", expected=f"another name than {ASK_GROUP} and {OWNER_GROUP}", got=group)
        Box(root_of(site), f"tell.{word('group', group)}").make()

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """See `Channel.sender`; the name becomes part of file names, so it is like that of a group."""
        return Sender(self, installed(site), site.groups, schema, word("sender", name))

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`. There is no owner of shared state: whoever reads it reads the file."""
        if group != ASK_GROUP and group not in site.groups:
            raise BadArgument("group", expected=" or ".join((ASK_GROUP, *site.groups)), got=group)
        return Receiver(self, installed(site), schema, group, word("receiver", name))

    def backlog(self, site: Site) -> Backlog:
        """Counts files. Looks twice before it says empty: a file may move behind our back while we count."""
        seen = count(root := installed(site))
        return seen if seen.ready or seen.claimed else count(root)


class Sender(channel.Sender):
    """See `channel.Sender`."""

    def __init__(self, spool: Spool, root: str, groups: tuple[str, ...], schema: Schema, name: str) -> None:
        self._schema, self._name, self._encode = schema, name, schema.codec.encode
        self._publisher = Publisher(root, name, spool.flush)
        self._answers = Answers(root, name, schema, self._publisher, spool.timeout)
        self._wake, self._poll = spool.wake, spool.poll
        self._listeners = [Box(root, f"tell.{group}").ready for group in groups]
        self._servers = [Box(root, "ask").ready]
        self._states = f"{root}/states"
        self._known: list[Outcome] = []

    def begin(self, operation: Operation) -> None:
        """See `channel.Sender.begin`. A read is answered on the spot, from the snapshot."""
        message = self._schema.message(operation.message)
        body = self._schema.encode(operation.body)
        if len(body) > MAX_BYTES:
            raise TooLarge(f"{message.name}: a body of {len(body)} bytes, at most {MAX_BYTES}")
        envelope = Envelope(operation.id, message.name, msgspec.Raw(body), self._name, self._schema.version)
        outcome = Outcome(operation.id, Status.ACCEPTED)
        try:
            if message.verb is Verb.TELL:
                self._publisher.publish(self._encode(envelope), self._listeners)
            elif message.verb is Verb.ASK:
                self._answers.watch(wake=self._wake, poll=self._poll)
                self._publisher.publish(self._encode(envelope), self._servers)
                self._answers.expect(operation.id, message.name)
            else:
                outcome = self._share(message, operation, body)
        except Definite as error:
            outcome = Outcome(operation.id, Status.FAILED, reason=str(error))
        except Indefinite as error:
            self._answers.give_up(operation.id)
            outcome = Outcome(operation.id, Status.UNKNOWN, reason=str(error))
        self._known.append(outcome)

    def outcomes(self, timeout: float) -> list[Outcome]:
        """See `channel.Sender.outcomes`. Returns at once when nothing is open, for then nothing can come."""
        known, self._known = self._known, []
        if self._answers.awaited:
            known += self._answers.collect(0.0 if known else timeout)
            self.late = self._answers.late
        return known

    def close(self) -> None:
        """See `channel.Sender.close`."""
        self._answers.close()

    def _share(self, message: Message, operation: Operation, body: bytes) -> Outcome:
        """Write or read a snapshot. Its first field says whose, in any codec: who has another refuses it."""
        key = getattr(operation.body, operation.body.__struct_fields__[0])
        if not isinstance(key, int):
            raise Malformed(f"{message.name}: its first field names a file, so it must be a number and not {key!r}")
        if message.answer is None:
            self._publisher.replace(body, self._states, f"{key}.json")
            return Outcome(operation.id, Status.ACCEPTED)
        try:
            data = read_plain(f"{self._states}/{key}.json", MAX_BYTES)
        except FileNotFoundError:
            return Outcome(operation.id, Status.ANSWERED, NoSuchVolume(f"no state of volume {key} was ever written"))
        return Outcome(operation.id, Status.ANSWERED, self._schema.decode_answer(message.name, data))


class Receiver(channel.Receiver):
    """See `channel.Receiver`."""

    def __init__(self, spool: Spool, root: str, schema: Schema, group: str, name: str) -> None:
        self._verb = Verb.ASK if group == ASK_GROUP else Verb.TELL
        self._schema, self._encode, self._decode = schema, schema.codec.encode, schema.codec.decoder(Envelope)
        self._lease, self._lease_ns, self._poll = spool.lease, int(spool.lease * 1e9), spool.poll
        self._box = Box(root, "ask" if self._verb is Verb.ASK else f"tell.{group}")
        self._inbox = Inbox(self._box.ready, watch(self._box.ready, wake=spool.wake, interval=spool.poll))
        self._publisher = Publisher(root, name, spool.flush)
        self._answers = f"{root}/answers"
        self._askers: set[str] = set()
        self._immovable: set[str] = set()
        self._check_at = 0.0  # when to look for lapsed claims again
        self.refused: list[str] = []

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`; gives back lapsed claims, of other receivers too, while it is at it."""
        deadline = time.monotonic() + timeout
        taken: list[channel.Delivery] = []
        while True:
            now = time.monotonic()
            if now >= self._check_at:
                due = self._box.give_back_lapsed() / 1e9 or now + self._lease
                self._check_at = max(min(due, now + self._lease / 4), now + self._poll)
            self._inbox.fill(min(deadline, self._check_at) - now)
            while self._inbox.names and len(taken) < limit:
                delivery = self._claim(self._inbox.names.popleft())
                if delivery:
                    taken.append(delivery)
            if taken or now >= deadline:
                return taken

    def close(self) -> None:
        """See `channel.Receiver.close`."""
        self._inbox.close()

    def _claim(self, name: str) -> Delivery | None:
        parts = MESSAGE.fullmatch(name)
        if not parts:
            self._refuse(f"{self._box.ready}/{name}", f"{name[:80]!r} is not the name of a message")
            return None
        try:
            path = self._box.claim(name, self._lease_ns)
        except OSError as error:
            self._refuse(f"{self._box.ready}/{name}", f"{name}: cannot be claimed: {error.strerror}")
            return None
        if path is None:
            return None
        try:
            envelope, body = self._read(path)
        except FileNotFoundError:  # we were stopped for longer than the lease
            return None
        except Definite as error:
            self._refuse(path, f"{name}: {error}")
            return None
        return Delivery(self, Operation(envelope.id, envelope.message, body), int(parts[2]), path, envelope.sender)

    def _read(self, path: str) -> tuple[Envelope, Struct]:
        envelope = read_envelope(path, self._decode)
        message = self._schema.message(envelope.message)
        if message.verb is not self._verb:
            raise Malformed(f"a {message.name} does not belong here: it is no {self._verb.value}")
        if self._verb is Verb.ASK and not self._is_asker(envelope.sender):
            raise Malformed(f"nobody at the return address {envelope.sender[:80]!r}")
        return envelope, self._schema.decode(message.name, envelope.body)

    def _is_asker(self, name: str) -> bool:
        """A return address is looked up among the folders for answers, so it becomes no path of its own."""
        if name not in self._askers:
            self._askers = set(os.listdir(self._answers))
        return name in self._askers

    def _refuse(self, path: str, reason: str) -> None:
        """Set aside what is not a message, and go on."""
        if path in self._immovable:
            return
        try:
            if self._bury(path, reason):
                self.refused.append(reason)
        except OSError as error:  # it has to stay where it is: complain once
            self._immovable.add(path)
            self.refused.append(f"{reason}; it cannot be moved away: {error.strerror}")

    def _bury(self, path: str, reason: str) -> bool:
        return self._box.bury(path, self._publisher.stamp(), reason)

    def _answer(self, asker: str, operation: Operation, result: Struct | Refusal) -> None:
        body = self._schema.encode_answer(result)
        if len(body) > MAX_BYTES:
            raise TooLarge(f"the answer to {operation.message}: {len(body)} bytes, at most {MAX_BYTES}")
        answer = Envelope(operation.id, operation.message, msgspec.Raw(body), version=self._schema.version)
        self._publisher.publish(self._encode(answer), [f"{self._answers}/{asker}"])


class Delivery(channel.Delivery):
    """See `channel.Delivery`. When the lease has lapsed and another has the operation, its acts do nothing."""

    def __init__(self, receiver: Receiver, operation: Operation, attempt: int, path: str, asker: str) -> None:
        self.operation, self.attempt = operation, attempt
        self._receiver, self._path, self._asker = receiver, path, asker

    def reply(self, result: Struct | Refusal) -> None:
        """See `channel.Delivery.reply`."""
        if self._receiver._verb is Verb.ASK:
            self._receiver._answer(self._asker, self.operation, result)

    def settle(self) -> None:
        """See `channel.Delivery.settle`; carried out at once."""
        self._receiver._box.settle(self._path)

    def release(self, delay: float = 0.0) -> None:
        """See `channel.Delivery.release`."""
        if not delay >= 0:
            raise BadArgument("delay", expected="0 or more seconds", got=delay)
        receiver = self._receiver
        receiver._box.release(self._path, delay)
        receiver._check_at = min(receiver._check_at, time.monotonic() + delay)

    def set_aside(self, reason: str) -> None:
        """See `channel.Delivery.set_aside`."""
        self._receiver._bury(self._path, reason)
