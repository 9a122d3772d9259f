"""Every exercise: its starter and its plausible wrong answers are refused for their own reason, its solution passes.

An exercise is a folder `tests/exercises/<nn>_<name>/`; see `sandbox/exercises/__init__.py` for what belongs into it.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import nbformat
import pytest

from sandbox import load
from sandbox.errors import BadArgument
from sandbox.exercises import Exercise, Reason
from sandbox.exercises.measuring import per_operation
from sandbox.harness.result import Result

FOLDERS = sorted(path for path in (Path(__file__).parent / "exercises").glob("[0-9][0-9]_*") if path.is_dir())
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
REFUSED = [path for folder in FOLDERS for path in (folder / "starter.py", *sorted(folder.glob("wrong_*.py")))]
#: so many characters of one line are more than a coincidence
TELLTALE = 24


def exercise_of(folder: Path) -> Exercise:
    found = importlib.import_module(f"sandbox.exercises.{folder.name[3:]}").exercise
    assert isinstance(found, Exercise)
    return found


def defined_in(path: Path) -> Any:
    """The answer that a file defines, carried out as a cell of a notebook would be."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), namespace)
    return namespace[exercise_of(path.parent).answer]


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]


def without_docstring(path: Path) -> str:
    text = path.read_text()
    return "\n".join(text.splitlines()[ast.parse(text).body[0].end_lineno :]).strip()


def cells(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


def notebook_of(folder: Path) -> Path | None:
    return next(NOTEBOOKS.glob(f"{folder.name[:2]}-*.ipynb"), None)


def names(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}" if path.suffix else path.name


@pytest.mark.parametrize("path", REFUSED, ids=names)
def test_an_answer_that_is_not_right_is_refused_for_its_stated_reason_and_no_other(path: Path) -> None:
    outcome = exercise_of(path.parent).check(defined_in(path))
    assert outcome.ids == (first_line(path),), outcome


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_the_solution_passes(folder: Path) -> None:
    outcome = exercise_of(folder).check(defined_in(folder / "solution.py"))
    assert outcome.passed, outcome


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_there_are_at_least_three_wrong_answers_each_with_a_reason_of_its_own(folder: Path) -> None:
    reasons = [first_line(path) for path in folder.glob("wrong_*.py")]
    assert len(reasons) >= 3
    assert len(set(reasons)) == len(reasons), reasons


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_the_notebook_hands_out_the_starter_as_it_is_tested(folder: Path) -> None:
    notebook = notebook_of(folder)
    assert notebook, f"no notebook has the number of {folder.name}"
    assert without_docstring(folder / "starter.py") in cells(notebook)


@pytest.mark.parametrize("folder", FOLDERS, ids=names)
def test_no_line_of_a_solution_is_handed_out(folder: Path) -> None:
    known = {line.strip() for line in (folder / "starter.py").read_text().splitlines()}
    own = {line.strip() for line in without_docstring(folder / "solution.py").splitlines()} - known
    telltale = {line for line in own if len(line) >= TELLTALE and not line.startswith(("#", "from ", "import "))}
    assert telltale
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        text = "\n".join(cells(notebook))
        leaked = [line for line in telltale if line in text]
        assert not leaked, f"{notebook.name} shows {leaked}"


def test_a_run_as_one_row_an_operation_has_the_latencies_that_the_sandbox_measures() -> None:
    result = load(NOTEBOOKS / "recorded" / "compare" / "histories" / "socket-ask-1.npz")
    assert isinstance(result, Result)
    rows = per_operation(result)
    response = (rows["done_ms"] - rows["intended_ms"])[~rows["warmup"]] * 1e6
    measured = result.samples("ask")
    assert rows["warmup"].sum() == result.history.workload.warmup
    assert response.index.tolist() == measured.operations.tolist()
    assert response.tolist() == pytest.approx(measured.ns.tolist())


def test_only_a_run_of_asks_has_one_answer_an_operation() -> None:
    with pytest.raises(BadArgument, match="ask alone"):
        per_operation(load(NOTEBOOKS / "recorded" / "compare" / "histories" / "socket-tell-1.npz"))


# --- what a check says to answers that cannot even be tried -----------------------------------------------------


def judge(add: Any) -> Any:
    if add(2, 2) != 4:
        yield Reason("sum", "2 and 2 are 4")


ADD = Exercise("adding", "Add.", "add", judge, parameters=("a", "b"))
CHANNEL = Exercise("a_channel", "Write one.", "Mine", lambda kind: (), base=Exercise)


def test_a_right_answer_passes_and_a_wrong_one_is_told_why() -> None:
    assert ADD.check(lambda a, b: a + b).passed
    outcome = ADD.check(lambda a, b: a - b)
    assert str(outcome) == "adding: not yet\n  sum: 2 and 2 are 4"
    assert "<b>sum</b>: 2 and 2 are 4" in outcome._repr_html_()


@pytest.mark.parametrize("answer", [lambda a: a, 4, None, int, "add"])
def test_what_cannot_be_called_as_asked_for_is_refused_with_the_call(answer: Any) -> None:
    outcome = ADD.check(answer)
    assert outcome.ids == ("signature",)
    assert "add(a, b)" in str(outcome)


@pytest.mark.parametrize("answer", [lambda a: a, ADD, dict])
def test_a_class_is_asked_for_by_its_base(answer: Any) -> None:
    outcome = CHANNEL.check(answer)
    assert outcome.ids == ("signature",)
    assert "extends Exercise" in str(outcome)


def test_an_error_of_the_students_code_is_shown_with_its_line_and_not_as_a_traceback() -> None:
    def add(a: int, b: int) -> float:
        return a / (b - 2)

    outcome = ADD.check(add)
    assert outcome.ids == ("raised",)
    assert "`return a / (b - 2)`" in str(outcome)
    assert "ZeroDivisionError: division by zero" in str(outcome)
    assert "Traceback" not in str(outcome)


def test_a_body_that_is_not_written_yet_is_no_error() -> None:
    def add(a: int, b: int) -> int:
        raise NotImplementedError

    assert ADD.check(add).ids == ("unfinished",)


def test_what_a_student_returns_is_never_taken_for_html() -> None:
    outcome = ADD.check(lambda a, b: (_ for _ in ()).throw(ValueError("<script>")))
    assert "&lt;script&gt;" in outcome._repr_html_()
    assert "<script>" not in outcome._repr_html_()


def test_stopping_a_check_stops_it() -> None:
    def add(a: int, b: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ADD.check(add)
