"""second attempt

"It has been delivered before, so it was billed."
"""


def work(delivery, books):
    if delivery.attempt == 1:
        books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
    delivery.settle()
