"""How a claim holds the two ends of a channel, each in a process of its own: see `ends`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sandbox.channel import Outcome, Status, is_final
from sandbox.conformance.ends import Seen
from sandbox.errors import RunFailed
from sandbox.exchange.schema import EXCHANGE, Operation
from sandbox.harness.participant import Participant


class EndFailed(Exception):
    """An end raised, died or hung where it should have done as it was told."""


class _End:
    def __init__(self, participant: Participant, patience: float) -> None:
        self._participant, self._patience = participant, patience
        self.name = participant.name

    def tell(self, command: str, *arguments: Any, seconds: float = 0.0) -> Any:
        """Have it do something that takes up to `seconds`; what it answers."""
        self._participant.send((command, *arguments))
        return self.answer(command, seconds)

    def answer(self, doing: str, seconds: float = 0.0) -> Any:
        """Its answer. Raises `EndFailed`, in words for a reader, when none comes."""
        try:
            _, value = self._participant.receive(self._patience + seconds)
        except RunFailed as error:
            raise EndFailed(f"{self.name} raised at {doing!r}: {str(error).strip().splitlines()[-1]}") from None
        except EOFError:
            raise EndFailed(f"{self.name} died at {doing!r}") from None
        except TimeoutError:
            raise EndFailed(f"{self.name} was told to {doing!r} and hangs in it for {self._patience:g} s") from None
        return value

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self._participant.kill()
        try:
            while True:
                self._participant.receive(self._patience)
        except (EOFError, RunFailed):
            return

    def close(self) -> None:
        """Close its end of the channel in good order."""
        self.tell("close")


class SendingEnd(_End):
    """A sender in a process of its own."""

    def begin(self, operations: Iterable[Operation]) -> dict[int, str]:
        """Begin each; id -> error of those that raised a definite one."""
        raised: dict[int, str] = self.tell("begin", list(operations))
        return raised

    def finals(self, operations: Iterable[Operation], seconds: float | None = None) -> dict[int, Outcome]:
        """Wait until each has its final outcome or the time is up; id -> final outcome of those that have."""
        wanted = {operation.id: operation.message for operation in operations}
        seconds = self._patience if seconds is None else seconds
        log = self.tell("wait", list(wanted), seconds, seconds=seconds)
        return {
            outcome.operation: outcome
            for outcome in log
            if outcome.operation in wanted and is_final(EXCHANGE, wanted[outcome.operation], outcome.status)
        }

    def outcomes(self) -> list[Outcome]:
        """All that came so far."""
        log: list[Outcome] = self.tell("outcomes")
        return log

    def accepted(self) -> set[int]:
        """Operations that were reported ACCEPTED so far."""
        return {outcome.operation for outcome in self.outcomes() if outcome.status is Status.ACCEPTED}

    def begin_and_freeze(self, operations: Sequence[Operation]) -> set[int]:
        """Begin, wait until each is accepted, then never call the channel again; those that were accepted."""
        log = self.tell("begin_and_freeze", list(operations), self._patience, seconds=self._patience)
        return {outcome.operation for outcome in log if outcome.status is Status.ACCEPTED}

    def late(self) -> int:
        """Its count of late answers."""
        late: int = self.tell("late")
        return late


class ReceivingEnd(_End):
    """A receiver in a process of its own."""

    def take(self, count: int, seconds: float | None = None) -> list[Seen]:
        """Take until there are `count` or the time is up, and hold them."""
        seconds = self._patience if seconds is None else seconds
        seen: list[Seen] = self.tell("take", count, seconds, seconds=seconds)
        return seen

    def take_and_settle(self, count: int) -> float:
        """Take and settle; for how many s at most anything was claimed and not yet settled."""
        held: float = self.tell("take_and_settle", count, self._patience, seconds=self._patience)
        return held

    def act(self, verb: str, ids: Iterable[int] | None = None, *arguments: Any) -> str:
        """Settle, release, reply to ... what it holds (None: all); the error if it was a `BadArgument`."""
        error: str = self.tell("act", verb, None if ids is None else list(ids), *arguments)
        return error

    def settle(self, ids: Iterable[int] | None = None) -> None:
        """Settle what it holds (None: all), and see to it that this is carried out."""
        self.act("settle", ids)
        self.tell("carry_out")

    def work(self) -> None:
        """From now on take, answer and settle in the background."""
        self.tell("work")

    def seen(self) -> list[Seen]:
        """All deliveries so far."""
        seen: list[Seen] = self.tell("seen")
        return seen
