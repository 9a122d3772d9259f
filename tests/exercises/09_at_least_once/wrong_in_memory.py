"""forgotten"""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """What it remembers ends with the process."""

    def __init__(self, *folders):
        super().__init__(*folders)
        self.seen = set()

    def is_billed(self, delivery):
        return delivery.operation.id in self.seen

    def billed(self, delivery):
        self.seen.add(delivery.operation.id)
