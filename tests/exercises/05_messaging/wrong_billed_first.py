"""remembered too late

Two steps that outlive the process, and a gap between them.
"""


def work(delivery, books):
    if not books.knows(delivery.operation.id):
        books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
        books.remember(delivery.operation.id)
    delivery.settle()
