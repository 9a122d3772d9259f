"""Who has met a fault that touches nobody by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.harness.history import Role
from sandbox.harness.journal import Event, read

if TYPE_CHECKING:
    from sandbox.harness.cast import Cast


def operations_begun(cast: Cast) -> int:
    """How many operations have been begun so far."""
    paths = [cast.journals[name] for name in cast.of(Role.SENDER) if cast.journals[name].exists()]
    return sum(int((read(path)["event"] == Event.INTENT).sum()) for path in paths)
