"""Soak: random faults from a seed against every sound channel, for as long as one likes.

trial.py       one run: its workload and its schedule, drawn from the seed
kill_now.py    a kill at a time and not at a point: whatever the process is doing
proof.py       which kills hit a process with operations in hand; the others do not count
judging.py     what broke the channel's own declaration
shrinking.py   a schedule that fails, shortened to what is needed to fail
soaking.py     many trials side by side       result.py, command.py   what is said of it
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Import on first use."""
    import importlib

    if name == "soak":
        return importlib.import_module(f"{__name__}.soaking").soak
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
