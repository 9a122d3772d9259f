"""new key

A key, since the lesson says so; made where it is used.
"""

import uuid

from sandbox.errors import Definite, Indefinite


def call(send, sleep, request, attempts):
    worst = None
    for _ in range(attempts):
        try:
            return send(request, key=uuid.uuid4())
        except Indefinite as error:
            worst = error
        except Definite as error:
            worst = worst or error
        sleep(0.2)
    raise worst
