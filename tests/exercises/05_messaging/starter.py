"""lost

Settled before the work, as OpenStack's RPC does it: whatever is in hand when the receiver dies is gone.
"""


def work(delivery, books):
    """Bill one download to its project, once, however often it is delivered and whenever this process dies."""
    download = delivery.operation.body
    delivery.settle()
    books.bill(download.project, download.bytes_sent)
