"""flag day

The change of one evening: everybody says and reads the new field from now on. It needs all parties stopped at once.
"""

from sandbox.coupling.change import Body, carry, exchange
from sandbox.exchange.release import FIRST, Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole

MIB = 1 << 20


class InMiB(Body):
    image: Whole
    project: Whole
    mib_sent: Whole
    metadata: Metadata = ""


class SaysMiB(Speaker):
    def say(self, meant):
        return carry(meant, InMiB, mib_sent=meant.bytes_sent // MIB)


class HearsMiB(Listener):
    def understand(self, body):
        return carry(body, ImageDownloaded, bytes_sent=body.mib_sent * MIB)


def releases():
    """Release 1, and those that follow it, in the order in which they are rolled out."""
    last = Release(exchange(image_downloaded=InMiB), SaysMiB, HearsMiB)
    return [FIRST, FIRST, FIRST, last]
