"""Faults that strike from within a participant, at a named point of its life, while they are open.

Whether a fault is open is said by a few bytes of shared memory in the run's folder: the run's process writes them,
participants look at them without a system call.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.faults.fault import Fault
from sandbox.harness.history import Process
from sandbox.harness.hook import Hook
from sandbox.harness.journal import Journal
from sandbox.harness.stage import Part, Stage

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast

_NUMBER = struct.Struct("<q")
_BYTES = 3 * _NUMBER.size


class Switch:
    """Three numbers that the run and its participants share; a value that travels as the path of its file.

    on       1 while the fault is open
    strikes  how often it has struck, over all participants
    chosen   the operation that it has chosen, 0 before
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map: mmap.mmap | None = None

    def make(self) -> None:
        """Make its file, switched off."""
        self._path.write_bytes(bytes(_BYTES))

    def close(self) -> None:
        """Unmap the file."""
        if self._map is not None:
            self._map.close()
            self._map = None

    on = property(lambda self: self._get(0), lambda self, value: self._set(0, value))
    strikes = property(lambda self: self._get(1), lambda self, value: self._set(1, value))
    chosen = property(lambda self: self._get(2), lambda self, value: self._set(2, value))

    def _get(self, index: int) -> int:
        (value,) = _NUMBER.unpack_from(self._mapped(), index * _NUMBER.size)
        return int(value)

    def _set(self, index: int, value: int) -> None:
        _NUMBER.pack_into(self._mapped(), index * _NUMBER.size, value)

    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            descriptor = os.open(self._path, os.O_RDWR)
            try:
                self._map = mmap.mmap(descriptor, _BYTES)
            finally:
                os.close(descriptor)
        return self._map

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_map": None}


class Within(Hook):
    """Asks its fault, at every point, while the fault is open."""

    def __init__(self, fault: HookedFault) -> None:
        self.fault = fault

    def start(self, name: str, journal: Journal) -> None:
        """See `Hook.start`."""
        super().start(name, journal)
        self.switch = self.fault.switch

    def at(self, point: str, operation: int, attempt: int = 0) -> None:
        """See `Hook.at`."""
        if self.switch.on:
            self.fault.meet(self, point, operation, attempt)

    def witness(self, operation: int, value: int = 0) -> None:
        """On record under the number of its fault."""
        super().witness(operation, self.fault.number)

    def choose(self, operation: int) -> bool:
        """Whether this operation is the chosen one: the first that is asked for, in whatever participant."""
        self.switch.chosen = self.switch.chosen or operation
        return bool(self.switch.chosen == operation)

    def strike(self, operation: int) -> None:
        """Put on record that it strikes, where all can see it."""
        self.switch.strikes += 1
        self.witness(operation)


class HookedFault(Fault):
    """A fault that acts at named points in its targets, and in whoever comes in their place. Override `meet`.

    It travels to them as a value, so it must hold nothing that cannot: no process, no socket.
    """

    switch: Switch

    def meet(self, hook: Within, point: str, operation: int, attempt: int) -> None:
        """In a participant at a point, while the fault is open: ``hook.witness(operation)``, and then do it.

        It may sleep, kill (``hook.die(operation)``) or raise, as `Hook` says. What it notes in `self` stays there.
        """

    def prepare(self, stage: Stage) -> None:
        """See `Fault.prepare`."""
        self.switch = Switch(stage.site.folder / f"fault-{self.number}")
        self.switch.make()
        stage.change(self._hooked)

    def open(self, cast: Cast) -> None:
        """See `Fault.open`."""
        self.switch.on = 1

    def heal(self, cast: Cast) -> None:
        """See `Fault.heal`."""
        self.switch.on = 0

    def end(self, stage: Stage) -> None:
        """See `Fault.end`."""
        self.switch.close()

    def change(self, part: Part, hook: Within) -> Part:
        """What a target is given."""
        return part.hooked(hook)

    def _hooked(self, process: Process, part: Part) -> Part:
        return self.change(part, Within(self)) if original(process.name) in self.targets else part


def original(name: str) -> str:
    """Whose part a participant plays: metering-0_3 -> metering-0."""
    return re.sub(r"_\d+$", "", name)
