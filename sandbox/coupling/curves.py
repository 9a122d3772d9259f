"""Coupling that comes by degrees, as curves: one call each, about 20 s, no setting needed.

    away()       how many operations succeed while the receiver is away, for longer and longer
    slowness()   what the sender feels of a receiver that works slower and slower
    links()      how many addresses and connections it takes for more and more parties

Each shows progress and returns an `Experiment`: a chart, and the runs that it was made from. Stopping the cell ends
all that was started. Raises `BadArgument`, and what `run` raises.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Template

from sandbox.channel import Channel
from sandbox.coupling.absence import Absence, patient, side_by_side
from sandbox.coupling.matrix import Column, available
from sandbox.coupling.wiring import PARTIES, check_parties, offers_copies, wired
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Support
from sandbox.harness.checker import State
from sandbox.harness.experiments import Experiment, Show
from sandbox.harness.progress import Progress
from sandbox.harness.result import Result
from sandbox.harness.run import run_history
from sandbox.harness.session import Session, default_session, end_default_session
from sandbox.harness.workload import Workload

__all__ = ["away", "curves", "links", "save_curves", "slowness"]

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Coupling by degrees</title>
<style>
$style
</style>
</head>
<body>
<main>
<h1>Coupling by degrees</h1>
$charts
</main>
</body>
</html>
""")

Named = str | type[Channel] | Channel
#: s that the receiver is away
ABSENCES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
#: s of work for each operation; at the usual rate the last is more than a receiver can do
SERVICES = (0.0004, 0.0008, 0.0016, 0.0032)
#: what is told and asked
_VERBS = (Verb.TELL, Verb.ASK)


def curves(
    channels: Sequence[Named] | None = None, *, session: Session | None = None, progress: Show = True
) -> list[Experiment]:
    """All three, one after the other. About a minute."""
    return [
        away(channels, session=session, progress=progress),
        slowness(channels, session=session, progress=progress),
        links(channels, session=session, progress=progress),
    ]


def save_curves(found: Sequence[Experiment], folder: str | Path) -> Path:
    """Write each experiment (see `Experiment.save`) and a page with all charts into a folder; returns the page."""
    from sandbox.charts.report import STYLE

    folder = Path(folder)
    for each in found:
        each.save(folder)
    page = folder / "curves.html"
    charts = "\n".join(each.chart.html() for each in found)
    page.write_text(PAGE.substitute(style=STYLE.strip(), charts=charts), encoding="utf-8")
    return page


# --- the receiver is away --------------------------------------------------------------------------


def away(
    channels: Sequence[Named] | None = None,
    *,
    absences: Sequence[float] = ABSENCES,
    seconds: float = 1.0,
    timeout: float = 1.0,
    rate: float = 40.0,
    session: Session | None = None,
    progress: Show = True,
) -> Experiment:
    """How many operations succeed against how long the receiver is away while the sender sends.

    channels  titles, files, classes or values; without any, one sound channel of each style
    absences  s after the start of the load until a receiver comes; 0: it is there from the start
    seconds   for which the sender sends, at `rate` operations/s
    timeout   s that an asker waits for its answer

    A tell succeeds when it is done as it was meant, once, by the end; an ask, when it is also answered in time. Runs
    are made side by side: what counts is what was done, not how quickly. About 20 s.
    """
    if not absences or not all(0 <= absence <= 10 for absence in absences):
        raise BadArgument("absences", expected="some, each from 0 to 10 s", got=absences)
    if not 0.1 <= seconds <= 10 or not 0.1 <= timeout <= 10:
        expected, got = "seconds and timeout from 0.1 to 10", {"seconds": seconds, "timeout": timeout}
        raise BadArgument("absence", expected=expected, got=got)
    from sandbox.charts.away import away as draw

    load = Workload(operations=round(seconds * rate), rate=rate, size=300, warmup=0, timeout=timeout + 0.5)
    with _session(session) as shared:
        chosen, notes = available(channels, shared)
        pairs = _offered(chosen)
        stopped = threading.Event()
        jobs = {
            f"{column.title}: {verb}, the receiver is away for {absence:g} s": Absence(
                patient(column.channel, timeout),
                column.title,
                load.but(verb=str(verb)),
                absence,
                timeout,
                shared,
                stopped,
            )
            for absence in sorted(set(absences), reverse=True)  # the longest first: none is left alone at the end
            for column, verb in pairs
        }
        results = side_by_side(jobs, stopped, progress)
    return Experiment(draw(results, notes), tuple(results))


