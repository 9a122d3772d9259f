"""order

One number instead of a set: the highest id so far.
"""

newest = 0


def work(delivery, books):
    global newest
    if delivery.operation.id > newest:
        books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
        newest = delivery.operation.id
    delivery.settle()
