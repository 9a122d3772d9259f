"""Real servers for every test that wants one: started once, killed and removed at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.errors import ServerUnavailable
from sandbox.servers import popen_spawn, start


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A private folder whose name is short enough for socket files (pytest's own is not, on macOS)."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    """A libpq connection string of a running PostgreSQL, shared by all tests: use a schema of your own."""
    yield from _address("postgres")


@pytest.fixture(scope="session")
def redis_address() -> Iterator[str]:
    """The URL of a running Valkey, shared by all tests: use a prefix of your own."""
    yield from _address("redis")


def _address(medium: str) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    try:
        try:
            server = start(medium, folder / medium, popen_spawn)
        except ServerUnavailable as reason:
            if os.environ.get("CI"):
                pytest.fail(str(reason))  # there, a missing server must not pass for a green run
            pytest.skip(str(reason))
        yield server.address
        server.stop()
    finally:
        shutil.rmtree(folder)
