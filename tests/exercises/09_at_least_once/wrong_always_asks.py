"""asked too often"""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """Right, and slower with every download."""

    def is_billed(self, delivery):
        return self.ask_the_bill(delivery.operation.id)

    def billed(self, delivery):
        pass
