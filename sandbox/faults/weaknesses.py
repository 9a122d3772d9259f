"""Every weakness that a channel declares, and the run that shows it: who promises less than all shows how it fails.

A sound channel's weakness stands in its guarantees ("at least once" may do it twice); that of a naive sibling is what
its author did not think of. Each is exhibited by a fault, and by a word that the verdict on its run must hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sandbox.faults.cells import Cell
from sandbox.faults.matrix import TRIES, try_cell
from sandbox.faults.scenes import column, scenes
from sandbox.harness.session import Session


@dataclass(frozen=True)
class Weakness:
    """channel   its title;  declared: its weakness, in its own words or in those of its sibling's docstring
    scene     the row of the matrix that shows it;  shows: the word that is in the verdict then
    settle    when receivers settle in that run
    """

    channel: str
    declared: str
    scene: str
    shows: str
    settle: str = "after"

    @property
    def name(self) -> str:
        """Of its cell, and when its receivers settle."""
        return f"{self.scene}/{self.channel}" + ("" if self.settle == "after" else f", settled {self.settle} the work")


AT_LEAST = "at least once: may do it twice"
AT_MOST = "at most once: what was under way may be gone"
BEFORE = "settled before the work: what a receiver had in hand is gone"
WEAKNESSES: tuple[Weakness, ...] = (
    Weakness("spool", AT_LEAST, "kill_receiver_worked", "twice"),
    Weakness("compare_and_swap", AT_LEAST, "kill_receiver_worked", "twice"),
    Weakness("skip_locked", AT_LEAST, "kill_receiver_worked", "twice"),
    Weakness("streams", AT_LEAST, "kill_receiver_worked", "twice"),
    Weakness("spool", BEFORE, "kill_receiver_working", "lost", settle="before"),
    Weakness("skip_locked", BEFORE, "kill_receiver_working", "lost", settle="before"),
    Weakness("streams", BEFORE, "kill_receiver_working", "lost", settle="before"),
    Weakness("spool", "accepted by the kernel, not on disk", "torn_write", "lost"),
    Weakness("streams", "accepted by the server, not on disk", "torn_write", "lost"),
    Weakness("socket", AT_MOST, "kill_receiver_working", "indefinite"),
    Weakness("socket", "the receiver may not be away", "kill_receiver_working", "refused"),
    Weakness("socket", "an answer that is lost leaves its caller in doubt", "answer_lost", "indefinite"),
    Weakness("blind_retry", "calls again without knowing: does it twice", "answer_lost", "twice"),
    Weakness("pub_sub", "at most once, nobody keeps it: who is away misses it", "kill_receiver_working", "lost"),
    Weakness("log", AT_MOST, "kill_receiver_working", "lost"),
)


def exhibit(session: Session, weaknesses: Sequence[Weakness] = WEAKNESSES) -> Iterator[tuple[Weakness, Cell]]:
    """Run each until it shows what it should, a few times at most; whether it did is for `shown`."""
    for weakness in weaknesses:
        (scene,) = scenes([weakness.scene])
        for _ in range(TRIES):
            cell = try_cell(scene, column(weakness.channel), session, settle=weakness.settle)
            if shown(weakness, cell):
                break
        yield weakness, cell


def shown(weakness: Weakness, cell: Cell) -> bool:
    """Whether the run has shown it."""
    return any(weakness.shows in verdict.kinds for verdict in cell.verdicts)
