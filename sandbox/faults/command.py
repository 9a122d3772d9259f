"""``python -m sandbox faults``: the matrix of failures, or one cell of it with its evidence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

ABOUT = """\
Break every style in every way, and look up on the bill what became of the business. Each cell is a real run of a second
with the fault in it:

  all billed | n lost | n twice | n indefinite | n refused | n set aside | n stuck
  available all the time | recovered after s | did not recover

Each channel is held to what it declares itself; where it breaks that, the cell says BREAKS ITS PROMISE.

examples:
  python -m sandbox faults --quick
  python -m sandbox faults --faults kill_receiver partition --channels spool streams --repeats 3
  python -m sandbox faults --faults path/to/my_fault.py --channels path/to/mine.py idempotent-streams
  python -m sandbox faults --cell kill_receiver_worked/streams       one cell, with its evidence
  python -m sandbox faults --power-cut --channels spool streams      was it flushed before it was accepted? (Linux)

Prints the matrix, and writes runs/<when>-faults/: faults.html, the evidence of every cell, the chart, result.json
(`sandbox.load` reads it). About a minute and a half, on a busy machine up to 4; --quick well under 40 s.
Exit status: 0 all cells measured, 1 some could not be (the page says which and why), 2 bad arguments.
"""


def add(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser = commands.add_parser(
        "faults",
        help="break every style in every way, see what happened",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_faults)
    parser.add_argument("--quick", action="store_true", help="the faults that tell most")
    parser.add_argument("--faults", nargs="+", metavar="FAULT", help="only these (names, see --list, or files)")
    parser.add_argument("--channels", nargs="+", metavar="CHANNEL", help="on these (titles or files)")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="runs of each cell (1)")
    parser.add_argument("--cell", metavar="FAULT/CHANNEL", help="run one cell, print its evidence")
    parser.add_argument("--power-cut", action="store_true", help="trace what is flushed before it is accepted (Linux)")
    parser.add_argument("--list", action="store_true", help="what faults there are")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the results (runs/)")


def _faults(options: argparse.Namespace) -> int:
    if options.list:
        return _list()
    if options.power_cut:
        return _power_cut(options)
    return _cell(options) if options.cell else _matrix(options)


def _list() -> int:
    from sandbox.faults.scenes import scenes

    for scene in scenes():
        print(f"{scene.name:24} {scene.fault.kind:9} {scene.title}")
    return 0


def _power_cut(options: argparse.Namespace) -> int:
    """Each channel as it comes, and with its knob `flush` set where it has one: tell, with the evidence."""
    from sandbox.catalogue import find, sound_channels
    from sandbox.faults.power_cut import power_cut_row
    from sandbox.harness.compare import name_of

    channels = [find(each) for each in options.channels] if options.channels else sound_channels()
    both = [[each, find(each, flush=True)] if hasattr(each, "flush") else [each] for each in channels]
    found = power_cut_row({name_of(each): each for variants in both for each in variants})
    print("\n\n".join(str(each) for each in found))
    return 0 if all(each.traced and not each.lie for each in found) else 1


def _matrix(options: argparse.Namespace) -> int:
    from sandbox.faults.matrix import fault_matrix
    from sandbox.harness.store import run_folder

    found = fault_matrix(options.faults, options.channels, quick=options.quick, repeats=options.repeats)
    folder = found.save(run_folder(options.runs, "faults"))
    print(f"\nEvidence of every cell: {folder / found.page}\n\n{found}")
    return 0 if found.valid else 1


def _cell(options: argparse.Namespace) -> int:
    from sandbox.faults.evidence import evidence
    from sandbox.faults.matrix import try_cell
    from sandbox.faults.scenes import column, read_cell
    from sandbox.harness.session import default_session

    scene, channel = read_cell(options.cell, options.faults)
    cell = try_cell(scene, column(channel), default_session(), options.repeats)
    print(f"{cell.name}\n\n{evidence(cell)}")
    return 1 if cell.trouble else 0
