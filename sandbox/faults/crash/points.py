"""From the effects that were seen to the points at which a process is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sandbox.faults.crash.source import Names
from sandbox.faults.crash.watching import Seen, Spot, Strike


@dataclass(frozen=True)
class Kill:
    """One run: who is killed where.

    id           stays the same as long as the source does
    who          name of the participant: "sender-0", "metering-0" (gets what is told), "volumes-0" (is asked)
    which        "first" or "last" occurrence of the effect
    successor    the effect is one of recovery: who had its part before was killed at work, and this is its successor
    again        the one that took its place is killed too, when it comes to the same effect for the first time
    """

    id: str
    who: str
    strike: Strike
    which: str
    successor: bool = False
    again: bool = False

    @property
    def spot(self) -> Spot:
        """The effect."""
        return self.strike.spot


def kills(plain: Mapping[str, Sequence[Seen]], recovering: Mapping[str, Sequence[Seen]], names: Names) -> list[Kill]:
    """All points, in order of participant and of the first time that each effect was seen.

    plain       participant -> its effects in a run without any kill
    recovering  participant -> the effects of whoever took its place after it was killed at work
    """
    found: list[Kill] = []
    for who, seen in plain.items():
        spots = list(dict.fromkeys(each.spot for each in seen))
        for spot in spots:
            found += _at(spot, _code(who, spot, spots, names), who, _occurrences(spot, seen))
        ours = recovering.get(who, ())
        new = [spot for spot in dict.fromkeys(each.spot for each in ours) if spot not in spots]
        for spot in new:
            code = _code(who, spot, [*spots, *new], names)
            found += [replace(each, successor=True) for each in _at(spot, code, who, _occurrences(spot, ours)[:1])]
    return [*found, *(replace(each, id=f"{each.id}.again", again=True) for each in found)]


def _at(spot: Spot, code: str, who: str, occurrences: Iterable[tuple[int, int]]) -> list[Kill]:
    found = []
    for which, (epoch, nth) in zip(("first", "last"), occurrences, strict=False):
        for after in (True,) if spot.taking else (False, True):
            name = f"{code}.{'after' if after else 'before'}.{which}"
            found.append(Kill(name, who, Strike(spot, after, epoch, nth), which))
    return found


def _code(who: str, spot: Spot, spots: Sequence[Spot], names: Names) -> str:
    """What a spot is called in the name of a point: of several ways to the same line each has a number."""
    same = [each for each in spots if each[:3] == spot[:3]]
    number = f"#{same.index(spot) + 1}" if len(same) > 1 else ""
    file = names.of(spot.file).removesuffix(".py").rpartition("/")[2].replace(" ", "")
    return f"{who.removesuffix('-0')}.{file}:{spot.line}{number}.{spot.act.rpartition('.')[2].replace(' ', '-')}"


def _occurrences(spot: Spot, seen: Sequence[Seen]) -> list[tuple[int, int]]:
    """First and last (epoch, number in it) of a spot; one only, if they are the same.

    In the epoch of the last operation, somebody who looks again and again does so as often as there is time: there
    only the first occurrence is the same in each run. The epoch before it has a whole cycle, from one operation to
    the next, and so the last that is sure, where an effect occurs several times in a cycle.
    """
    times = Counter(each.epoch for each in seen if each.spot == spot)
    first, end = (min(times), 0), max(each.epoch for each in seen)
    last = (max(times), 0)
    if last[0] == end and times[end - 1] > 1:
        last = (end - 1, times[end - 1] - 1)
    elif last[0] != end:
        last = (last[0], times[last[0]] - 1)
    return [first] if first == last else [first, last]
