"""docs/coupling.md, followed to the letter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Session
from sandbox.coupling.cells import Matrix
from sandbox.coupling.finding import find_changes, read_cell
from sandbox.coupling.matrix import QUICK, coupling
from sandbox.coupling.trial import catalogue
from sandbox.coupling.verdict import Answer

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "coupling.md").read_text()
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    file = tmp_path_factory.mktemp("changes") / "bill_the_payer.py"
    file.write_text(EXAMPLE)
    with Session() as session:
        yield coupling([str(file)], ["spool", "compare_and_swap"], session=session, progress=False)


def test_the_change_on_the_page_is_at_most_twenty_five_lines() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 25


def test_an_older_reader_refuses_a_file_that_says_who_pays(matrix: Matrix) -> None:
    assert matrix.cell("bill_the_payer/spool/sender_first").answer is Answer.LOUD


def test_an_older_reader_of_a_table_bills_project_0_as_the_page_says(matrix: Matrix) -> None:
    cell = matrix.cell("bill_the_payer/compare_and_swap/sender_first")
    assert cell.answer is Answer.SILENT
    assert cell.trial is not None
    assert cell.trial.history is not None
    billed = cell.trial.history.to_frame().query("event == 'effect'")
    assert set(billed["detail"]) == {0}


def test_every_cell_that_the_page_names_is_one() -> None:
    named = re.findall(r"--cell (\S+)", PAGE)
    assert named
    for name in named:
        read_cell(name, find_changes(None))


def test_the_page_counts_the_changes_as_they_are() -> None:
    words = {9: "nine"}
    assert f"{len(catalogue())} changes, four styles" in PAGE
    assert f"the {words[len(QUICK)]} that tell most" in PAGE


def test_its_pictures_are_there() -> None:
    for name in re.findall(r"\]\((images/[^)]+)\)", PAGE):
        assert (DOCS / name).is_file(), name
