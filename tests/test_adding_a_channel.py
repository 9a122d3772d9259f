"""docs/adding-a-channel.md, followed to the letter: the file it prints is the file that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "adding-a-channel.md").read_text()


def printed_code() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def channel_file(tmp_path: Path) -> Path:
    file = tmp_path / "my_folder.py"
    file.write_text(printed_code()[0])
    return file


def sandbox(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100)


def test_the_channel_on_the_page_is_at_most_forty_lines() -> None:
    code = [line for line in printed_code()[0].splitlines() if line.strip()]
    assert len(code) <= 40


def test_a_file_outside_the_package_runs_by_its_path(channel_file: Path) -> None:
    done = sandbox("run", "my_folder.py", "--verb", "ask", "--operations", "60", cwd=channel_file.parent)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # a busy machine may make it unknown
    assert "every volume and quota is right" in done.stdout


def test_a_file_outside_the_package_is_compared_with_the_packages_own(channel_file: Path) -> None:
    knobs = ["--quick", "--operations", "60", "--no-floors", "--verbs", "tell", "--channels", "my_folder.py", "spool"]
    done = sandbox("compare", *knobs, cwd=channel_file.parent)
    assert "my_folder" in done.stdout, done.stdout + done.stderr
    assert "spool" in done.stdout
    reports = list(channel_file.parent.glob("runs/*-compare/report.html"))
    assert len(reports) == 1
    assert "my_folder" in reports[0].read_text()


def test_a_file_outside_the_package_is_held_to_its_promises(channel_file: Path) -> None:
    command = [sys.executable, "-m", "sandbox.conformance", "my_folder.py"]
    done = subprocess.run(command, cwd=channel_file.parent, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_promise_that_the_channel_does_not_keep_is_refuted(channel_file: Path) -> None:
    """The page says what happens when `MyFolder` claims at least once."""
    lie = channel_file.read_text().replace("    def put(", "    delivery = Delivery.AT_LEAST_ONCE\n\n    def put(", 1)
    channel_file.write_text(
        lie.replace(
            "from sandbox import Minimal", "from sandbox import Minimal\nfrom sandbox.guarantees import Delivery"
        )
    )
    command = [sys.executable, "-m", "sandbox.conformance", "my_folder.py"]
    done = subprocess.run(command, cwd=channel_file.parent, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "delivery" in done.stdout


def test_a_channel_written_in_a_notebook_cell_runs_is_compared_and_proved(tmp_path: Path) -> None:
    page = printed_code()
    check = (
        "from sandbox.conformance import prove\n"
        "result = run(MyFolder, Workload('tell', operations=60))\n"
        "assert result.accounts['tell'].delivered == 110, result\n"
        "both = compare(Workload('ask', operations=60), channels=[MyFolder, 'spool'], repeats=1, floors=False)\n"
        "assert [cell.channel for cell in both.cells] == ['my_folder', 'spool']\n"
        "assert prove(MyFolder()).ok\n"
        "from sandbox.harness.session import end_default_session; end_default_session()"
    )
    imports = "from sandbox import Workload, compare, run"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in (page[0], imports, check)])
    NotebookClient(notebook, timeout=100, kernel_name="python3").execute(cwd=str(tmp_path))
