"""The rows of the matrix of failures: each fault, at the point where it tells something, in a short run that shows it.

A row is named after its fault, and after the point where that strikes: ``kill_receiver_worked``. The name of the
fault alone means all of its points in a list of faults, and its usual point in the name of one cell.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass

from sandbox.catalogue import find
from sandbox.channel import Channel
from sandbox.coupling.finding import nearest
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.faults.catalogue import every_fault, find_fault
from sandbox.faults.catalogue.kill_receiver import WHEN as RECEIVING
from sandbox.faults.catalogue.kill_receiver import KillReceiver
from sandbox.faults.catalogue.kill_sender import WHEN as SENDING
from sandbox.faults.catalogue.kill_sender import KillSender
from sandbox.faults.fault import Fault, Planned
from sandbox.guarantees import Support
from sandbox.harness.compare import name_of
from sandbox.harness.workload import Workload
from sandbox.idempotent import Idempotent

#: s after the run's start when it breaks, and how long what is no moment lasts
AT, LASTS = 0.2, 0.3
#: operations, and how many a second: 1.7 s of load, 1.2 s of it after the fault, so that whoever comes back late on a
#: busy machine is still watched
OPERATIONS, RATE = 510, 300.0
#: knobs that channels may have -> s; a run of a second cannot wait for the usual ones
_TIMES = {"lease": 0.3, "timeout": 1.0}
#: the column of an idempotent receiver is named after its channel with this before it
IDEMPOTENT = "idempotent-"
#: faults that are shown at more than one point
_POINTS: dict[type[Fault], Iterable[str]] = {KillReceiver: RECEIVING, KillSender: SENDING}
#: faults that need more than one receiver
_RECEIVERS = {"rolling_restart": 2}


@dataclass(frozen=True)
class Scene:
    """One row.

    name     by which it is asked for
    fault    what breaks; options: what the command line needs beside the name, e.g. ``--faults mine.py``
    """

    name: str
    fault: Fault
    options: str = ""

    @property
    def title(self) -> str:
        """In plain words."""
        return self.fault.title

    @property
    def verb(self) -> Verb:
        """The exchange that shows it."""
        return Verb(self.fault.verb)

    def planned(self) -> Planned:
        """The fault with its time."""
        return self.fault.at(AT) if self.fault.instant else self.fault.during(AT, LASTS)

    def workload(self, settle: str = "after") -> Workload:
        """What is offered."""
        return Workload(
            str(self.verb),
            operations=OPERATIONS,
            rate=RATE,
            warmup=0,
            size=200,
            timeout=2.0,
            receivers=_RECEIVERS.get(self.fault.name(), 1),
            settle=settle,
        )

    def why_not(self, channel: Channel) -> str:
        """Why a channel has no such cell; "" where it has."""
        if channel.guarantees.of(self.verb).support is Support.ABSENT:
            return f"does not offer {self.verb}"
        return self.fault.why_not(channel)


@dataclass(frozen=True)
class Column:
    """A channel as the matrix shows it, and as the command line calls it."""

    channel: Channel
    title: str
    named: str


def scenes(named: Iterable[str | type[Fault] | Fault] | None = None) -> list[Scene]:
    """The rows that names, files, classes and faults say; without any, all of the catalogue.

    Raises `BadArgument` with the nearest name.
    """
    if named is None:
        return [scene for fault in every_fault() for scene in _points(fault)]
    found = [scene for one in named for scene in _scenes(one)]
    names = [scene.name for scene in found]
    if not found or len(set(names)) != len(names):
        raise BadArgument("faults", expected="at least one, all different", got=names)
    return found


def read_cell(name: str, named: Sequence[str] | None = None) -> tuple[Scene, str]:
    """``kill_receiver_worked/streams`` -> its row and the channel's name; the rest of it may be a path."""
    fault, bar, channel = name.strip("/").partition("/")
    if not (fault and bar and channel):
        raise BadArgument("cell", expected="FAULT/CHANNEL", got=name)
    own = {scene.name: scene for scene in scenes(named)} if named else {}
    mine = [own[fault]] if fault in own else _scenes(fault)
    usual = [scene for scene in mine if scene.fault == type(scene.fault)()] if len(mine) > 1 else []
    return (usual or mine)[0], channel


def column(named: str | type[Channel] | Channel) -> Column:
    """The column of one channel; ``idempotent-spool`` has receivers that do nothing twice."""
    if isinstance(named, str) and named.startswith(IDEMPOTENT):
        inner = find(named.removeprefix(IDEMPOTENT))
        return Column(Idempotent(hurried(inner)), f"idempotent {name_of(inner)}", named)
    channel = find(named)
    title = name_of(channel)
    return Column(hurried(channel), title, named if isinstance(named, str) else title)


def hurried(channel: Channel) -> Channel:
    """The channel with short leases and timeouts, where it has such knobs."""
    known = {field.name for field in fields(channel)} if is_dataclass(channel) else set[str]()
    return find(channel, **{knob: value for knob, value in _TIMES.items() if knob in known})


def _scenes(named: str | type[Fault] | Fault) -> list[Scene]:
    """All points of what is named or a class; a value is itself."""
    if isinstance(named, Fault):
        return [_of_value(named)]
    if not isinstance(named, str):
        return _points(find_fault(named))
    if ".py" in named:
        return [Scene(scene.name, scene.fault, f" --faults {named}") for scene in _points(find_fault(named))]
    known = scenes()
    mine = [scene for scene in known if named in (scene.name, scene.fault.name())]
    if not mine:
        every = dict.fromkeys(name for scene in known for name in (scene.fault.name(), scene.name))
        raise nearest("fault", named, every, "A fault of your own is named by its file: path/to/mine.py")
    return mine


def _points(fault: Fault) -> list[Scene]:
    """A row for each of its points, or one for what has none."""
    points = _POINTS.get(type(fault), ())
    scenes = [Scene(f"{fault.name()}_{point}", find_fault(type(fault), point=point)) for point in points]
    return scenes or [Scene(fault.name(), fault)]


def _of_value(fault: Fault) -> Scene:
    """One row for a fault as it is. No command can name knobs: where they are not the usual ones, it says so."""
    point = f"_{fault.knobs()['point']}" if type(fault) in _POINTS else ""
    known = inspect.signature(type(fault)).parameters
    unusual = {knob: value for knob, value in fault.knobs().items() if value != known[knob].default and knob != "point"}
    said = ", ".join(f"{knob}={value!r}" for knob, value in unusual.items())
    return Scene(f"{fault.name()}{point}", fault, f"  # here with {said}" if said else "")
