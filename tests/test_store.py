"""What is kept of a comparison is complete, self-contained, and comes back as it was."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import pytest
from compared import compared, every_case, made

from sandbox import load
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.harness.comparison import Comparison
from sandbox.harness.result import Result
from sandbox.harness.store import load_comparison, load_result, run_folder, save_comparison

HOSTILE = "../../<script>alert('x')</script>\"&"


@pytest.fixture(scope="module")
def original() -> Comparison:
    return every_case()


@pytest.fixture(scope="module")
def saved(original: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return original.save(tmp_path_factory.mktemp("runs") / "one")


def small(*names: str) -> Comparison:
    return compared(*(made(name, "custom", count=30) for name in names or ("mine",)))


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


# --- what is written ------------------------------------------------------------------------------


def test_all_files_are_there(saved: Path) -> None:
    names = {each.name for each in saved.iterdir()}
    charts = {f"{chart}.{kind}" for chart in ("medians", "acceptance", "ecdf") for kind in ("png", "txt")}
    assert names == {"report.html", "result.json", "floors.json", "histories", *charts}
    assert len(list((saved / "histories").glob("*.npz"))) == 21
    assert (saved / "histories" / "spool-tell-1.npz").is_file()


def test_figures_are_strict_json_and_censored_ones_are_null_and_counted(saved: Path) -> None:
    for name in ("result.json", "floors.json"):
        json.loads((saved / name).read_text(encoding="utf-8"), parse_constant=no_constant)
    cells = json.loads((saved / "result.json").read_text(encoding="utf-8"))["cells"]
    streams = next(cell for cell in cells if cell["channel"] == "streams" and cell["verb"] == "tell")
    assert streams["response_p50_ms"] == 0.4
    assert streams["response_p99_ms"] is None
    assert streams["censored"] == 1200 // 7


def test_whatever_a_channel_is_called_its_history_stays_in_the_folder(tmp_path: Path) -> None:
    folder = small(HOSTILE, "..", "/etc/passwd").save(tmp_path / "run")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(folder) for path in written)
    assert all(re.fullmatch(r"[A-Za-z0-9_.=-]+", path.name) for path in written)
    assert [cell.channel for cell in load_comparison(folder).cells] == [HOSTILE, "..", "/etc/passwd"]


def test_names_that_come_to_the_same_file_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    loaded = load_comparison(small("a/b", "a?b", "A b").save(tmp_path / "run"))
    assert [cell.results[0].history.channel for cell in loaded.cells] == ["a/b", "a?b", "A b"]


def test_saving_again_replaces_what_was_there(tmp_path: Path) -> None:
    small("one", "two").save(tmp_path)
    small("three").save(tmp_path)
    assert [path.name for path in (tmp_path / "histories").iterdir()] == ["three-tell-1.npz"]
    assert [cell.channel for cell in load_comparison(tmp_path).cells] == ["three"]


def test_a_loaded_comparison_can_be_saved_where_it_came_from(tmp_path: Path) -> None:
    folder = small().save(tmp_path)
    assert load_comparison(load_comparison(folder).save(folder)).table() == small().table()


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadArgument, match=r"a new or empty folder.*thesis\.txt"):
        small().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArgument, match="a new or empty folder"):
        small().save(tmp_path / "file")


# --- what comes back ------------------------------------------------------------------------------


def test_what_is_loaded_is_what_was_saved(original: Comparison, saved: Path) -> None:
    loaded = load(saved)
    assert isinstance(loaded, Comparison)
    assert loaded.table() == original.table()
    assert loaded.sentences() == original.sentences()
    assert loaded.to_frame().equals(original.to_frame())
    assert (loaded.notes, loaded.facts, loaded.workload) == (original.notes, original.facts, original.workload)
    assert [cell.floors for cell in loaded.cells] == [cell.floors for cell in original.cells]


def test_charts_of_what_is_loaded_are_the_charts_of_what_was_saved(original: Comparison, saved: Path) -> None:
    for one, other in zip(load_comparison(saved).charts(), original.charts(), strict=True):
        assert (one.name, one.alt, one.rows) == (other.name, other.alt, other.rows)


def test_repeats_come_back_as_repeats(tmp_path: Path) -> None:
    comparison = compared(made("mine", "custom", count=30, runs=3))
    assert len(load_comparison(comparison.save(tmp_path)).cells[0].results) == 3


def test_a_single_run_comes_back(tmp_path: Path) -> None:
    result = made(count=30).results[0]
    loaded = load(result.save(tmp_path / "mine"))
    assert isinstance(loaded, Result)
    assert str(loaded) == str(result)


def test_any_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="a folder that a comparison was saved in"):
        load_comparison(tmp_path)


def test_half_a_folder_is_refused(tmp_path: Path) -> None:
    folder = small().save(tmp_path)
    (folder / "result.json").unlink()
    with pytest.raises(BadArgument, match="a folder that a comparison was saved in"):
        load_comparison(folder)


def test_a_missing_history_is_refused_by_name(tmp_path: Path) -> None:
    folder = small().save(tmp_path)
    (folder / "histories" / "mine-tell-1.npz").unlink()
    with pytest.raises(BadArgument, match=r"mine-tell-1\.npz"):
        load_comparison(folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 99}, "expected format 1, got 99"),
        ({"format": "one"}, "a folder that a comparison was saved in"),
        ({"workload": {"verb": "tell", "colour": "red"}}, "colour"),
        ({"cells": [{"channel": "x", "verb": "tell", "histories": ["../x.npz"]}]}, "a file name without folders"),
        ({"cells": [{"channel": "x", "verb": "sing", "histories": ["x.npz"]}]}, "a folder that a comparison"),
        ({"cells": [{"channel": "x", "verb": "tell", "histories": []}]}, "at least one history"),
    ],
)
def test_a_result_of_another_format_or_from_a_stranger_is_refused(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    path = small().save(tmp_path) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadArgument, match=complaint):
        load_comparison(tmp_path)


def test_a_file_that_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK nothing")
    with pytest.raises(BadArgument, match=r"History\.save"):
        load_result(tmp_path / "x.npz")


# --- where it is kept -----------------------------------------------------------------------------


def test_run_folders_are_named_by_time_and_what_was_done(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d{8}-\d{6}-compare", run_folder(tmp_path / "runs", "compare").name)


def test_folders_asked_for_at_once_are_all_different(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made_ones = list(pool.map(lambda _: run_folder(tmp_path, "compare"), range(30)))
    assert len(set(made_ones)) == 30
    assert all(folder.is_dir() for folder in made_ones)


def test_runs_cannot_be_kept_where_there_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("mine")
    with pytest.raises(BadArgument, match="a folder, or a place for a new one"):
        run_folder(tmp_path / "runs", "compare")


def test_a_new_run_folder_is_there_to_save_into(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "compare")
    assert save_comparison(small(), folder) == folder


# --- the report -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """The tags of a page and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(saved: Path) -> Page:
    return Page((saved / "report.html").read_text(encoding="utf-8"))


