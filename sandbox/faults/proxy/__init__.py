"""A network proxy of our own: stands between a client and a server and does to the bytes what networks do.

    proxy.py       `Proxy`, how the session holds it: an address for the client, and the faults as methods
    addresses.py   where a medium is behind its address, and the same address with the proxy in its place
    relay.py       the process: accepts, connects, one loop over all sockets and timers
    doors.py       where the process listens, and whom it connects to; a folder of rpc receivers, mirrored
    pipes.py       one direction of one connection: what is held, when it is due, when it breaks
    rules.py       what is being done to the traffic, and the record of what was really touched
    controls.py    the session's requests, carried out on the rules and the connections

It needs no root, as it is simply the one whom the client calls. That is also its limit: whoever connects to it
has a connection at once, also while nothing gets through, because the kernel answers for it.
"""

from __future__ import annotations

from sandbox.faults.proxy.proxy import Proxy, media
from sandbox.faults.proxy.rules import Direction, Touch

__all__ = ["Direction", "Proxy", "Touch", "media"]
