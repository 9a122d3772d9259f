"""The last step of `make mutants`: the score, and whether docs/mutants.md explains every mutant that survived."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ENOUGH = 0.9
ROOT = Path(__file__).parent.parent


def score() -> tuple[int, int]:
    """How many mutants were noticed (those that ran for ever included), of how many."""
    counts = json.loads((ROOT / "mutants" / "mutmut-cicd-stats.json").read_text())
    return counts["killed"] + counts["timeout"], counts["total"]


def unnoticed() -> list[str]:
    """Names of those that survived, or that no test reaches."""
    mutmut = [sys.executable, "-m", "mutmut", "results"]
    listed = subprocess.run(mutmut, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return re.findall(r"^\s*sandbox\.(\S+): (?:survived|no tests|suspicious)$", listed, re.MULTILINE)


def main() -> int:
    """0 if enough are noticed and the others explained."""
    killed, total = score()
    page = (ROOT / "docs" / "mutants.md").read_text()
    unexplained = [name for name in unnoticed() if f"`{name}`" not in page]
    print(f"{killed} of {total} mutants were noticed ({killed / total:.1%}; {ENOUGH:.0%} are demanded)")
    for name in unexplained:
        print(f"  not explained in docs/mutants.md: {name}    see it:  .venv/bin/mutmut show sandbox.{name}")
    return int(killed < ENOUGH * total or bool(unexplained))


if __name__ == "__main__":
    sys.exit(main())
