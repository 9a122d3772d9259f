"""Proof that a kill has hit: what the dead process had in hand, by its own journal, which no kill can reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.faults.meeting import OUTCOMES
from sandbox.harness.history import History, Role
from sandbox.harness.journal import Event

_SIGKILL = -9
#: after these a receiver has no more to do with a delivery
_OVER = (Event.SETTLED, Event.RELEASED, Event.SET_ASIDE)


@dataclass(frozen=True)
class Killed:
    """One process that was killed. in_hand: the operations that it had begun and not brought to an end."""

    name: str
    sort: str
    in_hand: frozenset[int]


def killed(history: History) -> list[Killed]:
    """All that were killed in a run, participants and servers."""
    dead = [(index, each) for index, each in enumerate(history.processes) if each.died == _SIGKILL]
    found = [Killed(each.name, str(each.role), _in_hand(history, index, each.role)) for index, each in dead]
    return [*found, *_servers(history)]


def _in_hand(history: History, index: int, role: Role) -> frozenset[int]:
    """A sender: intended, and no outcome known. A receiver: at work, or killed with it in hand, and not settled."""
    held: set[int] = set()
    ends = OUTCOMES if role is Role.SENDER else _OVER
    for event in history.events[history.events["process"] == index]:
        kind, operation = Event(event["event"]), int(event["operation"])
        if kind in (Event.INTENT, Event.WORK):
            held.add(operation)
        elif kind in ends:
            held.discard(operation)
    return frozenset(held | _taken(history, index, role))


def _taken(history: History, index: int, role: Role) -> set[int]:
    """What a receiver was killed with before it had begun to work on it: only the kill itself is on record."""
    mine = history.events[history.events["process"] == index]
    if role is Role.SENDER or not len(mine) or mine[-1]["event"] != Event.STRUCK:
        return set()
    last = int(mine[-1]["operation"])
    before = mine[-2]["event"] if len(mine) > 1 and mine[-2]["operation"] == last else None
    return set() if before == Event.SETTLED else {last}


def _servers(history: History) -> Iterator[Killed]:
    for fault in history.facts.get("faults", ()):
        if fault["name"] == "kill_server" and fault["witnesses"]:
            yield Killed(fault["title"], "server", _under_way(history, int(fault["opened"] * 1e9)))


def _under_way(history: History, moment: int) -> frozenset[int]:
    """Operations that were begun by a moment, and of which the sender had not heard, or no receiver had settled."""
    before = history.events[history.events["time"] <= moment]
    of = {kind: set(before[before["event"] == kind]["operation"].tolist()) for kind in Event}
    heard = set[int]().union(*(of[kind] for kind in OUTCOMES))
    received = bool(history.indices(Role.RECEIVER))
    return frozenset(of[Event.INTENT] - (heard & of[Event.SETTLED] if received else heard))
