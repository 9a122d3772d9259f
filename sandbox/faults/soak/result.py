"""What a soak has found: kills by row, and for what failed all that is needed to see it again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sandbox.faults.soak.proof import Killed
from sandbox.faults.soak.trial import Trial
from sandbox.harness.words import plural, text_table

SORTS = ("receiver", "sender", "server")


@dataclass(frozen=True)
class Failure:
    """A trial that has broken a promise, and the shortest of its kind that was found to.

    again   in how many of how many more runs the shortest has failed
    """

    trial: Trial
    breaches: tuple[str, ...]
    shortest: Trial
    again: tuple[int, int]

    def __str__(self) -> str:
        trial, shortest = self.trial, self.shortest
        few = f"{len(shortest.planned)} of {plural(len(trial.planned), 'fault')}"
        failed, runs = self.again
        return "\n".join(
            [
                f"{trial.row} broke its promise in run {trial.number} of seed {trial.seed}:",
                *(f"  {breach}" for breach in self.breaches),
                f"needed to fail: {few}, {shortest.workload.operations} of {trial.workload.operations} operations"
                f" (fails in {failed} of {runs} more runs)",
                *(f"  {line}" for line in shortest.schedule()),
                f"  {shortest.workload.weights}, {shortest.workload.receivers} receivers,"
                f" {shortest.workload.senders} senders, batch {shortest.workload.batch}",
                f"once more:  {shortest.command}",
            ]
        )


@dataclass
class Tally:
    """One row's figures. hits: kills with operations in hand, by sort; missed: those without."""

    runs: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    seconds: float = 0.0

    def add(self, dead: list[Killed], seconds: float) -> None:
        """One more run."""
        self.runs += 1
        self.seconds += seconds
        self.hits.update(each.sort for each in dead if each.in_hand)
        self.missed += sum(not each.in_hand for each in dead)

    @property
    def kills(self) -> int:
        """Those that count."""
        return self.hits.total()


@dataclass
class Soak:
    """All of it. Print it."""

    seed: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """Process kills that each hit operations in flight."""
        return sum(tally.kills for tally in self.tallies.values())

    @property
    def sound(self) -> bool:
        """Whether every promise was held, and every row was tried."""
        return not self.failures and not self.notes and all(tally.runs for tally in self.tallies.values())

    def __str__(self) -> str:
        columns = ["channel", "runs", *(f"{sort}s killed" for sort in SORTS), "hit nothing", "promises"]
        broken = {failure.trial.row for failure in self.failures}
        table = [
            [
                row,
                str(t.runs),
                *(str(t.hits[sort]) for sort in SORTS),
                str(t.missed),
                "BROKEN" if row in broken else "held" if t.runs else "not tried",
            ]
            for row, t in self.tallies.items()
        ]
        missed = sum(tally.missed for tally in self.tallies.values())
        end = (
            f"{self.kills:,} kills, each of a process with operations in flight, in {self.seconds:.0f} s"
            f" ({self.kills / self.seconds if self.seconds else 0:.1f}/s), seed {self.seed}."
            f" {missed} more hit nothing in flight and do not count."
        )
        return "\n".join([text_table(columns, table), "", end, *self.notes, *(f"\n{each}" for each in self.failures)])
