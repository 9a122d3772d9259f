"""forgotten

What oslo.messaging does with notifications: a small cache of ids, in the listener's own memory.
"""

seen = set()


def work(delivery, books):
    if delivery.operation.id not in seen:
        books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
        seen.add(delivery.operation.id)
    delivery.settle()
