"""Proves what a channel declares, claim by claim, with real processes that are really killed.

    from sandbox.conformance import prove

    prove("spool")                  a channel of the package
    prove("path/to/mine.py")        one of your own, from a file
    prove(Mine())                   or from a notebook cell

    report.py     what comes out: findings, each with what was sent, expected, and came
    claims.py     what a claim is
    delivery.py  acceptance.py  answers.py  state.py  contract.py     the claims themselves
    stage.py      a claim's own place: a fresh site and the processes on it
    ends.py       the two ends of the channel, each in a process of its own; handles.py: how a claim holds them
    traces.py     what is left on shared servers
    proof.py      runs the claims

A claim can only ever be refuted: a proof that finds nothing has not shown that nothing is there. What a
kill cannot show - a power cut, say - is said in the evidence.
"""

from __future__ import annotations

from sandbox.conformance.proof import prove, variants
from sandbox.conformance.report import Finding, Report

__all__ = ["Finding", "Report", "prove", "variants"]
