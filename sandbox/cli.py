"""The command line: compare, run, sweep, coupling, faults, crash, soak, channels, doctor, notebooks, bench."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sandbox.coupling import command as coupling
from sandbox.errors import BadArgument, SandboxError
from sandbox.faults import command as faults
from sandbox.faults.crash import command as crash
from sandbox.faults.soak import command as soak
from sandbox.harness.workload import Workload
from sandbox.knobs import add_knobs, changes, channel_knobs

ABOUT = """\
Four ways to integrate services - sharing a file, sharing a database, RPC, messaging - side by side
under one workload, on real files, a real database, real sockets and a real broker.

The exchange:  tell   an image was downloaded, so many bytes, for this project    (nobody answers)
               ask    create a volume                            (volume and host, or over quota)
               share  the state of a volume                         (written by one, read by many)
"""

COMPARE = """\
Runs the same exchange through every sound channel, repeats interleaved, floors beside them, and writes
runs/<when>-compare/: report.html, the charts as PNG with their alternative text, every history, result.json.
Beside that, in the same session, what breaks when one side changes (see `coupling`), and what happens when something
breaks (see `faults`): of both what tells most.

Exit status: 0 all runs valid, 1 some were not (the report says which and why), 2 bad arguments.
"""

RUN = """\
One workload on one channel. CHANNEL is a title (see `channels`) or a file: path/to/mine.py[:Class].

examples:
  python -m sandbox run spool
  python -m sandbox run streams --verb ask --rate 1000 --operations 3000 --arrivals poisson
  python -m sandbox run skip_locked --receivers 2 --service 0.004 --service-shape exponential
  python -m sandbox run spool -k flush=true --size openstack --out runs/spool.npz

Exit status: 0 valid, 1 not valid, 2 bad arguments.
"""

SWEEP = """\
How much can a channel take? Offers it more and more, in short open-loop runs with Poisson arrivals, and finds the
knee by itself: first without load, then doubling the rate until it is too much, then halving the gap.

A rate is sustained when at least 95 % of what is offered is done in the same time, and when its p90 stays within
--times the p90 without load (or 2 ms, where that is more). The knee is the highest rate found that is sustained.
Noise only makes a run slower, so a rate is given up only when it has failed three times (five in runs that are not
valid), or has fallen short by far.

examples:
  python -m sandbox sweep socket --verb ask
  python -m sandbox sweep spool --service 0.002        2 ms of work: one receiver can do 500/s. Where is the knee?
  python -m sandbox sweep spool --service 0.002 --receivers 2
  python -m sandbox sweep streams -k flush=true --quick

