"""for ever

Persistent, and nothing can stop it: the bare `except` catches everything else.
"""

import uuid

from sandbox.errors import Refusal


def call(send, sleep, request, attempts):
    key = uuid.uuid4()
    while True:
        try:
            return send(request, key)
        except Refusal:
            raise
        except:  # noqa: E722 - that is the mistake
            sleep(0.2)
