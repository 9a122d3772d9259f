"""swallowed

Knows that a refusal is final, and keeps it to itself.
"""

import uuid

from sandbox.errors import Definite, Indefinite, Refusal


def call(send, sleep, request, attempts):
    key, worst = uuid.uuid4(), None
    for _ in range(attempts):
        try:
            return send(request, key)
        except Refusal:
            return None
        except Indefinite as error:
            worst = error
        except Definite as error:
            worst = worst or error
        sleep(0.2)
    raise worst
