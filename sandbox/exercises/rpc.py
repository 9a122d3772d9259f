"""Exercise of notebook 04: call again, so that the work is done once and what the caller is told is true.

The check plays the service from a script, so that how many volumes there are in the end, how many attempts were
made and what was told are exact numbers; nothing waits for a clock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.errors import Definite, Indefinite, OverQuota, SandboxError
from sandbox.exercises.check import UNFINISHED, Exercise, Reason
from sandbox.exercises.scripted import Request, Service, Then
from sandbox.harness.words import plural

#: so many attempts more than were allowed are taken for a loop that never ends
ENDLESS = 50


@dataclass(frozen=True)
class Called:
    """What came of one call: what it gave back, or the error that it raised."""

    answer: Any = None
    error: SandboxError | None = None


def _called(call: Any, service: Service, attempts: int, request: Request | None = None) -> Called | None:
    """Carry out the student's function; None: it would never end. Errors of its own are raised here as they were."""
    ended: list[Called | BaseException] = []

    def carry_out() -> None:
        try:
            ended.append(Called(call(service.send, service.sleep, request or Request(), attempts)))
        except SandboxError as error:
            ended.append(Called(error=error))
        except BaseException as error:  # of another thread, or nobody would see it
            ended.append(error)
        service.over.set()

    service.over.clear()
    threading.Thread(target=carry_out, daemon=True).start()
    service.over.wait()
    if not ended:
        return None
    service.deliver()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


def judge(call: Any) -> Iterator[Reason]:
    """Scripts, each with one difficulty more; the first that catches the answer ends it."""
    looks = (_on_a_good_day, _when_something_is_lost, _when_refused, _when_wanted_twice, _when_in_vain, _pausing)
    for look in looks:
        why = look(call)
        if why is not None:
            yield why
            return


def _service(*script: Then, attempts: int) -> Service:
    return Service(script, attempts + ENDLESS)


def _on_a_good_day(call: Any) -> Reason | None:
    service = _service(Then.ANSWERED, attempts=5)
    called = _called(call, service, 5)
    if not service.keys:
        return Reason(UNFINISHED, "Your function has returned without a single call of send.")
    if called is None or len(service.keys) > 1:
        return Reason("too many", f"It was answered at once, and you went on: {plural(len(service.keys), 'attempt')}.")
    return _wrong_answer(called, service)


def _when_something_is_lost(call: Any) -> Reason | None:
    """Only then may be given up when there are no attempts left; and one volume is one volume."""
    for script in (
        (Then.AWAY, Then.AWAY, Then.ANSWERED),
        (Then.REQUEST_LOST, Then.ANSWERED),
        (Then.ANSWER_LOST, Then.ANSWERED),
        (Then.LATE, Then.ANSWERED),
        (Then.ANSWER_LOST, Then.LATE, Then.AWAY, Then.ANSWERED),
    ):
        service = _service(*script, attempts=5)
        called = _called(call, service, 5)
        if called is None:
            return _endless(service)
        if len(service.keys) < len(script):
            return _gave_up(service, 5)
        if len(service.created) > 1:
            return _created_twice(service)
        if why := _wrong_answer(called, service):
            return why
    return None


def _when_refused(call: Any) -> Reason | None:
    for script in ((Then.REFUSED,), (Then.REQUEST_LOST, Then.REFUSED)):
        service = _service(*script, attempts=5)
        called = _called(call, service, 5)
        if called is None or len(service.keys) > len(script):
            return Reason(
                "refusal",
                f"{service.told()} OverQuota is an answer: the service has done its work and says no. It "
                "will say so each time. Let a Refusal through at once.",
            )
        if not isinstance(called.error, OverQuota):
            return Reason(
                "swallowed",
                f"{service.told()} The caller has got {_said(called)}, and does not learn that it was refused: "
                "let the OverQuota through.",
            )
    return None


def _when_wanted_twice(call: Any) -> Reason | None:
    service = _service(Then.ANSWERED, attempts=5)
    for _ in range(2):
        _called(call, service, 5)
    if len(service.created) == 2:
        return None
    return Reason(
        "same key",
        "A customer orders 10 GB, and then 10 GB more: two calls, equal requests, both answered, and there is one "
        "volume. Your second call has used the key of the first. A key is for one call with all its attempts, and "
        "neither for all calls nor for all that look alike.",
    )


