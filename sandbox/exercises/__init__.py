"""The exercises of the notebooks from 02 on: one module each, and a check that says *why* an answer is refused.

How to add one, say to notebook 11 on "faults":

1. `sandbox/exercises/faults.py` holds ``exercise = Exercise(name="faults", ...)`` and its judge: a generator that gets
   the student's function or class and yields ``Reason("lost", "3 of 40 messages ...")`` for what is wrong with it, and
   nothing for a right answer. Yield the root cause and return: its consequences would only confuse.
2. It judges an invariant of a real run (`sandbox.run`) or an exact computed answer; never milliseconds.
3. `tests/exercises/11_faults/` holds `starter.py`, `solution.py` and at least three `wrong_*.py`. Each begins with a
   docstring; the first line of those that must be refused is the id of the reason. No two wrong ones share it.
4. `notebooks/11-*.ipynb` has one cell that is the starter without its docstring, and one ``exercise.check(...)``.
5. `tests/test_exercises.py` finds all of it by itself. `docs/teaching/11.md` is for whoever stands before the class.
"""

from __future__ import annotations

from sandbox.exercises.check import Exercise, Outcome, Reason

__all__ = ["Exercise", "Outcome", "Reason"]
