"""``python -m sandbox.conformance CHANNEL``. Exit status 0: every promise was kept; 1: one was broken; 2: not run."""

from __future__ import annotations

import argparse
import sys

from sandbox.conformance import prove
from sandbox.errors import SandboxError
from sandbox.harness.session import Session


def main() -> int:
    """Prove one channel and print the findings."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.conformance",
        description="Try to refute everything that a channel declares, with real processes that are really killed.",
    )
    parser.add_argument("channel", help="a title (spool) or a file of your own (path/to/mine.py)")
    parser.add_argument("--about", default="", help="only guarantees that start so, e.g. tell or share.reads")
    parser.add_argument("--evidence", action="store_true", help="show what was sent and what came for every claim")
    options = parser.parse_args()
    try:
        with Session() as session:
            report = prove(options.channel, session, about=options.about)
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 2
    print(report.text(evidence=options.evidence))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
