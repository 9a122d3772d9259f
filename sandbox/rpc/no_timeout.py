"""A call without a timeout: what everybody writes first, because the argument may be left out.

    answer = service.create_volume(...)     and nobody has said for how long

It works as long as there is an answer. When the other side is killed, its kernel closes the connection and the
call ends: that is why this is not noticed on one's own machine. But where the other side is paused, hangs, or is
on a machine that has lost its power or its network, there is nobody to close anything. The call stays open for
ever, without any outcome; whoever waits for it waits for ever, and with it whoever waits for that one.

`blind_retry` gives up in time - and makes the next mistake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from sandbox.rpc.socket import Delivery, Receiver, Sender, Socket

__all__ = ["Delivery", "NoTimeout", "Receiver", "Sender"]


@dataclass(frozen=True)
class NoTimeout(Socket):
    """Calls that wait until they are answered.

    timeout  s until a call is reported UNKNOWN: never, unless somebody thinks of it
    """

    timeout: float = math.inf

    sound: ClassVar[bool] = False
    longest: ClassVar[float] = math.inf
