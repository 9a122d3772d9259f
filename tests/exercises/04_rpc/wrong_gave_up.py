"""gave up

Too careful: what may have happened is not asked again, although the key makes it harmless.
"""

import uuid

from sandbox.errors import Definite


def call(send, sleep, request, attempts):
    key = uuid.uuid4()
    for attempt in range(attempts):
        try:
            return send(request, key)
        except Definite:
            if attempt == attempts - 1:
                raise
            sleep(0.2)
    return None
