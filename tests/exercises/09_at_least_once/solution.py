"""Noted when it is billed; whoever gets one again that nobody has noted is in doubt, and only then asks the bill."""

from sandbox.exercises.at_least_once import Metering


class Once(Metering):
    """A note for what is certain, the bill for what is not."""

    def is_billed(self, delivery):
        """Noted; or delivered before, not noted, and on the bill."""
        number = delivery.operation.id
        if self.noted(number):
            return True
        return delivery.attempt > 1 and self.ask_the_bill(number)

    def billed(self, delivery):
        """From here on it is certain."""
        self.note(delivery.operation.id)
