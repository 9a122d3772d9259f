"""in doubt"""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """Notes what is billed, and forgets that it can die before the note."""

    def is_billed(self, delivery):
        return self.noted(delivery.operation.id)

    def billed(self, delivery):
        self.note(delivery.operation.id)
