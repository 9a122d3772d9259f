"""silence

Everything is right as long as somebody answers; otherwise the caller gets None.
"""

import uuid

from sandbox.errors import Definite, Indefinite


def call(send, sleep, request, attempts):
    key = uuid.uuid4()
    for _ in range(attempts):
        try:
            return send(request, key)
        except (Definite, Indefinite):
            sleep(0.2)
    return None