Prints every run, and writes runs/<when>-sweep-CHANNEL/: sweep.json (`sandbox.load` reads it), load.png, load.txt.
About 12 s, on a busy machine more; --quick about 6 s.
Exit status: 0 done, whether there is a knee or not, 1 could not be measured, 2 bad arguments.
"""

#: knobs of the workload that a sweep sets by itself
SWEPT = ("verb", "rate", "operations", "arrivals", "burst", "loop", "in_flight", "warmup", "timeout")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the session's end runs
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except BadArgument as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; everything that had been started is ended", file=sys.stderr)
        return 130
    finally:
        _end_session()


def _end_session() -> None:
    module = sys.modules.get("sandbox.harness.session")
    if module is not None:
        module.end_default_session()


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m sandbox", description=ABOUT, formatter_class=raw)
    commands = parser.add_subparsers(required=True, metavar="command")

    compare = commands.add_parser(
        "compare", help="every style, one workload: the main job", description=COMPARE, formatter_class=raw
    )
    compare.set_defaults(command=_compare)
    compare.add_argument("--quick", action="store_true", help="shorter, once: under a minute; a p99 cannot be quoted")
    compare.add_argument("--channels", nargs="+", metavar="CHANNEL", help="only these (titles or files)")
    compare.add_argument("--verbs", nargs="+", metavar="VERB", help="only these of tell, ask, share")
    compare.add_argument("--repeats", type=int, metavar="N", help="runs per channel and verb (3; quick: 1)")
    compare.add_argument("--no-matrices", action="store_true", help="leave out what breaks when one side changes")
    compare.add_argument("--no-floors", action="store_true", help="do not measure the floors")
    compare.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the results (runs/)")
    add_knobs(compare, without=("verb", "in_flight", "loop", "settle", "batch"))

    run = commands.add_parser(
        "run", help="one workload on one channel, all its knobs", description=RUN, formatter_class=raw
    )
    run.set_defaults(command=_run)
    run.add_argument("channel", metavar="CHANNEL")
    run.add_argument("-k", "--knob", action="append", default=[], metavar="NAME=VALUE", help="a knob of the channel")
    run.add_argument("--out", type=Path, help="keep the history here (.npz)")
    add_knobs(run)

    _add_sweep(commands)
    coupling.add(commands)
    faults.add(commands)
    crash.add(commands)
    soak.add(commands)

    channels = commands.add_parser("channels", help="what there is and what each promises")
    channels.set_defaults(command=_channels)

    doctor = commands.add_parser("doctor", help="what works on this machine, what does not, what to do")
    doctor.set_defaults(command=_doctor)

    notebooks = commands.add_parser("notebooks", help="JupyterLab in notebooks/")
    notebooks.set_defaults(command=_notebooks)
    notebooks.add_argument("rest", nargs=argparse.REMAINDER, help="passed on to jupyter lab")

    bench = commands.add_parser("bench", help="the figures we hold ourselves to, as ratios of one run")
    bench.set_defaults(command=_bench)
    bench.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    bench.add_argument("--channels", nargs="+", metavar="CHANNEL", help="only these")
    return parser


def _add_sweep(commands: Any) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    sweep = commands.add_parser(
        "sweep", help="response time against offered load, and the knee", description=SWEEP, formatter_class=raw
    )
    sweep.set_defaults(command=_sweep)
    sweep.add_argument("channel", metavar="CHANNEL", help="a title (see `channels`) or a file: path/to/mine.py[:Class]")
    sweep.add_argument("--verb", default="tell", metavar="VERB", help="tell, ask or share [tell]")
    sweep.add_argument("--quick", action="store_true", help="shorter runs and a coarser knee")
    sweep.add_argument("--times", type=float, default=5.0, metavar="X", help="limit: X times the unloaded p90 [5]")
    sweep.add_argument("--low", type=float, metavar="X", help="lowest rate [200/s, or what the service time allows]")
    sweep.add_argument("--high", type=float, default=20_000, metavar="X", help="highest rate [20000/s]")
    sweep.add_argument("-k", "--knob", action="append", default=[], metavar="NAME=VALUE", help="a knob of the channel")
    sweep.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the results (runs/)")
    add_knobs(sweep, without=SWEPT)


def _compare(options: argparse.Namespace) -> int:
    from sandbox.harness.compare import QUICK, QUICK_REPEATS, REPEATS, STANDARD, compare
    from sandbox.harness.sections import matrices
    from sandbox.harness.store import run_folder, save_comparison

    base = (QUICK if options.quick else STANDARD).but(**changes(options))
    repeats = options.repeats or (QUICK_REPEATS if options.quick else REPEATS)
    verbs = options.verbs or ["tell", "ask", "share"]
    print(f"The same exchange through every style: {', '.join(verbs)}; {repeats} x {base.operations} operations each.")
    found = compare(base, options.channels, verbs=verbs, repeats=repeats, floors=not options.no_floors)
    print(f"\n{found}\n")
    sections = [] if options.no_matrices else matrices(options.channels, quick=options.quick)
    for section in sections:
        print("\n".join([section.title, *(f"  {sentence}" for sentence in section.sentences()), ""]))
    folder = save_comparison(found, run_folder(options.runs, "compare"), sections)
    print(f"Report: {folder / 'report.html'}")
    return 0 if found.valid and all(section.valid for section in sections) else 1


def _run(options: argparse.Namespace) -> int:
    from sandbox.api import run
    from sandbox.harness.checker import State

    result = run(options.channel, Workload().but(**changes(options)), **channel_knobs(options.knob))
    print(result)
    if options.out:
        print(f"History: {result.save(options.out)}")
    return 0 if result.verdict.state is State.VALID else 1


def _sweep(options: argparse.Namespace) -> int:
    from sandbox.harness.store import run_folder
    from sandbox.harness.sweep import sweep

    wanted = {name: value for name, value in changes(options).items() if name not in SWEPT}
    found = sweep(
        options.channel,
        options.verb,
        workload=Workload().but(**wanted),
        low=options.low,
        high=options.high,
        times=options.times,
        quick=options.quick,
        **channel_knobs(options.knob),
    )
    print(f"\n{found}\n")
    folder = run_folder(options.runs, f"sweep-{found.channel}")
    found.save(folder / "sweep.json")
    print(f"Chart: {found.chart().save(folder)}")
    return 0


def _channels(options: argparse.Namespace) -> int:
    from sandbox.listing import listing

    print(listing())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from sandbox.checkup import main as examine_all

    return examine_all()


def _notebooks(options: argparse.Namespace) -> int:
    import subprocess

    folder = Path(__file__).parent.parent / "notebooks"
    return subprocess.call([sys.executable, "-m", "jupyter", "lab", *options.rest], cwd=folder)


def _bench(options: argparse.Namespace) -> int:
    from sandbox.harness.bench import bench

    bench(options.rounds, options.channels, print)
    return 0
