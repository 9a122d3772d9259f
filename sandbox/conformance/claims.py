"""What a claim is: a function that tries to refute one declared guarantee.

It returns its evidence, or raises `Refuted` with it, or `DoesNotApply` with the reason. The first line
of its docstring is the promise in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from sandbox.channel import Channel
from sandbox.conformance.handles import EndFailed
from sandbox.conformance.report import Finding
from sandbox.conformance.stage import Stage
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Ask, Delivery, Guarantees, Share, Support, Tell
from sandbox.harness.session import Session


class Refuted(Exception):
    """The channel does not hold what it declares; the text is the evidence."""


class DoesNotApply(Exception):
    """The channel does not declare this; the text is the reason."""


class DoomedServers:
    """A session whose servers may be killed, started when it is first wanted, for one claim at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._session: Session | None = None

    @contextmanager
    def borrowed(self, media: Iterable[str]) -> Iterator[Session]:
        """The session, with these servers up, until the claim is through with it."""
        with self._lock:
            if self._session is None:
                self._session = Session()
            for medium in media:
                server = self._session.server(medium)
                if server.pid is None and not server.external:  # a claim that was refuted may have left it dead
                    server.restart()
            yield self._session

    def close(self) -> None:
        """End it."""
        if self._session is not None:
            self._session.close()


class Proof:
    """What a claim has to work with."""

    def __init__(self, channel: Channel, session: Session, patience: float, verb: Verb, doomed: DoomedServers) -> None:
        self.channel, self.session, self.patience, self.verb = channel, session, patience, verb
        self._doomed = doomed
        self._open = ExitStack()

    @property
    def guarantees(self) -> Guarantees:
        """What the channel declares."""
        return self.channel.guarantees

    @property
    def declared(self) -> Tell | Ask | Share:
        """What it declares for the verb of the claim."""
        return self.guarantees.of(self.verb)

    @property
    def delivery(self) -> Delivery:
        """What it declares about the receiver's death; shared state that is asked of an owner has no such promise."""
        assert not isinstance(self.declared, Share)
        return self.declared.delivery

    def stage(self, *groups: str, session: Session | None = None, **knobs: Any) -> Stage:
        """A fresh site with the channel installed; `knobs` are set where the channel has them."""
        stage = Stage(self.channel, session or self.session, groups or ("metering",), self.patience, knobs)
        self._open.callback(stage.close)
        return stage

    def doomed_session(self) -> Session:
        """A session with servers that may be killed, for this claim alone until it ends."""
        return self._open.enter_context(self._doomed.borrowed(self.channel.needs))

    def has_knob(self, name: str) -> bool:
        """Whether the channel has a field of this name."""
        return name in getattr(self.channel, "__dataclass_fields__", {})

    def close(self) -> None:
        """End every process that the claim has started."""
        self._open.close()


@dataclass(frozen=True)
class Claim:
    """One promise about one verb, and the attempt to refute it.

    guarantee  the field of `Guarantees`, "tell.order", or the rule of the contract, "contract.begin"
    words      the promise; `shared` if they are the same for several verbs
    """

    guarantee: str
    words: str
    attempt: Callable[[Proof], str]
    verb: Verb
    shared: bool

    @property
    def text(self) -> str:
        """The promise, and of which verb where that does not show in the guarantee."""
        return f"{self.words} ({self.verb})" if self.shared and self.verb not in self.guarantee else self.words

    def examine(self, channel: Channel, session: Session, patience: float, doomed: DoomedServers) -> Finding:
        """Try to refute it. A channel that fails at it has refuted it as well."""
        try:
            with closing(Proof(channel, session, patience, self.verb, doomed)) as proof:
                evidence = self._evidence(proof)
            return Finding(self.text, True, evidence, self.guarantee)
        except DoesNotApply as reason:
            return Finding(self.text, None, str(reason), self.guarantee)
        except (Refuted, EndFailed) as reason:
            return Finding(self.text, False, str(reason), self.guarantee)

    def _evidence(self, proof: Proof) -> str:
        if proof.declared.support is Support.ABSENT:
            raise DoesNotApply(f"{self.verb} is declared absent")
        return self.attempt(proof)


#: every claim, in the order in which they were registered
CLAIMS: list[Claim] = []


def claim(guarantee: str, *verbs: Verb) -> Callable[[Callable[[Proof], str]], Callable[[Proof], str]]:
    """Register a claim about a guarantee, once for each verb; "{verb}" in its name stands for the verb."""

    def register(attempt: Callable[[Proof], str]) -> Callable[[Proof], str]:
        words = (attempt.__doc__ or "").strip().splitlines()[0].rstrip(".")
        for verb in verbs:
            CLAIMS.append(Claim(guarantee.format(verb=verb), words, attempt, verb, len(verbs) > 1))
        return attempt

    return register


def check(holds: bool, *, sent: str, expected: str, came: str) -> str:
    """The evidence, if it holds; else raise it as `Refuted`."""
    evidence = f"sent: {sent}; expected: {expected}; came: {came}"
    if not holds:
        raise Refuted(evidence)
    return evidence


def applies(condition: bool, otherwise: str) -> None:
    """Raise `DoesNotApply` with the reason unless the condition holds."""
    if not condition:
        raise DoesNotApply(otherwise)
