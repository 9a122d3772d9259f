"""told again

Saves the look at what comes for the first time, as far as the channel knows.
"""


def work(delivery, books):
    with books.together():
        if delivery.attempt == 1 or not books.knows(delivery.operation.id):
            books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
            books.remember(delivery.operation.id)
    delivery.settle()
