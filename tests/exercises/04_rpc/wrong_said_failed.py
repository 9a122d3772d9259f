"""said failed

Raises the last error, as every library for retries does.
"""

import uuid

from sandbox.errors import Definite, Indefinite


def call(send, sleep, request, attempts):
    key = uuid.uuid4()
    for attempt in range(attempts):
        try:
            return send(request, key)
        except (Definite, Indefinite):
            if attempt == attempts - 1:
                raise
            sleep(0.2)
    return None
