"""wrong bill

The reader of the last release multiplies by 1,000,000: a megabyte is no MiB.
"""

from sandbox.coupling.change import Body, carry, exchange
from sandbox.exchange.release import FIRST, Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole

MIB = 1 << 20


class Either(Body, omit_defaults=True):
    image: Whole
    project: Whole
    bytes_sent: Whole | None = None
    mib_sent: Whole | None = None
    metadata: Metadata = ""


class InMiB(Body):
    image: Whole
    project: Whole
    mib_sent: Whole
    metadata: Metadata = ""


class StillSaysBytes(Speaker):
    def say(self, meant):
        return carry(meant, Either)


class SaysMiBOnly(Speaker):
    def say(self, meant):
        return carry(meant, Either, bytes_sent=None, mib_sent=meant.bytes_sent // MIB)


class SaysMiB(Speaker):
    def say(self, meant):
        return carry(meant, InMiB, mib_sent=meant.bytes_sent // MIB)


class HearsEither(Listener):
    def understand(self, body):
        size = body.bytes_sent if body.mib_sent is None else body.mib_sent * MIB
        return carry(body, ImageDownloaded, bytes_sent=size)


class HearsMiB(Listener):
    def understand(self, body):
        return carry(body, ImageDownloaded, bytes_sent=body.mib_sent * 1_000_000)


def releases():
    """Release 1, and those that follow it, in the order in which they are rolled out."""
    either = exchange(image_downloaded=Either)
    return [
        FIRST,
        Release(either, StillSaysBytes, HearsEither),
        Release(either, SaysMiBOnly, HearsEither),
        Release(exchange(image_downloaded=InMiB), SaysMiB, HearsMiB),
    ]
