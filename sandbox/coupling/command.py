"""``python -m sandbox coupling``: the matrix, or one cell of it with its evidence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

ABOUT = """\
Change one side, see what breaks on the other. Two real parties of the exchange, one of them changed, the other not yet;
the books say what became of it:

  works  |  delayed (right once the other side was renewed)  |  fails loudly  |  silently wrong (nobody was told)

Every change on one channel of each style, in three orders of roll-out (sender first, receiver first, and a backlog of
the old version read by the new), without the best practice and with it.

examples:
  python -m sandbox coupling --quick
  python -m sandbox coupling --changes rename_field change_unit --channels spool streams
  python -m sandbox coupling --changes path/to/my_change.py --channels path/to/mine.py socket
  python -m sandbox coupling --cell rename_field/streams/sender_first            one cell, with its evidence
  python -m sandbox coupling --cell rename_field/streams/sender_first/practice
  python -m sandbox coupling --quick --curves     besides: the receiver away, slow; more parties (about a minute more)

Prints the matrix, and writes runs/<when>-coupling/: coupling.html, the evidence of every cell, charts, result.json
(`sandbox.load` reads it). About a minute, on a busy machine up to 4; --quick well under 40 s.
Exit status: 0 all cells measured, 1 some could not be (the page says which and why), 2 bad arguments.
"""


def add(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser = commands.add_parser(
        "coupling",
        help="change one side, see what breaks on the other",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_coupling)
    parser.add_argument("--quick", action="store_true", help="the changes that tell most")
    parser.add_argument("--changes", nargs="+", metavar="CHANGE", help="only these (names, see --list, or files)")
    parser.add_argument("--channels", nargs="+", metavar="CHANNEL", help="on these (titles or files)")
    parser.add_argument("--orders", nargs="+", metavar="ORDER", help="of sender_first, receiver_first, backlog")
    parser.add_argument("--cell", metavar="CHANGE/CHANNEL/ORDER[/practice]", help="run one cell, print its evidence")
    parser.add_argument(
        "--curves", action="store_true", help="besides, what comes by degrees: away, slow, many parties"
    )
    parser.add_argument("--list", action="store_true", help="what changes there are")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the results (runs/)")


def _coupling(options: argparse.Namespace) -> int:
    if options.list:
        return _list()
    return _cell(options) if options.cell else _matrix(options)


def _list() -> int:
    from sandbox.coupling.trial import catalogue

    for name, change in catalogue().items():
        said = " ".join((change.__doc__ or "").split())
        print(f"{name:28} {change.facet:13} {said}")
    return 0


def _matrix(options: argparse.Namespace) -> int:
    from sandbox.coupling.matrix import coupling
    from sandbox.harness.store import run_folder

    found = coupling(options.changes, options.channels, orders=options.orders, quick=options.quick)
    folder = found.save(run_folder(options.runs, "coupling"))
    print(f"\nEvidence of every cell: {folder / found.page}\n\n{found}")
    if options.curves:
        _curves(options, folder)
    return 0 if found.valid else 1


def _curves(options: argparse.Namespace, folder: Path) -> None:
    from sandbox.coupling.curves import curves, save_curves

    found = curves(options.channels)
    page = save_curves(found, folder / "curves")
    print("", *found, f"The curves: {page}", sep="\n\n")


def _cell(options: argparse.Namespace) -> int:
    from sandbox.errors import BadArgument

    if others := [f"--{name}" for name in ("quick", "channels", "orders", "curves") if getattr(options, name)]:
        raise BadArgument("--cell", expected="nothing beside it but --changes", got=" ".join(others))
    from sandbox.coupling.evidence import evidence
    from sandbox.coupling.finding import find_changes, read_cell
    from sandbox.coupling.matrix import column, try_cell
    from sandbox.harness.session import default_session

    found, channel, order, practised = read_cell(options.cell, find_changes(options.changes))
    session = default_session()
    cell = try_cell(found, column(channel, session), order, practised, session)
    print(f"{cell.name}\n\n{evidence(cell)}")
    return 1 if cell.trouble else 0
