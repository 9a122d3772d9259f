"""Coupling on real channels: what a cell answers comes from the books, and every cell can be run again by its name."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import Session, load
from sandbox.coupling.cells import Cell, Matrix
from sandbox.coupling.change import Change, Facet, Order
from sandbox.coupling.edits import versions
from sandbox.coupling.evidence import evidence
from sandbox.coupling.finding import find_changes, read_cell
from sandbox.coupling.matrix import FEWEST, QUICK, column, coupling, try_cell
from sandbox.coupling.trial import catalogue
from sandbox.coupling.verdict import Answer, Verdict
from sandbox.coupling.views import Compatibility, Deploy, compatibility, deploy
from sandbox.errors import BadArgument, RunFailed

PAGE = (Path(__file__).parent.parent / "docs" / "adding-a-channel.md").read_text()

OF_AN_INSTRUCTOR = '''
from typing import Any

from sandbox.coupling.change import Body, Change, Facet, carry, exchange
from sandbox.exchange.release import Listener, Release, Speaker
from sandbox.exchange.schema import ImageDownloaded, Metadata, Whole


class WithRegion(Body):
    image: Whole
    project: Whole
    bytes_sent: Whole
    region: str
    metadata: Metadata = ""


class Says(Speaker):
    def say(self, meant: Any) -> Any:
        return carry(meant, WithRegion, region="north")


class Hears(Listener):
    def understand(self, body: Any) -> Any:
        return carry(body, ImageDownloaded)


class AddRegion(Change):
    """Every download says in which region it was."""

    title, facet = "add a region", Facet.DATA_FORMAT
    after = Release(exchange(image_downloaded=WithRegion), Says, Hears)
'''


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


@pytest.fixture(scope="module")
def matrix(session: Session) -> Matrix:
    changes = ["rename_field", "change_unit", "receiver_away"]
    return coupling(changes, ["spool", "socket"], session=session, progress=False)


@pytest.fixture
def a_change(tmp_path: Path) -> Path:
    file = tmp_path / "add_region.py"
    file.write_text(OF_AN_INSTRUCTOR)
    return file


def tried(name: str, session: Session) -> Cell:
    found, channel, order, practised = read_cell(name, find_changes(None))
    return try_cell(found, column(channel, session), order, practised, session)


def verdict(cell: Cell) -> Verdict:
    assert cell.verdict is not None, cell.text
    return cell.verdict


# --- the four answers, on real media ---------------------------------------------------------------


def test_a_field_renamed_with_both_names_said_works(matrix: Matrix) -> None:
    cell = matrix.cell("rename_field/spool/sender_first/practice")
    assert (cell.answer, verdict(cell).right) == (Answer.WORKS, verdict(cell).operations)


def test_a_receiver_that_is_away_delays_what_lies_in_files(matrix: Matrix) -> None:
    cell = matrix.cell("receiver_away/spool/receiver_first")
    assert (cell.answer, cell.holds) == (Answer.DELAYED, True)


def test_a_renamed_field_fails_loudly_and_says_who_noticed(matrix: Matrix) -> None:
    cell = matrix.cell("rename_field/spool/sender_first")
    assert (cell.answer, verdict(cell).unnoticed) == (Answer.LOUD, 0)
    assert verdict(cell).noticed_by == {"receiver": verdict(cell).operations}
    assert verdict(cell).after is not None


def test_another_unit_is_silently_wrong_by_its_factor_and_nobody_is_told(matrix: Matrix) -> None:
    for channel in ("spool", "socket"):
        cell = matrix.cell(f"change_unit/{channel}/sender_first")
        found = verdict(cell)
        assert (cell.answer, found.wrong) == (Answer.SILENT, found.operations)
        assert found.meant == found.found * 1_048_576
        # And no exception was seen by anybody: the books alone decide
        assert cell.trial is not None
        assert cell.trial.history is not None
        assert (found.noticed_by, cell.trial.history.facts.get("failed")) == ({}, None)


# --- cells by name ---------------------------------------------------------------------------------


def test_a_cell_is_run_again_by_the_name_that_is_printed(matrix: Matrix, session: Session) -> None:
    for cell in (matrix.cell("change_unit/spool/sender_first"), matrix.cell("rename_field/socket/sender_first")):
        name = cell.command.removeprefix("python -m sandbox coupling --cell ")
        again = tried(name, session)
        assert (again.name, again.answer) == (cell.name, cell.answer)
        assert verdict(again).found == verdict(cell).found


def test_the_evidence_shows_what_was_meant_sent_and_billed(matrix: Matrix) -> None:
    cell = matrix.cell("change_unit/spool/sender_first")
    shown = str(evidence(cell))
    assert "Silently wrong: the books are wrong, and nobody was told." in shown
    assert "too little by a factor of 1,048,576" in shown
    assert cell.trial is not None
    assert cell.trial.history is not None
    first = cell.trial.history.plan.rows[0]
    project, size = int(first["project"]), int(first["value"])
    told = rf'"bytes_sent": {size >> 20},.*accepted +metering-0: {project}, {size >> 20:,}'
    assert re.search(rf"project {project}, {size:,} +image_downloaded .*{told}", shown)
    assert "python -m sandbox coupling --cell change_unit/spool/sender_first" in shown


def test_the_evidence_shows_why_it_was_refused_and_both_versions(matrix: Matrix) -> None:
    shown = str(evidence(matrix.cell("rename_field/spool/sender_first")))
    assert "Object contains unknown field `size_bytes`" in shown
    assert "-    bytes_sent: Whole" in shown
    assert "+    size_bytes: Whole" in shown


def test_the_evidence_page_escapes_what_it_shows(matrix: Matrix) -> None:
    page = evidence(matrix.cell("rename_field/spool/sender_first")).html()
    assert "-&gt;" in page
    assert "-> " not in page.split("<h1>", 1)[1]


def test_what_another_team_took_stands_on_its_own_account_in_the_evidence_as_in_the_verdict(session: Session) -> None:
    cell = tried("other_team_takes/spool/receiver_first", session)
    heading, *rows = section(cell, "The books").splitlines()
    assert "on the books of dashboard" in heading
    billed = sum(int(row.split()[-1].replace(",", "")) for row in rows)
    assert (billed, cell.answer) == (verdict(cell).found, Answer.SILENT)
    assert billed < verdict(cell).meant


def test_the_evidence_of_shared_state_says_what_should_have_been_read(session: Session) -> None:
    cell = tried("meaning_of_a_state/rename/sender_first", session)
    rows = section(cell, "The books").splitlines()[1:]
    expected, seen = [row.split()[1:3] for row in rows], [row.split()[4:6] for row in rows]
    assert ["4", "attaching"] in expected
    assert ["4", "reserved"] in seen
    # And not that nothing was received, where there is no receiver
    assert "nothing" not in section(cell, "Operation by operation")


def section(cell: Cell, heading: str) -> str:
    return dict(evidence(cell).sections)[heading]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rename_feild/spool/sender_first", "Did you mean 'rename_field'?"),
        ("rename_field/spool/sender_frist", "Did you mean 'sender_first'?"),
        ("rename_field/spool", r"CHANGE/CHANNEL/ORDER\[/practice\]"),
    ],
)
def test_a_cell_that_there_is_not_is_refused_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        read_cell(name, find_changes(None))


def test_bad_names_are_refused_with_the_nearest(matrix: Matrix) -> None:
    with pytest.raises(BadArgument, match="Did you mean 'change_unit'"):
        coupling(["change_units"], progress=False)
    with pytest.raises(BadArgument, match="Did you mean 'backlog'"):
        coupling(["change_unit"], orders=["backlogg"], progress=False)
    with pytest.raises(BadArgument, match="Did you mean 'change_unit/spool/backlog'"):
        matrix.cell("change_unit/spol/backlog")
    with pytest.raises(BadArgument, match="one of coupling, coupling_practice, deploy"):
        matrix.chart("pie")


# --- the matrix ------------------------------------------------------------------------------------


def test_no_cell_is_blank_and_what_is_not_applicable_has_its_reason(matrix: Matrix) -> None:
    assert len(matrix.cells) == 3 * 2 * 3 * 2
    assert all(cell.text.strip() for cell in matrix.cells)
    assert all((cell.verdict is None) == bool(cell.why_not or cell.trouble) for cell in matrix.cells)
    assert matrix.cell("rename_field/socket/backlog").why_not == "keeps no backlog"
    assert not matrix.unmeasured
    assert matrix.valid


def test_the_views_say_what_a_style_really_has(matrix: Matrix) -> None:
    assert compatibility(matrix, "rename_field", "spool", False) is Compatibility.NONE
    assert compatibility(matrix, "rename_field", "spool", True) is Compatibility.FULL
    assert deploy(matrix, "rename_field", "spool", False).deploy is Deploy.DRAINED
    assert deploy(matrix, "rename_field", "spool", True).deploy is Deploy.ANY
    assert deploy(matrix, "change_unit", "spool", False).text == "together, after draining, else silently wrong"
    assert deploy(matrix, "receiver_away", "socket", False).deploy is Deploy.NONE


@pytest.mark.parametrize(
    ("answers", "has", "advice"),
    [
        ((Answer.WORKS, Answer.WORKS, Answer.WORKS), Compatibility.FULL, Deploy.ANY),
        ((Answer.DELAYED, Answer.WORKS, Answer.WORKS), Compatibility.FULL, Deploy.ANY),
        ((Answer.LOUD, Answer.WORKS, Answer.WORKS), Compatibility.BACKWARD, Deploy.RECEIVER),
        ((Answer.WORKS, Answer.LOUD, Answer.WORKS), Compatibility.FORWARD, Deploy.SENDER),
        ((Answer.WORKS, Answer.WORKS, Answer.LOUD), Compatibility.FORWARD, Deploy.SENDER),
        ((Answer.LOUD, Answer.WORKS, None), Compatibility.BACKWARD, Deploy.RECEIVER),
        ((Answer.LOUD, Answer.LOUD, Answer.WORKS), Compatibility.NONE, Deploy.TOGETHER),
        ((Answer.LOUD, Answer.LOUD, Answer.LOUD), Compatibility.NONE, Deploy.DRAINED),
        ((Answer.LOUD, Answer.WORKS, Answer.LOUD), Compatibility.NONE, Deploy.DRAINED),
    ],
)
def test_compatibility_and_advice_follow_from_the_three_answers(
    answers: tuple[Answer | None, ...], has: Compatibility, advice: Deploy
) -> None:
    cells = tuple(made(order, answer) for order, answer in zip(Order, answers, strict=True))
    assert compatibility(Matrix(cells), "c", "spool", False) is has
    assert deploy(Matrix(cells), "c", "spool", False).deploy is advice


def test_a_backlog_that_was_not_measured_is_not_taken_for_one_that_holds() -> None:
    lost = replace(made(Order.BACKLOG, None), why_not="", trouble="RunFailed: the guard has died")
    matrix = Matrix((*(made(order, Answer.WORKS) for order in list(Order)[:2]), lost))
    assert compatibility(matrix, "c", "spool", False) == "not measured: RunFailed: the guard has died"
    assert deploy(matrix, "c", "spool", False).text == "not measured: RunFailed: the guard has died"


def made(order: Order, answer: Answer | None) -> Cell:
    found = Verdict(answer, 1, 1, 0, 0, 0, 0, {}, None, 1, 1) if answer else None
    reason = "" if answer else "keeps no backlog"
    return Cell(
        "c", "a change", Facet.ORDER, "spool", "file_share", order, False, f"c/spool/{order}", reason, verdict=found
    )


def test_what_cannot_be_measured_is_tried_twice_and_says_so(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    # Given a harness that fails, once or always
    from sandbox.coupling import matrix as module

    left = [RunFailed("the guard has died"), RunFailed("again")]
    real = module.try_out

    def failing(*arguments: object) -> object:
        if left:
            raise left.pop()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "try_out", failing)
    # When, Then
    first = tried("rename_field/spool/backlog", session)
    assert (first.text, first.answer) == ("not measured: RunFailed: the guard has died", None)
    left[:] = [RunFailed("once")]
    assert tried("rename_field/spool/backlog", session).answer is Answer.LOUD


def test_a_matrix_is_saved_and_loads_again(matrix: Matrix, tmp_path: Path) -> None:
    folder = matrix.save(tmp_path / "kept")
    kept = load(folder)
    assert isinstance(kept, Matrix)
    assert kept.cells == matrix.cells
    assert str(kept) == str(matrix)
    # And every cell that was tried has its evidence, linked from the page
    page = (folder / "coupling.html").read_text()
    links = re.findall(r'href="(cells/[^"]+)"', page)
    assert len(set(links)) == sum(cell.verdict is not None for cell in matrix.cells)
    assert all((folder / link).is_file() for link in links)
    # And it can be saved once more, over the same folder, but never among other files
    assert kept.save(folder) == folder
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(BadArgument, match=r"thesis\.txt"):
        matrix.save(tmp_path / "mine")


def test_the_text_ends_with_the_silently_wrong_cells_and_the_command_of_each(matrix: Matrix) -> None:
    end = str(matrix).split("silently wrong: the books are wrong")[1]
    for cell in matrix.answering(Answer.SILENT):
        assert cell.command in end
    assert "rename_field" not in end


def test_the_charts_say_the_same_in_words(matrix: Matrix) -> None:
    plain, practised, grid = matrix.charts()
    silent = len(matrix.answering(Answer.SILENT, practised=False))
    assert f"Silently wrong, {silent}: change a unit (spool sender first, receiver first and backlog" in plain.alt
    assert "Silently wrong: none." in practised.alt
    assert "together, after draining: rename a field" in grid.alt
    assert all(chart.png()[:4] == b"\x89PNG" for chart in (plain, practised, grid))
    assert len(plain.rows) + len(practised.rows) == len(matrix.cells)


def test_every_word_of_the_heat_map_is_in_the_picture(matrix: Matrix) -> None:
    from matplotlib.text import Text

    figure = matrix.chart("coupling").figure()
    words = [text.get_text() for text in figure.findobj(Text)]  # type: ignore[attr-defined]
    tried_cells = [cell for cell in matrix.cells if not cell.practised and cell.answer is Answer.SILENT]
    assert words.count("WRONG") == len(tried_cells) + 1  # and once in the key
    assert "keeps\nno\nbacklog" in words or "keeps no\nbacklog" in words


# --- what had to be edited ---------------------------------------------------------------------------


def test_lines_are_counted_at_the_side_that_was_edited(matrix: Matrix) -> None:
    counted = matrix.cell("change_unit/spool/sender_first").edits
    assert counted is not None
    assert (counted.sender.added, counted.sender.removed, counted.receiver.added) == (3, 0, 3)


def test_the_migration_is_what_the_database_really_executed(session: Session) -> None:
    cell = tried("rename_field/compare_and_swap/sender_first", session)
    assert cell.edits is not None
    assert any("size_bytes" in statement for statement in cell.edits.medium)


def test_every_change_shows_both_versions_in_full() -> None:
    for change in catalogue().values():
        for practised in (False, True):
            for version in versions(change, practised):
                assert "source cannot be had" not in version.before + version.after
                assert version.lines.added + version.lines.removed > 0 or version.before == version.after


def test_what_the_best_practice_buys_and_costs_stands_beside_each_other(matrix: Matrix) -> None:
    from sandbox.coupling.views import practice_table

    rows = {row[0]: row[1:] for row in practice_table(matrix)[1]}
    hold, practised, lines, more_lines = rows["rename a field"]
    assert (hold, practised) == ("0 of 5", "5 of 5")
    assert lines.startswith("sender +")
    assert "beforehand" in more_lines
    assert rows["the receiver is away"][1] == "store it in between: another style"


# --- without an edit anywhere ------------------------------------------------------------------------


def test_an_instructors_change_is_one_file_and_a_students_channel_gets_its_column(
    a_change: Path, session: Session
) -> None:
    channel = a_change.parent / "my_folder.py"
    channel.write_text(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0])
    found = coupling([str(a_change), "change_unit"], [str(channel)], session=session, progress=False)
    assert list(found.changes) == ["add_region", "change_unit"]
    assert found.channels == ["my_folder"]
    by_order = {cell.order: cell for cell in found.of("add_region", "my_folder", False)}
    assert by_order[Order.SENDER_FIRST].answer is Answer.LOUD
    assert {cell.answer for cell in found.of("change_unit", "my_folder", False)} == {Answer.SILENT}
    assert not found.unmeasured
    # And the command that is printed finds both files again
    name = by_order[Order.SENDER_FIRST].name
    assert by_order[Order.SENDER_FIRST].command.endswith(f"--cell {name} --changes {a_change}")
    again, named, order, practised = read_cell(name, find_changes([str(a_change)]))
    assert (again.change.name(), named, order, practised) == ("add_region", str(channel), Order.SENDER_FIRST, False)


def test_a_file_without_a_change_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(BadArgument, match="a subclass of Change"):
        find_changes([str(tmp_path / "empty.py")])
    with pytest.raises(BadArgument, match="a Python file that exists"):
        find_changes([str(tmp_path / "nowhere.py")])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("broken.py", "def (", r"SyntaxError: invalid syntax \(broken.py, line 1\)"),
        ("raises.py", "\nraise RuntimeError('no')", r"RuntimeError: no \(line 2\)"),
        ("random.py", OF_AN_INSTRUCTOR, "another name than random"),
        ("half.py", "from sandbox.coupling.change import Change\nclass Half(Change): pass", r"a title, and a facet"),
    ],
)
def test_a_file_of_a_change_that_cannot_be_used_says_why(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadArgument, match=said):
        find_changes([str(tmp_path / name)])


def test_a_command_with_a_blank_in_it_can_be_pasted(tmp_path: Path) -> None:
    file = tmp_path / "add a region.py"
    file.write_text(OF_AN_INSTRUCTOR)
    (found,) = find_changes([str(file)])
    cell = replace(made(Order.BACKLOG, Answer.WORKS), options=found.options)
    assert shlex.split(cell.command)[-2:] == ["--changes", str(file)]


@pytest.mark.parametrize(
    ("arguments", "orders", "said"),
    [
        (("change_unit",), None, "changes: expected a list"),
        ((["change_unit"], "spool"), None, "channels: expected a list"),
        ((["change_unit"], ["spool"]), "backlog", "orders: expected a list"),
        ((["change_unit"], ["spool"]), [], "orders: expected at least one"),
    ],
)
def test_what_is_in_no_list_is_refused_as_such(arguments: Any, orders: Any, said: str, session: Session) -> None:
    with pytest.raises(BadArgument, match=said):
        coupling(*arguments, orders=orders, session=session, progress=False)


# --- the faces ---------------------------------------------------------------------------------------


def test_the_package_can_be_called_and_is_still_a_package(session: Session) -> None:
    import sandbox.coupling.trial

    found = sandbox.coupling(["rename_field"], ["spool"], orders=["backlog"], session=session, progress=False)
    assert len(found.cells) == 2
    assert sandbox.coupling.trial.catalogue() is catalogue()


def test_the_quick_selections_name_changes_that_there_are() -> None:
    assert set(FEWEST) <= set(QUICK) <= set(catalogue())


def test_one_cell_from_the_command_line(a_change: Path) -> None:
    knobs = ["--cell", "add_region/spool/backlog", "--changes", a_change.name]
    command = [sys.executable, "-m", "sandbox", "coupling", *knobs]
    done = subprocess.run(command, cwd=a_change.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Fails loudly" in done.stdout
    assert "class WithRegion" in done.stdout


def test_a_cell_takes_no_options_of_the_matrix(tmp_path: Path) -> None:
    knobs = ["--cell", "change_unit/spool/backlog", "--quick", "--orders", "backlog"]
    command = [sys.executable, "-m", "sandbox", "coupling", *knobs]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "nothing beside it but --changes, got '--quick --orders'" in done.stderr


def test_a_matrix_from_the_command_line(tmp_path: Path) -> None:
    knobs = ["--changes", "change_unit", "--channels", "spool", "--orders", "sender_first"]
    command = [sys.executable, "-m", "sandbox", "coupling", *knobs]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("--cell change_unit/spool/sender_first")
    (folder,) = tmp_path.glob("runs/*-coupling")
    assert {file.name for file in folder.iterdir()} >= {"coupling.html", "coupling.png", "coupling.txt", "result.json"}


def test_an_interrupt_ends_all_that_was_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox", "coupling", "--channels", "spool", "socket"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert "[1/" in running.stderr.readline()  # the first cell is done, others are under way
        guards = children(running.pid)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "stopped; everything that had been started is ended" in said
    assert "Traceback" not in said
    assert guards
    assert not any(alive(pid) for pid in guards)


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if int(line.split()[1]) == pid]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- all of it ---------------------------------------------------------------------------------------


def together(change: type[Change]) -> type[Change]:
    """The same change with both sides new from the start."""

    class Together(change):  # type: ignore[misc, valid-type]
        __doc__ = change.__doc__

        def is_new(self, process: object) -> bool:
            return True

    Together.__name__ = change.__name__
    return Together


@pytest.mark.slow
def test_with_both_sides_new_every_change_of_what_is_said_works(session: Session) -> None:
    changes = [together(change) for change in catalogue().values() if change.after is not change.before]
    found = coupling(changes, orders=["receiver_first"], session=session, progress=False)
    wrong = [f"{cell.name}: {cell.text}" for cell in found.cells if cell.verdict is not None and not cell.holds]
    assert not wrong
    assert not found.unmeasured


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_matrix_has_no_cell_that_was_not_measured(session: Session) -> None:
    found = coupling(session=session, progress=False)
    assert not found.unmeasured
    assert len(found.cells) == len(catalogue()) * len(found.channels) * 3 * 2
    assert len(found.changes) >= 25
