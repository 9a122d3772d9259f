"""An exercise, and what its check says to an answer: passed, or refused for reasons in plain words."""

from __future__ import annotations

import html
import inspect
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

#: reasons that every exercise has; its own ones are named by its judge
SIGNATURE, RAISED, UNFINISHED = "signature", "raised", "unfinished"


@dataclass(frozen=True)
class Reason:
    """Why an answer is refused: an id of one or two words, and a sentence a student can act upon."""

    id: str
    why: str


@dataclass(frozen=True)
class Outcome:
    """What the check of an exercise says to one answer; renders as text and in a notebook."""

    exercise: str
    question: str
    reasons: tuple[Reason, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the answer."""
        return not self.reasons

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the reasons."""
        return tuple(reason.id for reason in self.reasons)

    def __str__(self) -> str:
        if self.passed:
            return f"{self.exercise}: passed"
        lines = [f"{self.exercise}: not yet"]
        return "\n".join([*lines, *(f"  {reason.id}: {_indented(reason.why)}" for reason in self.reasons)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "passed" if self.passed else "not yet"
        items = "".join(
            f"<li style='white-space: pre-wrap'><b>{html.escape(reason.id)}</b>: {html.escape(reason.why)}</li>"
            for reason in self.reasons
        )
        return f"<p><b>{html.escape(self.exercise)}: {head}</b></p>" + (f"<ul>{items}</ul>" if items else "")


@dataclass(frozen=True)
class Exercise:
    """One exercise; shown in a notebook it is its question.

    name        as in `sandbox/exercises/<name>.py`
    question    what is asked for, in a sentence or two
    answer      the name that the student defines, e.g. "p99"
    judge       gets the answer and yields what speaks against it; exceptions of the student's code need no care
    parameters  of the function that is asked for: it must be callable with so many positional arguments
    base        the class that a class which is asked for must extend, instead
    """

    name: str
    question: str
    answer: str
    judge: Callable[[Any], Iterable[Reason]]
    parameters: tuple[str, ...] = ()
    base: type | None = None

    def check(self, answer: Any) -> Outcome:
        """Judge an answer. Never raises for what is wrong with it; stopping the cell stops the check."""
        unusable = self._unusable(answer)
        if unusable:
            return self._outcome([Reason(SIGNATURE, unusable)])
        reasons: list[Reason] = []
        try:
            for reason in self.judge(answer):
                reasons.append(reason)
        except NotImplementedError:
            reasons.append(Reason(UNFINISHED, f"{self.answer} still raises NotImplementedError: write its body."))
        except Exception as error:
            reasons.append(Reason(RAISED, _explained(error, answer)))
        return self._outcome(reasons)

    def _outcome(self, reasons: list[Reason]) -> Outcome:
        return Outcome(self.name, self.question, tuple(reasons))

    def _unusable(self, answer: Any) -> str:
        """Why the answer cannot even be tried; empty when it can."""
        if self.base is not None:
            if inspect.isclass(answer) and issubclass(answer, self.base):
                return ""
            return f"{self.answer} must be a class that extends {self.base.__name__}; this is {_kind(answer)}."
        call = f"{self.answer}({', '.join(self.parameters)})"
        if inspect.isclass(answer) or not callable(answer):
            hint = f" Pass the function itself: exercise.check({self.answer})."
            return f"What is asked for is a function {call}; this is {_kind(answer)}.{hint}"
        try:
            inspect.signature(answer).bind(*self.parameters)
        except TypeError as error:
            return f"The check calls {call}, and your function cannot be called so: {error}."
        except ValueError:  # some built-in functions do not tell
            pass
        return ""

    def __str__(self) -> str:
        return self.question

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p><b>{html.escape(self.name)}</b>: {html.escape(self.question)}</p>"


def _kind(answer: Any) -> str:
    return f"the class {answer.__name__}" if inspect.isclass(answer) else f"a value of type {type(answer).__name__}"


def _explained(error: Exception, answer: Any) -> str:
    """Which error, and the last line of the student's own code on the way to it."""
    file = _file_of(answer)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if file and frame.filename == file]
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if not own:
        return f"The check could not work with what your code gave back, or could not run it. {text}"
    line = f"`{own[-1].line}`" if own[-1].line else "that line"
    return f"Your code raised an error in {own[-1].name}, line {own[-1].lineno}: {line}\n{text}"


def _file_of(answer: Any) -> str:
    """Where the code of a function, or of a class's methods, comes from; in a notebook each cell is a file."""
    for found in (answer, *(vars(answer).values() if inspect.isclass(answer) else ())):
        code = getattr(inspect.unwrap(found) if callable(found) else found, "__code__", None)
        if code is not None:
            return str(code.co_filename)
    return ""


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
