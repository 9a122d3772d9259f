"""not kept yet

Everything together, the channel's part too - but the channel is no part of the transaction.
"""


def work(delivery, books):
    with books.together():
        if not books.knows(delivery.operation.id):
            books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
            books.remember(delivery.operation.id)
        delivery.settle()
