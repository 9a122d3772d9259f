"""twice

Settled after the work, as notifications are: nothing is lost, and what comes again is billed again.
"""


def work(delivery, books):
    books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
    delivery.settle()
