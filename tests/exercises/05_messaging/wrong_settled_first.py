"""lost

One transaction, and settled before it: all that remains is a window of one line.
"""


def work(delivery, books):
    delivery.settle()
    with books.together():
        if not books.knows(delivery.operation.id):
            books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
            books.remember(delivery.operation.id)
