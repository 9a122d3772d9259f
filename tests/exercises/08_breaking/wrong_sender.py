"""told twice"""

from dataclasses import dataclass

from sandbox.faults import Duplicate


@dataclass
class Mine(Duplicate):
    """The sender tells one twice."""

    times: int = 1
