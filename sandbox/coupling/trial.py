"""One cell of the matrix, tried: a change, a channel, an order, with the best practice or without.

A trial is named ``rename_field/streams/sender_first`` or ``.../sender_first/practice``.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from types import ModuleType

from sandbox.catalogue import adjusted
from sandbox.channel import Channel
from sandbox.coupling.change import Change, Facet, Order
from sandbox.coupling.rollout import Rollout
from sandbox.coupling.verdict import Verdict, decide
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Support
from sandbox.harness.history import History
from sandbox.harness.run import run_history
from sandbox.harness.session import Session
from sandbox.harness.workload import Workload

#: s after which a channel of a trial gives up on an answer, and takes a claim for lapsed; where it has such knobs
_TIMES = {"timeout": 1.0, "lease": 0.5}

#: why there is no trial in an order that a change does not have
ONE_ORDER, NO_ORDER = "one order only", "no such order"


@dataclass(frozen=True)
class Trial:
    """One trial and its verdict, or the reason why there is none."""

    change: type[Change]
    channel: str
    style: str
    order: Order
    practised: bool
    why_not: str = ""
    verdict: Verdict | None = None
    history: History | None = None


def try_out(change: type[Change], channel: Channel, order: Order, practised: bool, session: Session) -> Trial:
    """Run one trial."""
    blank = Trial(change, channel.title(), channel.style, order, practised)
    if reason := why_not(change, channel, order, practised):
        return dataclasses.replace(blank, why_not=reason)
    one = change(order, practised)
    history = run_history(hurried(channel), workload(one), session, director=Rollout(one))
    return dataclasses.replace(blank, verdict=decide(history, one), history=history)


def why_not(change: type[Change], channel: Channel, order: Order, practised: bool) -> str:
    """Why there is no such trial, in a few words; "" when there is."""
    if order not in change.orders:
        return ONE_ORDER if len(change.orders) == 1 else NO_ORDER
    if channel.guarantees.of(change.verb).support is Support.ABSENT:
        return f"does not offer {change.verb}"
    if reason := change.why_not(channel, order):
        return reason
    promises = channel.guarantees
    stored = promises.tell if change.verb is Verb.TELL else promises.ask
    if order is Order.BACKLOG and change.verb is not Verb.SHARE and not stored.receiver_may_be_away:
        return "keeps no backlog"
    if practised and not change.has_practice(channel):
        return change.advice or "none known"
    return ""


def hurried(channel: Channel) -> Channel:
    """The channel with short time-outs and leases, where it has knobs for them: a trial waits for what never comes."""
    return adjusted(channel, **_TIMES)


def workload(change: Change) -> Workload:
    """A few operations in a closed loop; all of them at once where nobody takes them at first."""
    base = Workload(
        str(change.verb),
        operations=change.operations,
        warmup=0,
        loop="closed",
        in_flight=change.operations if change.order is Order.BACKLOG or change.verb is Verb.ASK else 4,
        size=300,
        timeout=2.0,
        groups=change.groups,
        service=change.service,
        writes=0.5,
        volumes=4,
    )
    return base.but(in_flight=1) if change.verb is Verb.SHARE else base


@functools.cache
def catalogue() -> dict[str, type[Change]]:
    """Name -> change, of every file in `changes/`, facet by facet."""
    package = importlib.import_module("sandbox.coupling.changes")
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    found = [change for module in modules for change in changes_in(module)]
    facets = list(Facet)
    return {change.name(): change for change in sorted(found, key=lambda each: facets.index(each.facet))}


def changes_in(module: ModuleType) -> list[type[Change]]:
    """The changes that a module defines."""
    return [
        found
        for found in vars(module).values()
        if inspect.isclass(found) and issubclass(found, Change) and found.__module__ == module.__name__
    ]
