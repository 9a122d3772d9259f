"""too many

One attempt, and then so many more.
"""

import uuid

from sandbox.errors import Definite, Indefinite


def call(send, sleep, request, attempts):
    key, worst = uuid.uuid4(), None
    for _ in range(attempts):
        try:
            return send(request, key)
        except Indefinite as error:
            worst = error
        except Definite as error:
            worst = worst or error
        sleep(0.2)
    try:
        return send(request, key)
    except Definite as error:
        raise worst or error from None
