"""The matrix of failures: its words come from the books, its cells are real runs, and each is run again by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from build import Book

from sandbox import Session, load
from sandbox.charts.faults import BROKEN, TRACED, fault_map, grade
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.faults.catalogue.kill_receiver import KillReceiver
from sandbox.faults.cells import BREAKS, COLUMNS, Cell, FaultMatrix
from sandbox.faults.evidence import evidence
from sandbox.faults.matrix import FEWEST, QUICK, fault_matrix, try_cell
from sandbox.faults.power_cut import FLUSHED, NOT_FLUSHED, PowerCut
from sandbox.faults.scenes import column, read_cell, scenes
from sandbox.faults.traced import KIND, power_cut_cells
from sandbox.faults.verdict import Availability, Verdict, decide
from sandbox.faults.weaknesses import WEAKNESSES, Weakness, exhibit, shown
from sandbox.guarantees import Acceptor, Delivery
from sandbox.harness.history import History
from sandbox.harness.journal import Event
from sandbox.harness.result import Result

PAGE = (Path(__file__).parent.parent / "docs" / "adding-a-channel.md").read_text()

OF_AN_INSTRUCTOR = '''
from dataclasses import dataclass

from sandbox.faults.fault import AtReceiver


@dataclass
class LunchBreak(AtReceiver):
    """The receiver goes for lunch."""

    def open(self, cast):
        cast[self.targets[0]].pause()
        self.touch("gone for lunch")

    def heal(self, cast):
        if self.injected:
            cast[self.targets[0]].resume()
'''


def fault(**facts: Any) -> dict[str, Any]:
    told = {"name": "kill", "title": "a kill", "kind": "process", "knobs": {}, "planned": [0.0, 0.0], "opened": 0.0}
    return {**told, "healed": None, "instant": True, "repeats": False, "power_cut": False, "witnesses": 1, **facts}


def held(book: Book, *notes: str, **facts: Any) -> Verdict:
    return decide(book.history(*notes, faults=[fault()], **facts))


def promising(history: History, **promises: Any) -> History:
    """The same history of a channel that promises something else for *tell*."""
    from dataclasses import replace

    told = replace(history.guarantees, tell=replace(history.guarantees.tell, **promises))
    return replace(history, guarantees=told)


# --- the words, on histories made by hand ------------------------------------------------------------


def test_where_each_has_its_effect_all_is_billed() -> None:
    verdict = held(Book("TTT").well())
    assert (verdict.kinds, verdict.kept, verdict.fired) == (("all billed",), True, True)


def test_what_was_accepted_and_never_worked_is_lost_and_breaks_at_least_once() -> None:
    verdict = held(Book("TTT").well(1, 2).sent(3).accepted(3))
    assert verdict.kinds == ("lost",)
    assert verdict.counts == {"lost": 1}
    assert "accepted by" in verdict.broken[0]


def test_what_may_be_lost_is_lost_without_breaking_a_promise() -> None:
    history = Book("TT").well(1).sent(2).accepted(2).history(faults=[fault()])
    verdict = decide(promising(history, delivery=Delivery.AT_MOST_ONCE))
    assert (verdict.lost, verdict.kept) == (1, True)


def test_a_power_cut_breaks_only_the_promise_of_the_disk() -> None:
    history = Book("TT").well(1).sent(2).accepted(2).history(faults=[fault(power_cut=True)])
    for acceptor, kept in ((Acceptor.KERNEL, True), (Acceptor.SERVER, True), (Acceptor.DISK, False)):
        assert decide(promising(history, accepted_by=acceptor)).kept is kept


def test_a_killed_server_may_lose_what_it_had_in_memory_but_not_what_it_said_was_on_disk() -> None:
    history = Book("TT").well(1).sent(2).accepted(2).history(faults=[fault(kind="server")])
    for acceptor, kept in ((Acceptor.SERVER, True), (Acceptor.DISK, False)):
        assert decide(promising(history, accepted_by=acceptor)).kept is kept


def test_work_done_again_is_counted_in_times_and_breaks_at_most_once() -> None:
    history = Book("TT").well().worked(2, attempt=2).worked(2, attempt=3).history(faults=[fault()])
    verdict = decide(history)
    assert (verdict.kinds, verdict.twice, verdict.kept) == (("all billed", "twice"), 2, True)
    assert not decide(promising(history, delivery=Delivery.AT_MOST_ONCE)).kept


def test_what_the_fault_itself_hands_over_twice_breaks_no_promise() -> None:
    history = Book("TT").well().worked(2, attempt=2).history(faults=[fault(repeats=True)])
    assert decide(promising(history, delivery=Delivery.AT_MOST_ONCE)).kept
    assert not decide(history, done_once=True).kept  # but an idempotent receiver should have known it


def test_of_what_nobody_knows_it_is_said_how_much_was_done() -> None:
    verdict = held(Book("TTT").well(1).sent(2).unknown(2).worked(2).sent(3).unknown(3))
    assert (verdict.kinds, verdict.indefinite, verdict.done_anyway) == (("indefinite",), 2, 1)


def test_what_was_refused_and_never_done_is_no_breach_but_done_anyway_it_is() -> None:
    assert held(Book("TT").well(1).sent(2).failed(2)).counts == {"refused": 1}
    assert not held(Book("TT").well(1).sent(2).failed(2).worked(2)).kept


def test_what_was_set_aside_is_not_lost() -> None:
    book = Book("TT").well(1).sent(2).accepted(2).began_to_work(2)
    book.event(1, Event.SET_ASIDE, 2, at=1.5)
    assert held(book).counts == {"set aside": 1}


def test_one_that_was_set_aside_unknown_to_its_sender_hides_no_other_that_was_lost() -> None:
    book = Book("TTT").well(1).sent(2).unknown(2).began_to_work(2).sent(3).accepted(3)
    book.event(1, Event.SET_ASIDE, 2, at=1.5)
    verdict = held(book)
    assert (verdict.lost, verdict.aside) == (1, 1)
    assert verdict.broken
    assert "1 of 3 were acknowledged but lost" in str(Result(book.history()))


def test_what_lies_in_the_channel_and_nobody_works_on_is_stuck() -> None:
    note = "the drain is unresolved: 1 ready and 1 claimed operations lie in the channel and nobody works on them"
    verdict = held(Book("TTT").well(1), note, backlog={"ready": 1, "claimed": 1})
    assert verdict.counts["stuck"] == 2


def test_a_wrong_amount_is_billed_wrongly_and_breaks_a_promise() -> None:
    verdict = held(Book("TT").well(1).sent(2).accepted(2).worked(2, value=5))
    assert "billed wrongly" in verdict.kinds
    assert not verdict.kept


def test_a_fault_that_touched_nothing_has_not_fired() -> None:
    assert not decide(Book("T").well().history(faults=[fault(witnesses=0)])).fired


# --- how long nothing went ---------------------------------------------------------------------------


def steady(done: Any, opened: float = 0.2) -> Availability:
    """1000 operations a ms apart, the fault at `opened` s; `done`: operation -> ms when it is worked, None: never."""
    book = Book("T" * 1000)
    for operation in range(1, 1001):
        book.sent(operation).accepted(operation)
        if (at := done(operation - 1)) is not None:
            book.worked(operation, at=at)
    return decide(book.history(faults=[fault(opened=opened)])).worked


def test_work_that_goes_on_is_available_all_the_time() -> None:
    assert str(steady(lambda due: due + 1)) == "available all the time"


def test_work_that_stands_still_has_recovered_when_it_goes_on_again() -> None:
    found = steady(lambda due: 500.1 if 200 <= due < 500 else due)
    assert (found.recovered, found.after) == (True, pytest.approx(0.3))


def test_work_that_never_comes_back_did_not_recover() -> None:
    assert str(steady(lambda due: due if due < 200 else None)) == "did not recover"


def test_a_lone_hiccup_long_after_the_fault_is_the_machines_and_a_longer_absence_the_faults() -> None:
    assert str(steady(lambda due: 800.1 if 700 <= due < 800 else due)) == "available all the time"
    assert str(steady(lambda due: 300.1 if 200 <= due < 300 else due)) == "recovered after 0.1 s"
    assert str(steady(lambda due: 700.1 if 500 <= due < 700 else due, opened=0.0)) == "recovered after 0.7 s"


def test_a_single_loss_is_no_time_of_absence() -> None:
    assert str(steady(lambda due: None if due == 400 else due)) == "available all the time"


# --- real cells --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


#: runs that are over soon after the fault
SHORT = ("sandbox.faults.scenes.OPERATIONS", 200)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs, where nobody asks when it was mended."""
    monkeypatch.setattr(*SHORT)


