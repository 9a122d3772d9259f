"""told twice"""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """Bills whatever comes: at least once."""

    def is_billed(self, delivery):
        """A download has come. True: settle it, it is billed already; False: bill it now."""
        return False

    def billed(self, delivery):
        """It stands on the bill now; the channel does not know that yet."""
