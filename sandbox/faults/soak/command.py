"""``python -m sandbox soak``, and one run of it once more."""

from __future__ import annotations

import argparse
import secrets
from typing import Any

from sandbox.errors import BadArgument

ABOUT = """\
Random faults against every sound channel: senders, receivers and servers are killed at named points and at random
times and come back, receivers and servers stand still - run after run, all channels side by side. Each channel is held
to what it declares. A kill counts only when the dead process had operations in flight.

A run that breaks a promise is shortened to the faults that are needed, and comes with the command that repeats it.

examples:
  python -m sandbox soak                          until 1,000 kills have hit: about a minute
  python -m sandbox soak --minutes 30
  python -m sandbox soak --seed 7 --channels spool path/to/mine.py:Mine
  python -m sandbox soak --seed 7 --channels spool --run 12 --keep 3 5 --operations 60         one run once more

Channels are titles (see `channels`), files, idempotent-spool or idempotent-spool-aside.
Exit status: 0 every promise was held, 1 one was broken or a channel was not run, 2 bad arguments.
"""

#: seeds that are drawn are short enough to be typed again
_SEEDS = 1_000_000


def add(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    soak = commands.add_parser(
        "soak",
        help="random faults from a seed, a thousand kills: do promises hold?",
        description=ABOUT,
        formatter_class=raw,
    )
    soak.set_defaults(command=_soak)
    soak.add_argument("--minutes", type=float, metavar="N", help="how long [until 1,000 kills have hit]")
    soak.add_argument("--seed", type=int, metavar="S", help="of all schedules; printed [drawn]")
    soak.add_argument("--channels", nargs="+", metavar="CHANNEL", help="only these")
    soak.add_argument("--run", type=int, metavar="N", help="only this run of one channel, with --seed")
    soak.add_argument("--keep", nargs="+", type=int, metavar="I", help="with --run: only these of its faults (0: none)")
    soak.add_argument("--operations", type=int, metavar="N", help="with --run: fewer operations")
    soak.add_argument("--times", type=int, default=5, metavar="N", help="with --run: how often [5]")


def _soak(options: argparse.Namespace) -> int:
    _check(options)
    return _soaked(options) if options.run is None else _run_again(options)


def _check(options: argparse.Namespace) -> None:
    if options.minutes is not None and not options.minutes > 0:
        raise BadArgument("--minutes", expected="more than 0", got=options.minutes)
    if options.run is None:
        for name in ("keep", "operations"):
            if getattr(options, name) is not None:
                raise BadArgument(f"--{name}", expected="it together with --run", got="no --run")
    elif options.run < 1:
        raise BadArgument("--run", expected="1 or more", got=options.run)
    elif options.seed is None or len(options.channels or ()) != 1:
        raise BadArgument("--run", expected="--seed and one of --channels beside it", got="not both")
    if options.times < 1:
        raise BadArgument("--times", expected="1 or more", got=options.times)


def _soaked(options: argparse.Namespace) -> int:
    from sandbox.faults.soak.soaking import soak

    seed = secrets.randbelow(_SEEDS) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)  # first: also a soak that is stopped can be begun again
    found = soak(options.channels, seed=seed, minutes=options.minutes)
    print(f"\n{found}")
    return 0 if found.sound else 1


def _run_again(options: argparse.Namespace) -> int:
    from sandbox.faults.soak.soaking import carry_out, once_more
    from sandbox.harness.session import Session

    trial = once_more(options.channels[0], options.seed, options.run, options.keep, options.operations)
    print("\n".join([f"{trial.row}, run {trial.number} of seed {trial.seed}:", *trial.schedule()]))
    broke = 0
    with Session() as session:
        for number in range(1, options.times + 1):
            dead, broken = carry_out(trial, session)
            hit = sum(bool(each.in_hand) for each in dead)
            print(f"[{number}/{options.times}] {hit} kills in flight: {'; '.join(broken) or 'held'}", flush=True)
            broke += bool(broken)
    print(f"broken in {broke} of {options.times} runs")
    return 1 if broke else 0
