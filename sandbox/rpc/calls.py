"""What a sender knows of a call that is under way, and what it may say about it in the end."""

from __future__ import annotations

from msgspec import Struct

from sandbox.channel import Outcome, Status
from sandbox.errors import Definite, Malformed, Refusal, TooLarge, UnknownMessage, VersionMismatch
from sandbox.exchange.schema import Message, Schema, refusal
from sandbox.rpc.framing import Reply

#: Errors of the machinery, by which the other side says that it has not begun the work.
DEFINITE = frozenset(kind.__name__ for kind in (Definite, Malformed, TooLarge, UnknownMessage, VersionMismatch))

_ACCEPTED = Status.ACCEPTED


class Call(Struct, gc=False):
    """One call, made to one receiver or (a tell) to one of each group.

    number    of this call; the operation may be called more than once
    parts     receivers of which nothing final is known yet; at 0 the outcome is known
    deadline  in s of `time.monotonic`
    cast      accepted when the kernel has it; nobody replies
    """

    number: int
    operation: int
    message: Message
    parts: int
    deadline: float
    cast: bool
    answer: Struct | Refusal | None = None
    possible: bool = False
    reasons: tuple[str, ...] = ()

    def accepted(self) -> None:
        """One receiver (or, of a cast, the kernel) has it."""
        self.parts -= 1
        self.possible = True

    def failed(self, reason: str) -> None:
        """It has certainly not reached one receiver, or not been begun there."""
        self.parts -= 1
        self.reasons += (reason,)

    def lost(self, reason: str) -> None:
        """Nobody can say whether one receiver has done it."""
        self.parts -= 1
        self.possible = True
        self.reasons += (reason,)

    def expired(self, reason: str) -> None:
        """No more is waited for. What is queued may still leave, so this is never a certain failure."""
        self.lost(reason)
        self.parts = 0

    def replied(self, reply: Reply, schema: Schema) -> Outcome | None:
        """One receiver has replied; the outcome, if that was the last one."""
        if reply.error:
            self._refused(reply)
        elif self.message.answer is None:
            if self.parts == 1 and not self.reasons:  # what happens to nearly all of them
                self.parts = 0
                return Outcome(self.operation, _ACCEPTED)
            self.accepted()
        else:
            try:
                self.answer = schema.decode_answer(self.message.name, reply.result)
                self.parts -= 1
            except Malformed as error:
                self.lost(f"it was answered, but unreadably: {error}")
        return None if self.parts else self.outcome()

    def _refused(self, reply: Reply) -> None:
        if reply.error in DEFINITE:
            self.failed(f"{reply.error}: {reply.reason}")
        elif self.message.answer is None:
            self.lost(f"{reply.error}: {reply.reason}")  # set aside, perhaps in the middle of the work
        else:
            self.answer = refusal(reply.error, reply.reason)
            self.parts -= 1

    def outcome(self) -> Outcome:
        """What is to be reported, once no part is left."""
        if self.answer is not None:
            return Outcome(self.operation, Status.ANSWERED, self.answer)
        if not self.reasons:
            return Outcome(self.operation, Status.ACCEPTED)
        # a tell that some groups have and others certainly not has neither happened nor failed
        status = Status.UNKNOWN if self.possible else Status.FAILED
        return Outcome(self.operation, status, reason="; ".join(self.reasons))
