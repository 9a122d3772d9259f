"""Crash at every effect: where, in a channel's own source, does it hurt to be killed?

from sandbox.faults.crash import crash_map
crash_map("spool")          its source, line by line: safe / loses / repeats / gets stuck

effects.py, libpq.py   what counts as an outside effect         source.py   which source is the channel's own
watching.py            in the participant: sees them, strikes   load.py     the small workload
points.py              from effects to kills                    trial.py    one run, with who takes whose place
judging.py             the oracles' verdict                     mapping.py  all runs, several at a time
result.py, page.py     the map, as data, text and HTML          command.py  python -m sandbox crash
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.faults.crash.judging import Fate
    from sandbox.faults.crash.mapping import crash_map
    from sandbox.faults.crash.result import CrashMap

__all__ = ["CrashMap", "Fate", "crash_map"]

_HOMES = {"CrashMap": "result", "Fate": "judging", "crash_map": "mapping"}


def __getattr__(name: str) -> Any:
    """Import on first use: what watches in a participant does not need what is made of it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sandbox.faults.crash' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sandbox.faults.crash.{_HOMES[name]}"), name)
