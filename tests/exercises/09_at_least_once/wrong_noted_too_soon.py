"""noted too soon"""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """Notes what it takes in hand, and believes that it is billed then."""

    def is_billed(self, delivery):
        if self.noted(delivery.operation.id):
            return True
        self.note(delivery.operation.id)
        return False

    def billed(self, delivery):
        pass
