"""The idempotent receiver: any channel, with receivers that recognise what they have done already.

A channel that delivers at least once delivers some operations twice; so does a sender that calls again.
Wrapped, each is worked once: its id is its key, the answer that was given is given again.

    noted        when                                          a receiver that is killed after that
    begun        before `take` hands it out                    leaves it in doubt: see below
    done         `reply`, or `settle` where nobody answers,    leaves nothing to do: the next one to get it
                 before the channel is told                    repeats the answer and settles

Between the work and the note lies a window. A receiver that dies there has done the work, and nobody can
know; one that dies before it, with the operation taken, leaves the same note and has done nothing. No
memory beside the work can close this window, only one within the same transaction as the work. What can
be chosen is what happens to such an operation: `in_doubt="again"` works it once more (it may have been worked
before), `"aside"` sets it aside (it may never have been). That is exactly the choice between at least once and
at most once, but only for what lies in the window and no longer for all that is ever repeated.

Neither helps when an operation comes again after it was forgotten: the memory is bounded, in time and in number.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Protocol, get_args

from msgspec import Struct

from sandbox import channel, guarantees
from sandbox.channel import ASK_GROUP, OWNER_GROUP, Backlog, Channel, Sender
from sandbox.errors import BadArgument, Malformed, Refusal
from sandbox.exchange.schema import Schema
from sandbox.guarantees import Guarantees
from sandbox.memory import Known, Memory, State, create
from sandbox.site import Site

InDoubt = Literal["again", "aside"]
Where = Literal["file", "process"]
#: s between two looks whether an operation that comes a second time is done by now
LOOK = 0.01


class Knobs(Protocol):
    """What describes a memory; `Idempotent` says what each means."""

    @property
    def memory(self) -> Where: ...
    @property
    def keep(self) -> float: ...
    @property
    def most(self) -> int: ...
    @property
    def work(self) -> float: ...


@dataclass(frozen=True)
class Idempotent(Channel):
    """Another channel whose receivers work each operation once.

    channel   the one that carries it
    memory    "file": shared by the group, survives a killed receiver; "process": each receiver has its own,
              which ends with it - what another one did, or it itself before a restart, it does not know
    keep      s for which what is done is remembered; longer than anything takes to come again
    most      operations that are remembered
    work      s that a piece of work may take; after that it is in doubt although its receiver lives
    in_doubt  what is done with an operation whose receiver was gone before it was done: see the module's text
    """

    channel: Channel
    memory: Where = "file"
    keep: float = 3600.0
    most: int = 100_000
    work: float = 30.0
    in_doubt: InDoubt = "again"

    sound: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.channel, Channel):
            hint = "Idempotent(Spool()), with the parentheses."
            raise BadArgument("channel", expected="a channel to wrap", got=self.channel, hint=hint)
        if self.in_doubt not in get_args(InDoubt):
            raise BadArgument("in_doubt", expected=" or ".join(map(repr, get_args(InDoubt))), got=self.in_doubt)
        check_memory(self.memory, keep=self.keep, most=self.most, work=self.work)
        object.__setattr__(self, "style", self.channel.style)  # colour and servers are those of what is wrapped
        object.__setattr__(self, "needs", self.channel.needs)

    @property
    def guarantees(self) -> Guarantees:
        """Those of the channel: what it does to effects is no promise about deliveries. In doubt and aside: once."""
        promised = self.channel.guarantees
        if self.in_doubt == "again":
            return promised
        once = guarantees.Delivery.AT_MOST_ONCE
        return replace(promised, tell=replace(promised.tell, delivery=once), ask=replace(promised.ask, delivery=once))

    def install(self, site: Site, schema: Schema) -> None:
        """See `Channel.install`."""
        self.channel.install(site, schema)
        create_memory(self.memory, site)

    def admit(self, site: Site, group: str) -> None:
        """See `Channel.admit`."""
        self.channel.admit(site, group)
        create_memory(self.memory, replace(site, groups=(group,)))

    def migrate(self, site: Site, old: Schema, new: Schema, renamed: Mapping[str, str]) -> tuple[str, ...]:
        """That of the channel. What is remembered stays: an answer that cannot be read any more is set aside."""
        return self.channel.migrate(site, old, new, renamed)

    def uninstall(self, site: Site) -> None:
        """See `Channel.uninstall`."""
        self.channel.uninstall(site)

    def sender(self, site: Site, schema: Schema, name: str) -> Sender:
        """That of the channel."""
        return self.channel.sender(site, schema, name)

    def receiver(self, site: Site, schema: Schema, group: str, name: str) -> Receiver:
        """See `Channel.receiver`."""
        inner = self.channel.receiver(site, schema, group, name)
        return Receiver(inner, open_memory(self, site, group, name, inner), schema, self.in_doubt)

    def backlog(self, site: Site) -> Backlog | None:
        """That of the channel. With in_doubt="aside" it cannot tell: what is claimed there may be over already."""
        return self.channel.backlog(site) if self.in_doubt == "again" else None


def check_memory(memory: str, **bounds: float) -> None:
    """Raise `BadArgument` unless these knobs describe a memory."""
    if memory not in get_args(Where):
        raise BadArgument("memory", expected=" or ".join(map(repr, get_args(Where))), got=memory)
    for name, value in bounds.items():
        if not value > 0:
            raise BadArgument(name, expected="more than 0", got=value)


def create_memory(memory: str, site: Site) -> None:
    """Room for every group to remember in, if it is to be a file."""
    if memory == "file":
        for group in (*site.groups, ASK_GROUP, OWNER_GROUP):
            create(_file_of(site, group))


def open_memory(knobs: Knobs, site: Site, group: str, name: str, inner: channel.Receiver) -> Memory:
    """The memory of one receiver of a group; `inner`, the receiver that it is for, is closed if there is none."""
    path = _file_of(site, group) if knobs.memory == "file" else None
    try:
        return Memory(path, name, keep=knobs.keep, most=knobs.most, work=knobs.work)
    except BaseException:
        inner.close()
        raise


def _file_of(site: Site, group: str) -> Path:
    return site.folder / "idempotent" / f"{group}.db"


class Receiver(channel.Receiver):
    """Hands out what nobody has done yet, and sees to the rest by itself.

    repeats  how many came again and were not worked again
    """

    def __init__(self, inner: channel.Receiver, memory: Memory, schema: Schema, in_doubt: InDoubt = "again") -> None:
        self.memory, self.schema, self.in_doubt = memory, schema, in_doubt
        self.refused = inner.refused
        self.repeats = 0
        self._inner = inner
        self._held: list[channel.Delivery] = []  # come again while the work on them goes on

    def take(self, timeout: float, limit: int = 1) -> list[channel.Delivery]:
        """See `channel.Receiver.take`."""
        deadline = time.monotonic() + timeout
        wait = 0.0 if self._held else timeout
        while True:
            came, self._held = [*self._held, *self._inner.take(wait, limit)], []
            taken = self._admitted(came, limit)
            left = deadline - time.monotonic()
            if taken or left <= 0:
                return taken
            wait = min(left, LOOK) if self._held else left

    def close(self) -> None:
        """See `channel.Receiver.close`."""
        self._inner.close()
        self.memory.close()

    def _admitted(self, came: Iterable[channel.Delivery], limit: int) -> list[channel.Delivery]:
        taken: list[channel.Delivery] = []
        for delivery in came:
            known = self.memory.claim(delivery.operation.id) if len(taken) < limit else Known(State.BUSY)
            if known.state is State.OURS or (known.state is State.DOUBTFUL and self.in_doubt == "again"):
                taken.append(Delivery(self, delivery))
            elif known.state is State.BUSY:
                self._held.append(delivery)
            elif known.state is State.DOUBTFUL:
                Delivery(self, delivery).set_aside("in doubt: whoever had taken it was gone before it was done")
            else:
                self._repeat(delivery, known)
        return taken

    def _repeat(self, delivery: channel.Delivery, known: Known) -> None:
        """It was done: say the same again, and have done with it."""
        self.repeats += 1
        if known.state is State.ASIDE:
            delivery.set_aside((known.said or b"").decode())
            return
        if known.said is not None:
            try:
                said = self.schema.decode_answer(delivery.operation.message, known.said)
            except Malformed as error:  # given by a receiver with another schema
                delivery.set_aside(f"it was done, but what was answered then cannot be said again: {error}")
                return
            delivery.reply(said)
        delivery.settle()


class Delivery(channel.Delivery):
    """A delivery of the channel; whatever is said to the channel is noted before."""

    def __init__(self, receiver: Receiver, inner: channel.Delivery) -> None:
        self.operation, self.attempt = inner.operation, inner.attempt
        self._receiver, self._inner = receiver, inner

    def reply(self, result: Struct | Refusal) -> None:
        """See `channel.Delivery.reply`. Whoever answers has done the work: from here on it is never done again."""
        schema = self._receiver.schema
        if schema.messages[self.operation.message].answer is not None:
            self._receiver.memory.done(self.operation.id, schema.encode_answer(result))
        self._inner.reply(result)

    def settle(self) -> None:
        """See `channel.Delivery.settle`. Settling before the work says that it is done before it is."""
        self._receiver.memory.done(self.operation.id)
        self._inner.settle()

    def release(self, delay: float = 0.0) -> None:
        """See `channel.Delivery.release`."""
        if self._receiver.in_doubt == "aside":
            hint = 'With in_doubt="aside" nothing is delivered a second time.'
            raise BadArgument("release", expected='in_doubt="again"', got="aside", hint=hint)
        self._inner.release(delay)  # first, for it may refuse; until it is forgotten here, whoever gets it holds it
        self._receiver.memory.forget(self.operation.id)

    def set_aside(self, reason: str) -> None:
        """See `channel.Delivery.set_aside`."""
        self._receiver.memory.set_aside(self.operation.id, reason)
        self._inner.set_aside(reason)
