"""said unknown

To be on the safe side, everything is unknown.
"""

import uuid

from sandbox.errors import Definite, Indefinite, TimedOut


def call(send, sleep, request, attempts):
    key = uuid.uuid4()
    for _ in range(attempts):
        try:
            return send(request, key)
        except (Definite, Indefinite):
            sleep(0.2)
    raise TimedOut(f"no answer to {attempts} attempts")
