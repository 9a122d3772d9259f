"""A power cut, which no kill can show: was it flushed to disk before its sender was told that it was accepted?

power_cut("spool", flush=True)      how it is seen: the system calls of all who have a part in it, in their order

What a killed process had written is safe with the kernel, so a kill says nothing about the disk. What a power cut
would leave is therefore not tried, it is concluded: operations are sent one by one, every process that has a part in
it - the sender, the receiver, a server of their own - is traced, and the order is looked at in which what was written
is flushed and accepted. Linux only.

    calls.py     what a system call does to files, in our words    ptrace.py   the kernel's interface for tracers
    judging.py   from that, in its order, the answer               tracing.py  the process that traces the others
    trial.py     puts a channel's ends and the tracer on a stage   row.py      one answer a channel, for tables

What it does not see: whether the disk itself does what it was told; a file written through mapped memory or by
io_uring (then it says that it cannot be traced); and whether what was flushed is enough to find the operation again:
that is what the recovery after a kill shows.
"""

from __future__ import annotations

from sandbox.faults.power_cut.judging import FLUSHED, NOT_FLUSHED, NOTHING_STORED, PowerCut
from sandbox.faults.power_cut.row import power_cut_row
from sandbox.faults.power_cut.trial import power_cut

__all__ = ["FLUSHED", "NOTHING_STORED", "NOT_FLUSHED", "PowerCut", "power_cut", "power_cut_row"]
