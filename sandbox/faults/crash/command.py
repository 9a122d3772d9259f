"""``python -m sandbox crash CHANNEL``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.errors import BadArgument

CRASH = """\
Where, in a channel's own source, does it hurt to be killed? Learns every outside effect that its sender and its
receiver make in a small workload (write, flush, rename, send, commit, ...), then runs it again and again and kills
the process just before and just after each of them, at its first and its last occurrence, and once more during the
recovery from that. The bills and books decide: safe / loses / repeats / gets stuck. CHANNEL is a title (see
`channels`) or a file: path/to/mine.py[:Class].

examples:
  python -m sandbox crash spool
  python -m sandbox crash log --page log.html
  python -m sandbox crash spool --settle before
  python -m sandbox crash spool --point metering.box:47      only the points whose id begins so, each with its history

Lower case: what happens is within what the channel declares. CAPITALS: it breaks a promise.
10 to 90 s. Exit status: 0 no promise is broken, 1 one is, 2 bad arguments.
"""


def add(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    raw = argparse.RawDescriptionHelpFormatter
    crash = commands.add_parser(
        "crash", help="kill a channel at every effect: where does it hurt?", description=CRASH, formatter_class=raw
    )
    crash.set_defaults(command=_crash)
    crash.add_argument("channel", metavar="CHANNEL", help="a title (see `channels`) or a file: path/to/mine.py[:Class]")
    crash.add_argument("-k", "--knob", action="append", default=[], metavar="NAME=VALUE", help="a knob of the channel")
    crash.add_argument("--verbs", nargs="+", metavar="VERB", help="only these of tell, ask, share")
    crash.add_argument("--settle", default="after", metavar="WHEN", help='"after" the work or "before" it [after]')
    crash.add_argument("--point", metavar="ID", help="only this point, or all whose id begins so")
    crash.add_argument("--page", type=Path, metavar="FILE", help="write the map as a page (HTML)")


def _crash(options: argparse.Namespace) -> int:
    from sandbox.faults.crash.mapping import crash_map

    knobs = _knobs(options.knob)
    if options.page and (options.page.is_dir() or not options.page.parent.is_dir()):
        raise BadArgument("--page", expected="a file in a folder that exists", got=str(options.page))
    found = crash_map(options.channel, verbs=options.verbs, settle=options.settle, only=options.point, **knobs)
    print(f"\n{found}")
    if options.point:
        for point in found.points:
            print(f"\n{point.kill.id}: {point.verdict}\n{point.ending.history.to_frame().to_string()}")
    if options.page:
        print(f"Page: {found.save(options.page)}")
    return 0 if found.sound else 1


def _knobs(texts: Sequence[str]) -> dict[str, Any]:
    import json

    knobs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadArgument("-k", expected="NAME=VALUE, such as flush=true", got=text)
        try:
            knobs[name] = json.loads(value.lower() if value in ("True", "False") else value)
        except ValueError:
            knobs[name] = value
    return knobs
