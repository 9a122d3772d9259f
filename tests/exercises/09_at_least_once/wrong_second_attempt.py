"""second attempt"""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """Takes "delivered before" for "billed before"."""

    def is_billed(self, delivery):
        return delivery.attempt > 1 or self.noted(delivery.operation.id)

    def billed(self, delivery):
        self.note(delivery.operation.id)