@pytest.fixture(scope="module")
def matrix(session: Session) -> FaultMatrix:
    faults = ["kill_receiver_worked", "partition", "duplicate", "poison_message"]
    channels = ["spool", "socket", "idempotent-spool"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*SHORT)
        return fault_matrix(faults, channels, session=session, progress=False)


def test_no_cell_is_blank(matrix: FaultMatrix) -> None:
    assert len(matrix.cells) == 4 * 3
    assert all(cell.text.strip() for cell in matrix.cells)
    assert matrix.cell("partition/spool").why_not == "no network: a folder"
    assert matrix.valid, [cell.trouble for cell in matrix.troubled]


def test_cells_say_what_became_of_the_business(matrix: FaultMatrix) -> None:
    assert matrix.cell("kill_receiver_worked/spool").happened == "all billed, 1 twice"
    assert "indefinite" in matrix.cell("kill_receiver_worked/socket").happened
    assert matrix.cell("poison_message/spool").happened == "1 set aside"
    assert matrix.broken == []


def test_an_idempotent_receiver_takes_the_effects_back_to_one(matrix: FaultMatrix) -> None:
    assert matrix.cell("duplicate/spool").happened == "all billed, 1 twice"
    assert matrix.cell("duplicate/idempotent-spool").happened == "all billed"


