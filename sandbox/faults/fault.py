"""A fault: something is broken on purpose, for a time, and what was really touched is counted.

    with PauseReceiver():                                           every run in the block has it, all the load long
        run("spool")
    run("spool", faults=[PauseReceiver().during(0.5, lasts=1.0)])   or at a time, in s after the run's start

A fault is written in one file of some 25 lines: see `template.py` and docs/adding-a-fault.md. What it does stands in
`open`, how it is mended in `heal`. The value that a user makes is never used itself: each run has a copy of it, so
one value may be in several runs at the same time, and what a run has noted in its copy is that run's alone.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from abc import ABC
from collections.abc import Sequence
from contextvars import Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from sandbox.channel import Channel
from sandbox.errors import BadArgument
from sandbox.harness.history import Process, Role
from sandbox.harness.stage import AROUND, Stage

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast
    from sandbox.harness.stage import Director

Kind = Literal["process", "server", "network", "disk", "lock", "message"]


class Fault(ABC):
    """One thing that goes wrong. Subclasses are dataclasses whose fields are knobs; all of this may be overridden.

    kind         what is broken
    verb         the exchange that shows best what it does
    instant      it is a moment (a kill), not a window
    repeats      it hands operations over once more: what is worked twice then is no channel's doing
    power_cut    only what was flushed to disk before it was accepted is promised to survive it
    own_servers  it breaks a server: the run must not share its servers
    targets      set by `aim`: the participants (or media) that it acts on
    settle       set before `aim`: when the run's receivers settle, "after" the work or "before" it
    leaves_dead  its targets are gone when it is over, until something restarts them
    exclusive    two faults of this sort cannot be at one target at the same time
    number       which one of its run's faults it is, from 1: the value of its `STRUCK` events
    injected     what was really done: ns of the monotonic clock, and in words
    ended        when it was over by itself, ns of the monotonic clock; 0: it lasts until it is healed
    """

    kind: ClassVar[Kind] = "process"
    verb: ClassVar[str] = "tell"
    instant: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    power_cut: ClassVar[bool] = False

    own_servers: bool = False
    leaves_dead: bool = False
    exclusive: bool = False
    targets: tuple[str, ...] = ()
    settle: str = "after"
    number: int = 0
    ended: int = 0
    injected: list[tuple[int, str]]

    @classmethod
    def name(cls) -> str:
        """Under which it is found: the class name in lower case with underscores."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")

    @property
    def title(self) -> str:
        """What happens, in plain words, for charts and tables."""
        return self.name().replace("_", " ")

    # --- before the run ---------------------------------------------------------------------------

    def why_not(self, channel: Channel) -> str:
        """Why a channel cannot have this fault, in words short enough for a cell of a table; "" when it can."""
        return ""

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """Settle `targets`, of those who will be there. `BadArgument` for one who will not."""

    # --- in the run -------------------------------------------------------------------------------

    def prepare(self, stage: Stage) -> None:
        """Before the channel is installed: give participants a hook, another channel, another address."""

    def open(self, cast: Cast) -> None:
        """Break it."""

    def watch(self, cast: Cast) -> None:
        """Again and again while it is open or busy, every few ms: whatever has to be done later. It must not wait."""

    def busy(self, cast: Cast) -> bool:
        """Whether the load has to wait for something that `watch` will do."""
        return False

    def heal(self, cast: Cast) -> None:
        """Mend it, also when it was never opened or is mended already. Called however the run ends."""

    def end(self, stage: Stage) -> None:
        """Take down what `prepare` has put up. Called once, the participants being gone."""

    def touch(self, what: str) -> None:
        """Put on record that it has really touched something, now."""
        self.injected.append((time.monotonic_ns(), what))

    def witnesses(self) -> int:
        """How often it has really touched something; what its hooks have put on record is in `injected` by then."""
        return len(self.injected)

    # --- how it is used ---------------------------------------------------------------------------

    def at(self, seconds: float) -> Planned:
        """This fault, so many seconds after the run's start; what is no moment lasts until the load ends."""
        return Planned(self, seconds)

    def during(self, at: float, lasts: float) -> Planned:
        """This fault, for `lasts` seconds."""
        return Planned(self, at, lasts)

    def __enter__(self) -> Self:
        around = AROUND.get()
        outer = around.faults if isinstance(around, Around) else ()
        self._tokens = [*getattr(self, "_tokens", ()), AROUND.set(Around((*outer, self)))]
        return self

    def __exit__(self, *_: object) -> None:
        AROUND.reset(self._tokens.pop())

    def knobs(self) -> dict[str, Any]:
        """What was set, ready for JSON."""
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        return {each.name: getattr(self, each.name) for each in fields if each.init}

    def copy(self, number: int) -> Self:
        """The same fault, untouched, as number so-and-so of a run."""
        fresh = copy.copy(self)
        fresh.number, fresh.injected, fresh.ended, fresh._tokens = number, [], 0, []
        return fresh

    _tokens: list[Token[Any]]


@dataclass(frozen=True)
class Planned:
    """A fault and its time.

    at     s after the run's start; None: it is there before anybody sends
    lasts  s until it is healed; None: until the load ends. A moment has no length
    """

    fault: Fault
    at: float | None = None
    lasts: float | None = None


@dataclass(frozen=True)
class Around:
    """Puts faults around every run of a `with` block."""

    faults: tuple[Fault, ...]

    def __call__(self, director: Director) -> Director:
        from sandbox.faults.plan import FaultPlan

        return FaultPlan.around(director, [Planned(fault) for fault in self.faults])


def first(role: Role, wanted: str, processes: Sequence[Process]) -> tuple[str, ...]:
    """The participant with a role that is wanted by name, or the first one where no name is given."""
    known = every(role, processes)
    if wanted and wanted not in known:
        raise BadArgument(role.value, expected="one of " + ", ".join(known), got=wanted)
    return (wanted or known[0],)


def every(role: Role, processes: Sequence[Process]) -> tuple[str, ...]:
    """All participants with a role; `BadArgument` when there is none."""
    known = tuple(process.name for process in processes if process.role is role)
    if not known:
        hint = 'Workload("tell") has one; what is shared directly goes to nobody.'
        raise BadArgument(role.value, expected=f"a workload with a {role.value}", got="one without", hint=hint)
    return known


@dataclass
class AtReceiver(Fault):
    """A fault of one receiver. who: its name; the first one unless set."""

    who: str = field(default="", kw_only=True)

    @property
    def whom(self) -> str:
        """For titles."""
        return ", ".join(self.targets) or "receiver"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = first(Role.RECEIVER, self.who, processes)


@dataclass
class AtSender(Fault):
    """A fault of one sender. who: its name; the first one unless set."""

    who: str = field(default="", kw_only=True)

    @property
    def whom(self) -> str:
        """For titles."""
        return ", ".join(self.targets) or "sender"

    def aim(self, channel: Channel, processes: Sequence[Process]) -> None:
        """See `Fault.aim`."""
        self.targets = first(Role.SENDER, self.who, processes)


def bare(channel: Channel) -> Channel:
    """What carries the operations, of a channel that another one is wrapped around."""
    while isinstance(inner := getattr(channel, "channel", None), Channel):
        channel = inner
    return channel
