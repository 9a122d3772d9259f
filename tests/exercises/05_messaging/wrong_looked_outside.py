"""at the same time

Looks before the transaction begins: by then another may have done it.
"""


def work(delivery, books):
    if not books.knows(delivery.operation.id):
        with books.together():
            books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
            books.remember(delivery.operation.id)
    delivery.settle()