@pytest.mark.usefixtures("short")
def test_a_cell_is_run_again_by_the_command_that_is_printed(matrix: FaultMatrix, session: Session) -> None:
    cell = matrix.cell("duplicate/spool")
    scene, channel = read_cell(cell.command.removeprefix("python -m sandbox faults --cell "))
    again = try_cell(scene, column(channel), session)
    assert (again.name, again.happened) == (cell.name, cell.happened)


def test_the_evidence_shows_plan_deed_and_the_operations_concerned(matrix: FaultMatrix) -> None:
    cell = matrix.cell("kill_receiver_worked/spool")
    text = str(evidence(cell))
    for said in ("kill_receiver(", "metering-0, operation", "died (-9)", cell.command, "python -m sandbox crash spool"):
        assert said in text
    assert len(re.findall(r"effect", text)) >= 2  # of the operation that was worked twice


def test_a_matrix_is_saved_and_loads_again(matrix: FaultMatrix, tmp_path: Path) -> None:
    folder = matrix.save(tmp_path / "kept")
    again = load(folder)
    assert isinstance(again, FaultMatrix)
    assert again.cells == matrix.cells
    page = (folder / "faults.html").read_text()
    for link in re.findall(r'href="(cells/[^"]+)"', page):
        assert (folder / link).is_file()
    assert page.count("cells/") == len(matrix.measured)
    assert {file.stem for file in folder.glob("*.png")} == {chart.name for chart in matrix.charts()}
    assert "timeline_partition" in {chart.name for chart in matrix.charts()}
    shown = (folder / "cells" / "duplicate-idempotent-spool.html").read_text()
    assert [word in shown for word in ("The journey of operation", "python -m sandbox crash spool ")] == [True, True]
    assert shown.count("<img") == 2
    with pytest.raises(BadArgument, match="folder"):
        matrix.save(tmp_path)


def test_the_chart_says_the_same_in_words_and_figures(matrix: FaultMatrix) -> None:
    chart = fault_map(matrix)
    assert "receiver killed after the work, before settlement (spool all billed, 1 twice" in chart.alt
    assert "10 cells run, 2 without a run" in chart.alt
    assert len(chart.rows) == 12
    assert all(len(row) == len(COLUMNS) for row in chart.rows)
    assert chart.png()[:4] == b"\x89PNG"


