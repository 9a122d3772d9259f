"""remembered too soon

"Better not billed than billed twice."
"""


def work(delivery, books):
    if not books.knows(delivery.operation.id):
        books.remember(delivery.operation.id)
        books.bill(delivery.operation.body.project, delivery.operation.body.bytes_sent)
    delivery.settle()
