"""Faults: something is broken on purpose, for a time, and what was touched is counted.

from sandbox.faults import PauseReceiver, applicable

with PauseReceiver(): run("spool")                              every run in the block
run("spool", faults=[PauseReceiver().during(0.5, lasts=1.0)])   at a time
applicable("spool")                                             which faults a channel can have, and why not
fault_matrix(quick=True)                                        every fault on every style, and what became of it

    fault.py       what a fault is            catalogue/   one file a fault, found by looking
    plan.py        those of one run           bad_use.py   what is refused before the run
    switch.py, killing.py, meddling.py, at_server.py   what several faults are made of
    drawing.py     random ones from a seed    template.py  to start your own from
    proxy/         the network's              crash/       a kill at every effect
    soak/          random ones, run after run  power_cut/  flushed before it was accepted?
    matrix.py      every fault on every style: scenes, verdict, cells, evidence, page, store, command
    traced.py      the row of the power cut in the matrix
    weaknesses.py  every declared weakness, and the run that shows it
"""

from __future__ import annotations

from typing import Any

_HOMES = {
    "Fault": "fault",
    "FaultPlan": "plan",
    "Planned": "fault",
    "fault_matrix": "matrix",
    "applicable": "catalogue",
    "faults": "catalogue",
    "find_fault": "catalogue",
    "schedule": "drawing",
}


def __getattr__(name: str) -> Any:
    """Import on first use: a run without faults does not pay for them."""
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name[:1].isupper():
        for kind in importlib.import_module(f"{__name__}.catalogue").faults().values():
            if kind.__name__ == name:
                return kind
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
