"""merged

Known by what it says, not by its id.
"""


def work(delivery, books):
    download = delivery.operation.body
    key = (download.image, download.project, download.bytes_sent)
    with books.together():
        if not books.knows(key):
            books.bill(download.project, download.bytes_sent)
            books.remember(key)
    delivery.settle()
