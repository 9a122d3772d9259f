"""never settled

There is nothing to do for a duplicate, so nothing is done.
"""


def work(delivery, books):
    with books.together():
        if books.knows(delivery.operation.id):
            return
        books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
        books.remember(delivery.operation.id)
    delivery.settle()
