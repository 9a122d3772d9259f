"""Two processes and one named point: one stops between reading and writing until the other is through.

A race that needs luck shows nothing to a class. Here the unlucky order is forced, so that what breaks by
it breaks every time, and what holds holds because it must.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sandbox.db_share.compare_and_swap import CompareAndSwap
from sandbox.db_share.ends import nothing
from sandbox.errors import RunFailed
from sandbox.exchange.schema import EXCHANGE
from sandbox.site import Site

if TYPE_CHECKING:
    from sandbox.harness.participant import Link
    from sandbox.harness.session import Session

#: what is to be called at the named point
Between = Callable[[], None]
#: something that a process does; it gets `between` and calls it at its named point
Act = Callable[[Between], Any]

_AT_THE_POINT, _GO_ON = "at the point", "go on"
#: seconds that each step may take
_PATIENCE = 20.0


def overtake(session: Session, slow: Act, quick: Act) -> tuple[Any, Any]:
    """What `slow` and `quick` return: each a process, `quick` runs from end to end while `slow` is at its point.

    Only the first time that `slow` comes to its point it waits there; if it tries again, it goes through.
    Raises `RunFailed` when it never comes there, or when one of the two raises.
    """
    first, second = session.participant("slow"), session.participant("quick")
    try:
        first.begin(_stopping_at_the_point, slow)
        if (said := first.receive(_PATIENCE)) != _AT_THE_POINT:
            raise RunFailed(f"the slow one never came to its point between reading and writing; it returned {said[1]}")
        second.begin(_without_stopping, quick)
        overtaken_by = second.finish(_PATIENCE)
        first.send(_GO_ON)
        return first.finish(_PATIENCE), overtaken_by
    finally:
        first.close()
        second.close()


def take(channel: CompareAndSwap, site: Site, name: str, between: Between) -> list[int]:
    """An act, once its channel, site and name are given: look once for a row, claim it, settle it; its operation."""
    with closing(channel.receiver(site, EXCHANGE, site.groups[0], name)) as receiver:
        receiver.between = between
        taken = receiver.take(0)
        for delivery in taken:
            delivery.settle()
        return [delivery.operation.id for delivery in taken]


def _stopping_at_the_point(link: Link, act: Act) -> Any:
    stops = iter([_AT_THE_POINT])

    def between() -> None:
        for stop in stops:
            link.send(stop)
            link.recv()

    return act(between)


def _without_stopping(link: Link, act: Act) -> Any:
    return act(nothing)