def _when_in_vain(call: Any) -> Reason | None:
    for script in ((Then.AWAY,), (Then.REQUEST_LOST,), (Then.ANSWER_LOST, Then.AWAY)):
        service = _service(*script, attempts=3)
        called = _called(call, service, 3)
        if called is None:
            return _endless(service)
        if len(service.keys) > 3:
            return Reason("too many", f"attempts is 3, and you made {len(service.keys)}.")
        if len(service.keys) < 3:
            return _gave_up(service, 3)
        if called.error is None:
            return Reason(
                "silence",
                f"{service.told()} No attempt is left, and the caller has got {_said(called)} as if it were an "
                "answer. Raise the error that is true.",
            )
        if why := _untrue(called.error, service):
            return why
    return None


def _untrue(error: SandboxError, service: Service) -> Reason | None:
    """Failed, for certain, is only what no attempt can have done."""
    possible = service.script != (Then.AWAY,)
    if possible and not isinstance(error, Indefinite):
        return Reason(
            "said failed",
            f"{service.told()} You raise {type(error).__name__}, which says that it has certainly not happened; there "
            f"is {plural(len(service.created), 'volume')}. That the last attempt has failed does not undo the ones "
            "before: if any of them is Indefinite, so is the call.",
        )
    if not possible and not isinstance(error, Definite):
        return Reason(
            "said unknown",
            f"{service.told()} You raise {type(error).__name__}, and the caller must fear that there is a volume. All "
            "attempts were Definite, so the call is: raise that.",
        )
    return None


def _pausing(call: Any) -> Reason | None:
    service = _service(Then.AWAY, Then.AWAY, Then.ANSWERED, attempts=5)
    _called(call, service, 5)
    if {after for after, seconds in service.pauses if seconds > 0} >= {1, 2}:
        return None
    return Reason(
        "hammered",
        "Three attempts, and no pause between them. A service that is away or too slow gets all attempts of all its "
        "callers at once: sleep(seconds) before you try again.",
    )


# ---- what they say --------------------------------------------------------------------------------------------------


def _wrong_answer(called: Called, service: Service) -> Reason | None:
    if [called.answer] == service.created:
        return None
    return Reason("answer", f"{service.told()} The service said {service.created[0]}; the caller got {_said(called)}.")


def _created_twice(service: Service) -> Reason:
    head = f"{service.told()} The caller has asked once, and there are {len(service.created)} volumes."
    if None in service.keys:
        return Reason("no key", f"{head} How should the service know that it is the same request? Give it a key.")
    return Reason(
        "new key",
        f"{head} The attempts came with {len(set(service.keys))} different keys: to the service these are different "
        "requests. The key is that of the call, the same for all its attempts.",
    )


def _gave_up(service: Service, attempts: int) -> Reason:
    return Reason(
        "gave up",
        f"{service.told()} Then you stopped, with {plural(attempts - len(service.keys), 'attempt')} left. "
        "With a key it does no harm to ask again, whether it was Definite or Indefinite.",
    )


def _endless(service: Service) -> Reason:
    return Reason(
        "for ever",
        f"{service.told()} And so on: after {service.limit} attempts the check has given up, not you. "
        "The caller's patience has an end: `attempts`.",
    )


def _said(called: Called) -> str:
    return repr(called.answer) if called.error is None else f"the error {type(called.error).__name__}"


exercise = Exercise(
    name="rpc",
    question=(
        "Write call(send, sleep, request, attempts). send(request, key) makes one attempt: it returns the answer, or "
        "raises a Refusal (the service says no), a Definite error (certainly not done) or an Indefinite one (nobody "
        "knows). The service does the work of a key once and repeats its answer. Try at most `attempts` times, with "
        "sleep(seconds) in between, and return the answer. Whatever is raised in the end must be true, and one call "
        "makes at most one volume."
    ),
    answer="call",
    judge=judge,
    parameters=("send", "sleep", "request", "attempts"),
)
