"""Coupling, measured: one of two parties is changed, and what that does to the business is looked up on the bill.

The package can be called: ``from sandbox import coupling``, then ``coupling(quick=True)`` is
`sandbox.coupling.matrix.coupling`, which says what it takes; and ``sandbox.coupling.trial`` is still there.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.coupling.cells import Matrix


class _Callable(ModuleType):
    """A package whose name is also the name of what it does."""

    def __call__(self, *arguments: Any, **named: Any) -> Matrix:
        """See `sandbox.coupling.matrix.coupling`."""
        from sandbox.coupling.matrix import coupling

        return coupling(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
