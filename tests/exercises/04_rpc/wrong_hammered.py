"""hammered

At most one volume and a true report, at the cost of whoever is in trouble already.
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
    raise worst
