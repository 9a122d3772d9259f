"""The Python face: what a notebook imports from `sandbox`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.catalogue import find
from sandbox.channel import Channel
from sandbox.harness.cast import Intervention
from sandbox.harness.compare import compare
from sandbox.harness.result import Result
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.stage import Director, Script
from sandbox.harness.workload import Workload

if TYPE_CHECKING:
    from sandbox.checkup import Examination
    from sandbox.coupling.cells import Matrix
    from sandbox.faults.cells import FaultMatrix
    from sandbox.faults.fault import Fault, Planned
    from sandbox.faults.plan import FaultPlan
    from sandbox.harness.comparison import Comparison
    from sandbox.harness.sweep_result import Sweep
    from sandbox.listing import Listing

__all__ = ["channels", "compare", "doctor", "load", "run"]


def run(
    channel: str | type[Channel] | Channel,
    workload: Workload | None = None,
    *,
    session: Session | None = None,
    interventions: Sequence[Intervention] = (),
    faults: Sequence[Fault | Planned] | FaultPlan = (),
    **knobs: Any,
) -> Result:
    """One workload on one channel; returns when all of it is accounted for.

    channel        a title ("spool"), a file ("mine.py"), a class or a value
    workload       what to offer; `Workload()` tells 500 times at 300/s
    interventions  (seconds after the start, function of the cast), e.g. ``(0.5, lambda cast: cast.kill("metering-0"))``
    faults         what breaks: ``[PauseReceiver().during(0.5, lasts=1.0)]``; one without a time breaks all the load
    knobs          of the channel: ``run("spool", flush=True)``

    Errors: `BadArgument`, `ServerUnavailable`, `RunFailed`. Stopping the cell ends all that was started.
    """
    director: Director = Script(interventions)
    if faults:
        from sandbox.faults.plan import FaultPlan

        # a plan directs one run; who gives one twice means the same faults twice
        director = FaultPlan(faults.planned if isinstance(faults, FaultPlan) else faults, beside=director)
    return Result(run_history(find(channel, **knobs), workload or Workload(), session, director=director))


def load(path: str | Path) -> Result | Comparison | Sweep | Matrix | FaultMatrix:
    """What was saved: a run's ``.npz`` file, the folder of a comparison or a matrix, or a sweep's ``.json`` file."""
    from sandbox.harness.store import kind_of, load_comparison, load_result
    from sandbox.harness.sweep_result import load_sweep

    path = Path(path)
    if path.suffix == ".json" and not path.is_dir():
        return load_sweep(path)
    if kind_of(path) == "coupling":
        from sandbox.coupling.store import load_matrix

        return load_matrix(path)
    if kind_of(path) == "faults":
        from sandbox.faults.store import load_matrix as load_faults

        return load_faults(path)
    return load_comparison(path) if path.is_dir() else load_result(path)


def channels() -> Listing:
    """What channels there are and what each promises."""
    from sandbox.listing import listing

    return listing()


def doctor() -> Examination:
    """What works on this machine, what does not, and what to do."""
    from sandbox.checkup import examine

    return examine()
