"""The integration sandbox: four ways to integrate services, side by side under one workload.

from sandbox import Workload, run, compare

run("spool", Workload("tell", operations=200))      one workload on one channel
compare(Workload("ask"))                            the same exchange through every style
sweep("spool", "tell")                              more and more load, and the knee
coupling(quick=True)                                change one side, see what breaks on the other
load("runs/...")                                    a recorded result
channels()                                          what there is and what each promises
doctor()                                            what works on this machine
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox import coupling
    from sandbox.api import channels, compare, doctor, load, run
    from sandbox.channel import Channel
    from sandbox.harness.session import Session
    from sandbox.harness.sweep import sweep
    from sandbox.harness.workload import Workload
    from sandbox.minimal import Minimal

__all__ = ["Channel", "Minimal", "Session", "Workload"]
__all__ += ["channels", "compare", "coupling", "doctor", "load", "run", "sweep"]

_HOMES = {
    "Channel": "sandbox.channel",
    "Minimal": "sandbox.minimal",
    "Session": "sandbox.harness.session",
    "Workload": "sandbox.harness.workload",
    "sweep": "sandbox.harness.sweep",
}
#: packages that can be called: their name is that of what they do
_CALLABLE = ("coupling",)


def __getattr__(name: str) -> Any:
    """Import on first use: `import sandbox` stays fast, and what is not used is not paid for."""
    if name not in __all__:
        raise AttributeError(f"module 'sandbox' has no attribute {name!r}; it has: {', '.join(__all__)}")
    if name in _CALLABLE:
        return importlib.import_module(f"sandbox.{name}")
    return getattr(importlib.import_module(_HOMES.get(name, "sandbox.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
