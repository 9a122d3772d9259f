"""Channels that lie: each declares one guarantee and breaks precisely that one.

The conformance suite must reject every one of them, for the guarantee that stands in `lies_about`.
"""

from __future__ import annotations

import inspect

from liars import ask, contract, share, tell
from liars.base import Lie

LIARS = [
    kind
    for module in (tell, ask, share, contract)
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, Lie) and kind.__module__ == module.__name__
]
