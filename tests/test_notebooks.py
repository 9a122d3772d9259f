"""The course: every notebook runs from top to bottom in a real kernel, and is committed without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def shown(notebook: nbformat.NotebookNode) -> str:
    """All that a reader sees below the cells, as text."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            texts.append(output.get("data", {}).get("text/plain", ""))
            texts.append(output.get("data", {}).get("text/html", ""))
    return "\n".join(texts)


def test_the_course_begins_with_00_and_01() -> None:
    assert [path.name[:2] for path in NOTEBOOKS][:2] == ["00", "01"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    for cell in read(path).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


#: the first two are run with every change; the others take more than a minute together
RUN = [path if path.name < "02" else pytest.param(path, marks=pytest.mark.slow) for path in NOTEBOOKS]


@pytest.fixture(scope="module", params=RUN, ids=lambda path: path.stem)
def executed(request: pytest.FixtureRequest) -> tuple[str, nbformat.NotebookNode]:
    notebook = read(request.param)
    NotebookClient(notebook, timeout=100, kernel_name="python3").execute(cwd=str(FOLDER))
    return request.param.name, notebook


def test_a_notebook_runs_from_top_to_bottom(executed: tuple[str, nbformat.NotebookNode]) -> None:
    name, notebook = executed
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code"), name


def test_what_a_notebook_shows_is_what_its_text_speaks_of(executed: tuple[str, nbformat.NotebookNode]) -> None:
    name, notebook = executed
    text = shown(notebook)
    expected = {
        "00": ["Everything works here", "intent", "answered", "effect", "accepted", "failed"],
        "01": ["pairs as predicted", "reads were stale", "lowest median", "data:image/png;base64", "recorded"],
        "02": ["acknowledged but lost", "refused", "bytes billed twice", "as predicted", "delivered again", "not yet"],
        "03": [
            *("billed twice", "slow has taken [7], quick has taken [7]", "slow has taken [], quick has taken [7]"),
            *("granted 2 times 60 GB, the counter says 60", "looks in a second", "went from deleting to in-use"),
            *("no such column", "OverQuota", "broken rules: []", "taken twice", "not yet"),
        ],
        "04": [
            *("calls ended as unknown", "40 volumes were created", "created twice", "40 answered, 40 volumes"),
            *("accepted by the kernel", "20 lost", "0 of 20 accepted by both", "no key"),
        ],
        "05": ["never billed", "nobody has subscribed", "twice", "every bill is right", "came: lost", "set aside"],
        "06": ["off by", "begun between", "indeterminate", "censored", "a tie", "not yet", "data:image/png;base64"],
        "07": [
            *("as predicted", "too little by a factor of 1,048,576", "Noticed by nobody", "left in the medium: 16"),
            *("found 0", "together, after draining, else silently wrong", "flag day", "data:image/png;base64"),
        ],
        "08": [
            *("receiver killed during the work", "1 twice", "no server stands in between", "1 set aside"),
            *("fields as predicted", "twice (right)", "indefinite (right)", "at least once, accepted by: disk"),
            *("data:image/png;base64", "never fired: nothing was touched", "witnesses: 1", "not yet"),
        ],
        "09": [
            *("4 of 8 fields as predicted", "twice (right)", "lost (right)", "spool lost, streams right"),
            *("5 of 8 fields", "remembers for 0.05 s: twice", "told twice", "data:image/png;base64"),
        ],
        "10": [
            *("All as it was meant", "GETS STUCK", "LOSES", "1 of 6 lines as predicted", "struck", "unknown"),
            *("Nothing breaks what it promises", "a tell is done again (as declared)", "settled before the work"),
            *("accepted by: kernel", "accepted by: disk", "receiver loses"),
        ],
    }
    for words in expected.get(name[:2], []):
        assert words in text, f"{name} shows no {words!r}"


def test_recorded_runs_say_when_and_on_what_they_were_made() -> None:
    from sandbox import load

    recorded = load(FOLDER / "recorded" / "compare")
    assert recorded.facts["started"][:2] == "20"
    assert recorded.facts["machine"]["cpu"]
    assert recorded.valid
    assert all(cell.quantile(0.99).value for cell in recorded.cells)  # enough samples for a p99 everywhere


@pytest.mark.parametrize("kind", ["coupling", "faults"])
def test_recorded_matrices_are_whole_and_say_when_and_on_what_they_were_made(kind: str) -> None:
    from sandbox import load

    recorded = load(FOLDER / "recorded" / kind)
    assert recorded.facts["started"][:2] == "20"
    assert recorded.facts["machine"]["cpu"]
    assert recorded.valid
    assert {chart.name for chart in recorded.charts()} >= {kind}