# --- the receiver is slow --------------------------------------------------------------------------


def slowness(
    channels: Sequence[Named] | None = None,
    *,
    services: Sequence[float] = SERVICES,
    rate: float = 500.0,
    operations: int = 200,
    session: Session | None = None,
    progress: Show = True,
) -> Experiment:
    """What the sender feels of a receiver that works slower and slower, while as much is offered as before.

    channels    titles, files, classes or values; without any, one sound channel of each style
    services    s of work for each operation; where `rate` times that is above 1, one receiver cannot keep up
    rate        operations/s offered, in an open loop
    operations  of a run; 200 carry a p95, a p99 needs 1000

    A run whose measuring turned out unknown is run once more; one that is again is marked. About 25 s.
    """
    if not services or not all(0 < service <= 0.1 for service in services):
        raise BadArgument("services", expected="some, each above 0 up to 0.1 s", got=services)
    from sandbox.charts.slowness import slowness as draw

    load = Workload(operations=operations, rate=rate, warmup=20, timeout=5.0)
    with _session(session) as shared:
        chosen, notes = available(channels, shared)
        pairs = _offered(chosen)
        show = Progress(len(pairs) * len(services), progress)
        results = []
        for service in services:
            for column, verb in pairs:
                show.step(f"{column.title}: {verb}, {service * 1e3:g} ms of work")
                results.append(_measured(column, load.but(verb=str(verb), service=service), shared))
        show.end()
    return Experiment(draw(results, notes), tuple(results))


def _measured(column: Column, load: Workload, session: Session) -> Result:
    for _ in range(2):
        history = run_history(column.channel, load, session)
        result = Result(dataclasses.replace(history, channel=column.title))
        if result.verdict.state is not State.UNKNOWN:
            break
    return result


# --- more and more parties -------------------------------------------------------------------------


def links(
    channels: Sequence[Named] | None = None,
    *,
    parties: Sequence[int] = PARTIES,
    session: Session | None = None,
    progress: Show = True,
) -> Experiment:
    """Addresses to know and connections to hold for n senders and n listeners that all talk to each other.

    channels  titles, files, classes or values; without any, one sound channel of each style
    parties   values of n, each up to 16

    Nothing is computed: 2 n processes are opened, tell each other something, and count; see `wiring`. About 10 s.
    """
    check_parties(parties)
    from sandbox.charts.links import links as draw

    with _session(session) as shared:
        chosen, notes = available(channels, shared)
        able = [column.channel for column in chosen if offers_copies(column.channel)]
        notes += [f"{column.title} reaches one listener only" for column in chosen if not offers_copies(column.channel)]
        found = wired(able, sorted(set(parties)), shared, progress)
    return Experiment(draw(found, notes), ())


# --- all of them -----------------------------------------------------------------------------------------


def _offered(columns: Sequence[Column]) -> list[tuple[Column, Verb]]:
    """Each channel with each verb that it offers."""
    return [
        (column, verb)
        for column in columns
        for verb in _VERBS
        if column.channel.guarantees.of(verb).support is not Support.ABSENT
    ]


@contextmanager
def _session(given: Session | None) -> Iterator[Session]:
    """The session given, or the default one; an interrupt ends that, so that nothing half-done is reused."""
    try:
        yield given or default_session()
    except KeyboardInterrupt:
        if given is None:
            end_default_session()
        raise