def test_the_report_loads_nothing_from_outside(saved: Path, page: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    fetched = [attributes["src"] or "" for tag, attributes in page.tags if "src" in attributes]
    assert len(fetched) == 3
    assert all(address.startswith("data:image/png;base64,") for address in fetched)
    raw = (saved / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import", raw)


def test_the_report_has_text_for_every_picture(original: Comparison, page: Page) -> None:
    assert [each["alt"] for each in page.of("img")] == [chart.alt for chart in original.charts()]


def test_the_report_links_every_history_by_name(saved: Path, page: Page) -> None:
    links = [unquote(each["href"] or "") for each in page.of("a")]
    assert len(links) == 21
    assert all((saved / link).is_file() for link in links)
    assert "History of spool-tell-1.npz" in page.text


def test_the_report_begins_with_the_plain_sentences(original: Comparison, page: Page) -> None:
    for sentence in original.sentences():
        assert sentence in page.text
    assert page.text.index(original.sentences()[0]) < page.text.index("Side by side")


def test_the_report_holds_table_verdicts_notes_and_settings(page: Page) -> None:
    for text in (
        "Every run",
        "a note",
        "a processor",
        "constant",
        "How to read this",
        "one write",
    ):
        assert text in page.text
    assert all("scope" in each for each in page.of("th"))
    assert len(page.of("caption")) >= 6


def test_a_hostile_name_stays_text_in_the_report(tmp_path: Path) -> None:
    comparison = compared(made(HOSTILE, "custom", count=30), notes=("<img src=x onerror=alert(1)>",))
    found = Page((comparison.save(tmp_path) / "report.html").read_text(encoding="utf-8"))
    assert not found.of("script")
    assert not any("onerror" in attributes for _, attributes in found.tags)
    assert HOSTILE in found.text


def test_a_comparison_of_one_verb_has_a_report_too(tmp_path: Path) -> None:
    folder = compared(made(verb=Verb.ASK, count=30)).save(tmp_path)
    assert not (folder / "acceptance.png").exists()
    assert "asked" in (folder / "report.html").read_text(encoding="utf-8")
