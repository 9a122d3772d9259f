"""The bill and the memory of it in one transaction; looked up within, and settled after it."""


def work(delivery, books):
    """Bill one download to its project, once, however often it is delivered and whenever this process dies."""
    download = delivery.operation.body
    with books.together():
        if not books.knows(delivery.operation.id):
            books.bill(download.project, download.bytes_sent)
            books.remember(delivery.operation.id)
    delivery.settle()
