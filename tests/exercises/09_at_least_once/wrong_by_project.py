"""merged"""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """Knows a download by whose it is."""

    def is_billed(self, delivery):
        return self.noted(f"billed to {delivery.operation.body.project}")

    def billed(self, delivery):
        self.note(f"billed to {delivery.operation.body.project}")
