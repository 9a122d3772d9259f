"""Each peer and the channel it stands beside, turn by turn in one run: `make bench-peers`."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass, field
from importlib.metadata import version

from benchmarks.dirq import Dirq
from benchmarks.faststream import FastStream, FastStreamBatch, FastStreamPipeline
from benchmarks.peer import Peer
from benchmarks.pgqueuer import PgQueuers
from benchmarks.pyro5 import Pyro
from sandbox.catalogue import find
from sandbox.channel import Channel
from sandbox.floor import Floor, Load
from sandbox.harness.bench import ThroughContract
from sandbox.harness.floors import drive_floor, floor_load
from sandbox.harness.session import Session
from sandbox.harness.words import duration, text_table
from sandbox.machine import file_system

PEERS: tuple[Peer, ...] = (Dirq(), PgQueuers(), Pyro(), FastStream(), FastStreamBatch(), FastStreamPipeline())
#: of a round: the fastest send 10,000 in 0.05 s, the slowest take some 10 s
ASKS, TELLS = 1000, 10_000
COLUMNS = ("channel", "peer", "its promise", "ask p50", "theirs", "ratio", "tells/s", "theirs", "ratio", "goals")


@dataclass
class Figures:
    """Medians of the asks (ns) and rates of the tells (1/s), one of each a turn."""

    asks: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def add(self, floor: Floor, session: Session, placed: Channel | Floor, load: Load) -> None:
        """Drive one turn, on a site for what is `placed` there."""
        site = session.site(placed)
        driven, taken = drive_floor(floor, session, load, pinned=True, site=site)
        if load.asks:
            self.asks.append(statistics.median(driven.asks[load.asks // 10 :]))
        seconds = (max(driven.acknowledged, taken[-1]) - driven.told[0]) / 1e9
        self.rates.append(load.tells / seconds)


def main() -> None:
    """Measure the peers that were named, or all."""
    known = {peer.package: peer for peer in PEERS}
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("peers", nargs="*", help=f"any of: {', '.join(known)}")
    options = parser.parse_args()
    if strangers := [name for name in options.peers if name not in known]:
        parser.error(f"peers: expected any of {', '.join(known)}, got {strangers[0]}")
    chosen = [known[name] for name in options.peers or known]
    with Session() as session:
        rows = _measure(chosen, options.rounds, session)
        files = file_system(session.folder)
    print("\n" + text_table(COLUMNS, rows))
    print(f"\nMedians of {options.rounds} interleaved rounds (least-greatest). 1 KiB of JSON, a core for each process,")
    print(f"asks one at a time, tells with 64 in flight; files on {files}. Settings of the peers:")
    for peer in chosen:
        print(f"  {peer.package} {version(peer.package.split('-')[0])}: {peer.settings}")


def _measure(chosen: list[Peer], rounds: int, session: Session) -> list[list[str]]:
    ours, theirs = ({peer: Figures() for peer in chosen} for _ in range(2))
    for number in range(rounds):
        for peer in chosen:
            print(f"round {number + 1}: {peer.channel}, {peer.package} ...", flush=True)
            for turn in range(peer.turns):
                _take_turns(peer, ours[peer], theirs[peer], session, ours_first=(number + turn) % 2 > 0)
    return [_row(peer, ours[peer], theirs[peer]) for peer in chosen]


def _take_turns(peer: Peer, ours: Figures, theirs: Figures, session: Session, ours_first: bool) -> None:
    """One turn each; who begins changes, so that neither always follows the other."""
    channel = find(peer.channel)
    load = floor_load(1024, ASKS // peer.turns if peer.asks else 0, TELLS // peer.turns)
    if ours_first:
        ours.add(ThroughContract(channel), session, channel, load)
    theirs.add(peer, session, peer, load)
    if not ours_first:
        ours.add(ThroughContract(channel), session, channel, load)


def _row(peer: Peer, ours: Figures, theirs: Figures) -> list[str]:
    asks, goals = ["-"] * 3, []
    if peer.asks:
        ratio, words = _ratio(ours.asks, theirs.asks)
        asks = [duration(statistics.median(ours.asks)), duration(statistics.median(theirs.asks)), words]
        goals.append(_goal("ask <=", peer.ask_goal, ratio <= peer.ask_goal))
    ratio, words = _ratio(ours.rates, theirs.rates)
    tells = [f"{statistics.median(ours.rates):,.0f}", f"{statistics.median(theirs.rates):,.0f}", words]
    goals.append(_goal("tells >=", peer.tell_goal, ratio >= peer.tell_goal))
    return [peer.channel, peer.package, peer.promise, *asks, *tells, "; ".join(goals)]


def _ratio(ours: list[float], theirs: list[float]) -> tuple[float, str]:
    """Median of the turns' ratios, and in words with the least and the greatest of them."""
    ratios = sorted(our / their for our, their in zip(ours, theirs, strict=True))
    median = statistics.median(ratios)
    return median, f"{median:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"


def _goal(what: str, ratio: float, reached: bool) -> str:
    return f"{what} {ratio:.2g}: {'reached' if reached else 'MISSED'}"


if __name__ == "__main__":
    main()
