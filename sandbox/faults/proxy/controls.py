"""The session's requests, carried out in the proxy's process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sandbox.faults.proxy.addresses import Target
from sandbox.faults.proxy.pipes import Pipe
from sandbox.faults.proxy.relay import Relay
from sandbox.faults.proxy.rules import Direction, Rules, Shots, Touch
from sandbox.harness.participant import Link


def relay(link: Link, target: Target | Path, file: Path, seed: int) -> None:
    """What the process does: listen, say where, and serve until the session closes `link`."""
    made = Relay(link, seed)
    link.send(made.listen(target, file))
    made.serve(Controls(made).answer)


class Controls:
    """Each request is a method; `answer` finds it by name."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._known: dict[str, Callable[..., Any]] = {
            method.__name__: method
            for method in (
                *(self.latency, self.bandwidth, self.hold, self.swallow, self.cut, self.lose),
                *(self.reset, self.heal, self.counts, self.touches, self.connections),
            )
        }

    def answer(self, name: str, arguments: dict[str, Any]) -> Any:
        """Carry out one request and have its consequences follow at once."""
        answer = self._known[name](**arguments)
        for crossing in list(self._relay.crossings.values()):
            self._relay.go_on(crossing)
        return answer

    def latency(self, direction: Direction, seconds: float, jitter: float) -> None:
        for rules in self._rules(direction):
            rules.latency, rules.jitter = seconds, jitter

    def bandwidth(self, direction: Direction, rate: float) -> None:
        for rules in self._rules(direction):
            rules.bandwidth = rate

    def hold(self, direction: Direction) -> None:
        for way in self._ways(direction):
            self._relay.rules[way].held = True
            for pipe in self._pipes(way):
                if pipe.size:  # on its way already, and as much touched as what is still to come
                    pipe.touch("held", pipe.size)

    def swallow(self, direction: Direction) -> None:
        for rules in self._rules(direction):
            rules.swallowed = True

    def cut(self, direction: Direction, after: int, times: float) -> None:
        shots = Shots(after=after, left=times)
        for rules in self._rules(direction):
            rules.cut = shots

    def lose(self, direction: Direction, wait: float, times: float, newcomers: bool) -> None:
        up_to = math.inf if newcomers else self._relay.opened
        shots = Shots(wait=wait, left=times, up_to=up_to)
        for rules in self._rules(direction):
            rules.lost = shots

    def reset(self) -> int:
        crossings = list(self._relay.crossings.values())
        for crossing in crossings:
            self._relay.record.add(crossing.number, "both", "reset", 0)
            self._relay.end(crossing, reset=True)
        return len(crossings)

    def heal(self) -> None:
        """Nothing is done to anything any more. A stream in which bytes are missing cannot go on: it is reset."""
        for way, rules in self._relay.rules.items():
            vars(rules).update(vars(Rules()))
            for pipe in self._pipes(way):
                crossing = self._relay.crossings.get(pipe.connection)
                if pipe.maimed and crossing is not None:
                    self._relay.record.add(crossing.number, "both", "reset", 0)
                    self._relay.end(crossing, reset=True)

    def counts(self) -> dict[str, int]:
        return dict(self._relay.record.counts)

    def touches(self) -> list[Touch]:
        return self._relay.record.touches

    def connections(self) -> int:
        return len(self._relay.crossings)

    def _ways(self, direction: Direction) -> tuple[str, ...]:
        return ("up", "down") if direction == "both" else (direction,)

    def _rules(self, direction: Direction) -> Iterator[Rules]:
        return (self._relay.rules[way] for way in self._ways(direction))

    def _pipes(self, way: str) -> list[Pipe]:
        return [crossing.up if way == "up" else crossing.down for crossing in self._relay.crossings.values()]