@pytest.mark.usefixtures("short")
def test_a_fault_and_a_channel_from_files_have_their_row_and_column(session: Session, tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    (mine := tmp_path / "mine.py").write_text(code.group(1))
    (lunch := tmp_path / "lunch.py").write_text(OF_AN_INSTRUCTOR)

    found = fault_matrix([str(lunch), "duplicate"], [str(mine), "spool"], session=session, progress=False)

    assert list(found.faults) == ["lunch_break", "duplicate"]
    assert all(cell.verdicts for cell in found.cells), found
    assert found.cells[0].command.endswith(f"--cell lunch_break/{mine} --faults {lunch}")


def test_a_cell_that_varies_says_in_how_many_runs() -> None:
    well, lost = held(Book("TT").well()), held(Book("TT").well(1).sent(2).accepted(2))
    cell = Cell("kill", "a kill", "process", Verb.TELL, "mine", "custom", "kill/mine", verdicts=(well, lost, well))
    assert cell.happened == "all billed (in 2 of 3); 1 lost (in 1 of 3)"
    assert cell.text.startswith(BREAKS)


@pytest.mark.usefixtures("short")
def test_a_fault_that_never_fires_is_not_measured(session: Session) -> None:
    from sandbox.faults.catalogue.slow_receiver import SlowReceiver

    found = fault_matrix([SlowReceiver(by=0)], ["spool"], session=session, progress=False)
    assert found.cells[0].text == "not measured: unknown: it never fired"
    assert not found.valid


def test_a_fault_alone_names_all_of_its_points_and_in_a_cell_its_usual_one() -> None:
    assert len(scenes(["kill_receiver"])) == 4
    assert read_cell("kill_receiver/streams")[0].name == "kill_receiver_working"
    assert read_cell("kill_receiver_worked/path/to/mine.py")[1] == "path/to/mine.py"


def test_a_fault_with_its_knobs_is_one_row_also_where_they_are_the_usual_ones() -> None:
    assert [scene.name for scene in scenes([KillReceiver("working")])] == ["kill_receiver_working"]
    assert len(scenes([KillReceiver])) == 4
    (own,) = scenes([KillReceiver("worked", nth=7)])
    assert (own.name, own.fault, own.options) == (
        "kill_receiver_worked",
        KillReceiver("worked", nth=7),
        "  # here with nth=7",
    )


@pytest.mark.parametrize("name", ["kill_reciever/spool", "kill_receiver"])
def test_a_misspelt_cell_is_refused(name: str) -> None:
    with pytest.raises(BadArgument, match=r"kill_receiver|FAULT/CHANNEL"):
        read_cell(name)


def test_the_quick_selections_are_of_the_catalogue() -> None:
    assert [scene.name for scene in scenes(QUICK)] == list(QUICK)
    assert [scene.name for scene in scenes(FEWEST)] == list(FEWEST)


@pytest.mark.parametrize("weakness", WEAKNESSES[:1] + WEAKNESSES[4:5], ids=lambda each: each.name)
@pytest.mark.usefixtures("short")
def test_a_declared_weakness_is_shown_by_a_run(session: Session, weakness: Weakness) -> None:
    ((_, cell),) = exhibit(session, [weakness])
    assert shown(weakness, cell), cell.text


# --- the power cut, which no run can show ------------------------------------------------------------


def seen(answer: str, declared: Acceptor, channel: str = "spool") -> Cell:
    trace = PowerCut(channel, Verb.TELL, answer, declared, ("sender writes box/1",), 5, 0)
    return Cell("power_cut", "power cut", KIND, Verb.TELL, channel, "file", f"power_cut/{channel}", traced=trace)


def test_a_power_cut_has_a_row_with_an_answer_or_a_reason_for_each_channel(session: Session) -> None:
    spool, wrapped = power_cut_cells([column("spool"), column("idempotent-spool")], session)
    assert spool.text.startswith((f"{NOT_FLUSHED}, declared: accepted by kernel", "cannot be traced here"))
    assert (spool.kind, wrapped.text) == ("Linux, by tracing", "as spool, which stores for it")


def test_who_declares_the_disk_and_does_not_flush_breaks_its_promise_in_table_and_chart() -> None:
    found = FaultMatrix((seen(NOT_FLUSHED, Acceptor.DISK), seen(FLUSHED, Acceptor.DISK, "honest")))
    assert [cell.channel for cell in found.broken] == ["spool"]
    assert "spool BREAKS ITS PROMISE: spool, tell: declared to be accepted by disk" in str(found)
    assert [grade(cell) for cell in found.cells] == [BROKEN, TRACED]
    assert "power cut (honest flushed before it was accepted)" in fault_map(found).alt
    assert [row[6] for row in fault_map(found).rows] == [BREAKS, "as declared"]


def test_what_was_traced_is_stored_with_its_evidence_and_loads_again(tmp_path: Path) -> None:
    kept = FaultMatrix((seen(NOT_FLUSHED, Acceptor.KERNEL),))
    folder = kept.save(tmp_path / "kept")
    again = load(folder)
    assert isinstance(again, FaultMatrix)
    assert (again.cells, again.cells[0].text) == (kept.cells, kept.cells[0].text)
    shown = (folder / "cells" / "power_cut-spool.html").read_text()
    assert "sender writes box/1" in shown
    assert "faults --power-cut --channels spool" in shown


# --- all of it ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_sound_channel_is_as_declared_under_every_fault(session: Session) -> None:
    found = fault_matrix(session=session, progress=False)
    assert found.valid, [f"{cell.name}: {cell.trouble}" for cell in found.troubled]
    assert found.broken == [], [cell.text for cell in found.broken]


@pytest.mark.slow
@pytest.mark.parametrize("weakness", WEAKNESSES, ids=lambda each: each.name)
def test_every_declared_weakness_is_exhibited(session: Session, weakness: Weakness) -> None:
    ((_, cell),) = exhibit(session, [weakness])
    assert shown(weakness, cell), cell.text
