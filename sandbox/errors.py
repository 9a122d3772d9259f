"""Every error the sandbox raises or reports, in one tree.

    SandboxError
    ├── BadArgument            the caller asked for something impossible; nothing was started
    ├── ServerUnavailable      a database or broker could not be started or reached
    ├── RunFailed              a run could not be carried out (its records, if any, are kept)
    ├── Definite               the operation certainly did not happen
    │   ├── Malformed          bytes, a row or a file that is not a message of the schema
    │   ├── TooLarge           longer than the channel's declared limit
    │   ├── UnknownMessage     a name that the other side's schema does not have
    │   └── VersionMismatch    the other side does not speak this version
    ├── Indefinite             nobody can say whether the operation happened
    │   ├── TimedOut           no outcome within the time allowed
    │   └── ConnectionLost     the connection broke before the outcome came
    └── Refusal                the other side did its work and said no: a business answer
        ├── OverQuota          the project's quota does not allow it
        ├── NoSuchVolume       the volume was never written
        └── RemoteError        the other side's code failed; its kind and text, never its object

*Definite* and *indefinite* decide what may be done next: a definite failure may be tried again
freely, an indefinite one only where doing the work twice is harmless (Maelstrom makes the same
distinction in its error codes).
"""

from __future__ import annotations


class SandboxError(Exception):
    """Root of the tree: catch this to catch everything the sandbox raises."""


class BadArgument(SandboxError, ValueError):
    """What was expected, what came, and what to do next - before anything was started."""

    def __init__(self, what: str, *, expected: str, got: object, hint: str = "") -> None:
        text = f"{what}: expected {expected}, got {got!r}."
        super().__init__(f"{text} {hint}" if hint else text)


class ServerUnavailable(SandboxError):
    """A server could not be started or reached; carries its last log lines and the way out."""

    def __init__(self, server: str, reason: str, *, log: str = "", way_out: str = "") -> None:
        parts = [f"{server} is not available: {reason}"]
        if log.strip():
            parts.append("Its last log lines:\n" + "\n".join(f"    {line}" for line in log.strip().splitlines()[-8:]))
        if way_out:
            parts.append(way_out)
        super().__init__("\n".join(parts))


class RunFailed(SandboxError):
    """A run could not be carried out to its end."""


class Definite(SandboxError):
    """The operation certainly did not happen."""


class Malformed(Definite):
    """Input that is not a message of the schema; the text says where it departs from it."""


class TooLarge(Definite):
    """Input longer than the channel's declared limit."""


class UnknownMessage(Definite):
    """A message name that this side's schema does not have."""


class VersionMismatch(Definite):
    """The other side does not speak this version of the schema."""


class Indefinite(SandboxError):
    """Nobody can say whether the operation happened."""


class TimedOut(Indefinite):
    """No outcome within the time allowed."""


class ConnectionLost(Indefinite):
    """The connection broke before the outcome came."""


class Refusal(SandboxError):
    """The other side did its work and said no. Travels as a kind and a text, never as an object."""


class OverQuota(Refusal):
    """The project's quota does not allow the volume."""


class NoSuchVolume(Refusal):
    """Nobody has written a state for this volume yet."""


class RemoteError(Refusal):
    """The other side's code failed. Stands in for every error kind that is not allowed to travel."""


#: The kinds that may cross a channel as themselves; any other kind arrives as RemoteError.
ALLOWED_REFUSALS: dict[str, type[Refusal]] = {kind.__name__: kind for kind in (OverQuota, NoSuchVolume, RemoteError)}
