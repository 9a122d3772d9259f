"""same key

The same request, the same key: so the key is computed from the request.
"""

from sandbox.errors import Definite, Indefinite


def call(send, sleep, request, attempts):
    key, worst = hash(request), None
    for _ in range(attempts):
        try:
            return send(request, key)
        except Indefinite as error:
            worst = error
        except Definite as error:
            worst = worst or error
        sleep(0.2)
    raise worst
