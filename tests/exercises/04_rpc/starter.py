"""no key

The loop of `blind_retry`: everybody writes it, because each line of it makes sense.
"""

from sandbox.errors import SandboxError


def call(send, sleep, request, attempts):
    """The answer to a request, for which `send` is called at most `attempts` times."""
    for _ in range(attempts):
        try:
            return send(request, key=None)
        except SandboxError:
            sleep(0.2)
    return None
