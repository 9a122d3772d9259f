"""A fault to start your own from: it breaks nothing, and says so.

Copy this file, rename the class, and run it by its path:

    from sandbox.faults import find_fault
    run("spool", faults=[find_fault("path/to/mine.py").during(0.2, lasts=0.5)])

docs/adding-a-fault.md tells what else a fault can do.
"""

from dataclasses import dataclass
from typing import ClassVar

from sandbox.channel import Channel
from sandbox.faults.fault import AtReceiver, Kind
from sandbox.harness.cast import Cast


@dataclass
class Nothing(AtReceiver):
    """What happens, in one sentence. Fields are knobs."""

    kind: ClassVar[Kind] = "process"

    def why_not(self, channel: Channel) -> str:
        """In which channels it cannot happen, and why; "" where it can."""
        return ""

    def open(self, cast: Cast) -> None:
        """Break it, and say that you have: ``self.touch(...)`` once for each thing that was really touched."""

    def heal(self, cast: Cast) -> None:
        """Mend it - also when it was never opened, and when it is mended already."""
