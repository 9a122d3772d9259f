"""order"""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """Believes that what has a lower number has come before."""

    highest = 0

    def is_billed(self, delivery):
        return delivery.operation.id <= self.highest or self.noted(delivery.operation.id)

    def billed(self, delivery):
        self.highest = max(self.highest, delivery.operation.id)
        self.note(delivery.operation.id)
