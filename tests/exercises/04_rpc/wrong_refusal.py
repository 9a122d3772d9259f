"""refusal

An exception is an exception.
"""

import uuid

from sandbox.errors import SandboxError


def call(send, sleep, request, attempts):
    key = uuid.uuid4()
    for attempt in range(attempts):
        try:
            return send(request, key)
        except SandboxError:
            if attempt == attempts - 1:
                raise
            sleep(0.2)
    return None
