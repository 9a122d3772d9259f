"""One key for all attempts, refusals let through, and in the end the error that is true."""

import uuid

from sandbox.errors import Definite, Indefinite


def call(send, sleep, request, attempts):
    """The answer to a request, for which `send` is called at most `attempts` times."""
    key, worst = uuid.uuid4(), None
    for attempt in range(attempts):
        if attempt:
            sleep(0.1 * 2**attempt)
        try:
            return send(request, key)
        except Indefinite as error:
            worst = error
        except Definite as error:
            worst = worst or error
    raise worst
