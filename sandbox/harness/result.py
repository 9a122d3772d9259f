"""The result of one run: its history, what the checker and the oracles say of it, and how to look at it."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.exchange import oracles
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor, Delivery, Share
from sandbox.harness import checker
from sandbox.harness.checker import Accounts, State, Verdict
from sandbox.harness.history import History
from sandbox.harness.measure import QUOTED, Measure, Quantile, Samples, put_aside, quantiles, samples
from sandbox.harness.plan import MESSAGES_OF, READ, WRITE
from sandbox.harness.words import duration, html_table, plural, text_table

if TYPE_CHECKING:
    import pandas as pd

    from sandbox.charts.chart import Chart


@dataclass(frozen=True, eq=False)
class Result:
    """One run. Print it, or let a notebook show it; `history` holds every event."""

    history: History

    @functools.cached_property
    def verdict(self) -> Verdict:
        """Whether the measuring can be believed; see `checker`."""
        return checker.judge(self.history)

    @functools.cached_property
    def accounts(self) -> dict[Verb, Accounts]:
        """Verb -> its accounts."""
        return {verb: checker.account(self.history, verb) for verb in self.history.workload.weights}

    @functools.cached_property
    def bills(self) -> dict[str, oracles.Bill]:
        """Group of listeners -> its bill; empty when nothing was told."""
        if Verb.TELL not in self.history.workload.weights:
            return {}
        return {group: oracles.bill(self.history, group) for group in self.history.workload.groups}

    @functools.cached_property
    def volumes(self) -> oracles.Volumes | None:
        """The volume service's books, if anything was asked."""
        return oracles.volumes(self.history) if Verb.ASK in self.history.workload.weights else None

    @functools.cached_property
    def states(self) -> oracles.States | None:
        """What the readers of shared state saw, if anything was shared."""
        return oracles.states(self.history) if Verb.SHARE in self.history.workload.weights else None

    @property
    def findings(self) -> tuple[str, ...]:
        """What went wrong in the exchange, in plain sentences; empty when all is as it was meant."""
        return (*_delivery_findings(self), *_business_findings(self))

    def samples(self, verb: Verb | str, measure: Measure | str = Measure.RESPONSE) -> Samples:
        """Latencies of a verb in ns. Of *share*, responses are of reads and acceptances of writes."""
        return latencies(self.history, Verb(verb), Measure(measure))

    def quantile(self, verb: Verb | str, q: float = 0.5, measure: Measure | str = Measure.RESPONSE) -> Quantile:
        """One percentile with its interval."""
        key = (Verb(verb), Measure(measure))
        if key not in self._quantiles or q not in self._quantiles[key]:
            self._quantiles[key] = quantiles([self.samples(*key)], tuple({*QUOTED, q}))
        return self._quantiles[key][q]

    @functools.cached_property
    def _quantiles(self) -> dict[tuple[Verb, Measure], dict[float, Quantile]]:
        return {}

    def latencies(self) -> Chart:
        """The response times as a distribution (ECDF on a log axis)."""
        from sandbox.charts.ecdf import ecdf_of_result

        return ecdf_of_result(self)

    def to_frame(self) -> pd.DataFrame:
        """One row an event; see `History.to_frame`."""
        return self.history.to_frame()

    def summary(self) -> dict[str, Any]:
        """Verdict, accounts, oracles and percentiles, ready for JSON."""
        return {
            "channel": self.history.channel,
            "label": self.history.label,
            "started": self.history.facts.get("started"),
            "workload": self.history.workload.to_dict(),
            "verdict": asdict(self.verdict),
            "findings": list(self.findings),
            "accounts": {str(verb): asdict(accounts) for verb, accounts in self.accounts.items()},
            "bills": {group: asdict(bill) for group, bill in self.bills.items()},
            "volumes": asdict(self.volumes) if self.volumes else None,
            "states": _brief(self.states),
            "latency_ns": {str(verb): self._percentiles(verb) for verb in self.accounts},
        }

    def _percentiles(self, verb: Verb) -> dict[str, Any]:
        return {
            str(measure): [asdict(self.quantile(verb, q, measure)) for q in QUOTED]
            for measure in (Measure.RESPONSE, Measure.ACCEPTANCE)
        }

    def save(self, path: str | Path) -> Path:
        """Write the history as one ``.npz`` file; everything else is computed from it again."""
        path = Path(path).with_suffix(".npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.history.save(path)
        return path

    def __str__(self) -> str:
        head = f"{self.history.channel}: {self.verdict.state}"
        lines = [head, *(f"  because {reason}" for reason in self.verdict.reasons)]
        lines += [text_table(*_account_table(self)), text_table(*_latency_table(self))]
        return "\n".join([*lines, *_closing(self)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        reasons = "; ".join(self.verdict.reasons)
        head = f"<p><b>{self.history.channel}</b>: {self.verdict.state}{' because ' + reasons if reasons else ''}</p>"
        body = html_table(*_account_table(self)) + html_table(*_latency_table(self))
        return head + body + "".join(f"<p>{line}</p>" for line in _closing(self))


def latencies(history: History, verb: Verb, measure: Measure) -> Samples:
    """See `Result.samples`."""
    message = None
    if verb is Verb.SHARE:
        message = WRITE if measure is Measure.ACCEPTANCE else READ
    return samples(history, verb, measure, message)


def _account_table(result: Result) -> tuple[list[str], list[list[str]]]:
    columns = ["intended", "ok", "fail", "info", "acknowledged", "delivered", "lost", "duplicated", "reordered"]
    rows = []
    for verb, accounts in result.accounts.items():
        values = asdict(accounts)
        rows.append([str(verb), *("-" if values[name] is None else str(values[name]) for name in columns)])
    return ["verb", *columns], rows


def _latency_table(result: Result) -> tuple[list[str], list[list[str]]]:
    rows = []
    for verb in result.accounts:
        for measure in (Measure.RESPONSE, Measure.ACCEPTANCE):
            found = [result.quantile(verb, q, measure) for q in QUOTED]
            rows.append([str(verb), str(measure), *(duration(each.value) for each in found), str(found[0].samples)])
    return ["verb", "latency", *(f"p{q * 100:g}" for q in QUOTED), "samples"], rows


def _closing(result: Result) -> list[str]:
    return list(result.findings) or ["All as it was meant: " + _all_well(result) + "."]


def _all_well(result: Result) -> str:
    words = []
    if result.bills:
        words.append("every bill is right")
    if result.volumes:
        words.append("every volume and quota is right")
    if result.states:
        stale = (
            f"{result.states.stale} of {result.states.reads} reads were stale" if result.states.stale else "none stale"
        )
        words.append(f"every state read was possible ({stale})")
    return ", ".join(words)


def _delivery_findings(result: Result) -> list[str]:
    found = []
    for verb, accounts in result.accounts.items():
        for number, what in (
            (lost(result.history, verb), "acknowledged but lost"),
            (accounts.unexpected, "delivered although nobody had sent them (unexpected)"),
            (accounts.contradicted, "delivered although the sender had been told that they failed"),
            (accounts.fail, "failed: they certainly did not happen"),
            (accounts.info, "left indeterminate: nobody knows whether they happened"),
        ):
            if number:
                found.append(f"{verb}: {number} of {accounts.intended} were {what}.")
        if accounts.duplicated:  # of one operation there may be many
            found.append(f"{verb}: {plural(accounts.duplicated, 'time')} one of {accounts.intended} was worked again.")
        if aside := set_aside(result.history, verb):
            found.append(f"{verb}: {aside} of {accounts.intended} were set aside by their receiver, and not worked.")
        found += _broken_promises(result, verb, accounts)
    return found


def _broken_promises(result: Result, verb: Verb, accounts: Accounts) -> list[str]:
    promise = result.history.guarantees.of(verb)
    if isinstance(promise, Share):
        return []
    name, history = result.history.channel, result.history
    faults = history.facts.get("faults", ())
    cut = any(each.get("power_cut") for each in faults)
    excused = cut and promise.accepted_by is not Acceptor.DISK  # nobody has said that it would survive that
    binding = promise.delivery is Delivery.AT_LEAST_ONCE and history.workload.settle == "after" and not excused
    if binding and lost(history, verb):
        return [f"{name} promises at least once for {verb} and did not keep it."]
    sent_again = sum(each["witnesses"] for each in faults if each.get("repeats"))
    if promise.delivery is Delivery.AT_MOST_ONCE and (accounts.duplicated or 0) > sent_again:
        return [f"{name} promises at most once for {verb} and did not keep it."]
    return []


def lost(history: History, verb: Verb) -> int:
    """How many operations were acknowledged, and a group has neither worked them nor set them aside."""
    import numpy as np

    told = np.isin(history.plan.rows["message"], MESSAGES_OF[verb]) & checker.acknowledged(history)
    return sum(
        int((told & _unworked(history, group) & ~put_aside(history, group)).sum()) for group in history.groups_of(verb)
    )


def set_aside(history: History, verb: Verb) -> int:
    """How many operations a group's receivers have set aside, and none of them has ever worked."""
    import numpy as np

    mine = np.isin(history.plan.rows["message"], MESSAGES_OF[verb])
    return sum(
        int((mine & _unworked(history, group) & put_aside(history, group)).sum()) for group in history.groups_of(verb)
    )


def _unworked(history: History, group: str) -> Any:
    return checker.deliveries(history, group) == 0


def _business_findings(result: Result) -> list[str]:
    found = []
    for bill in result.bills.values():
        bills = f"{plural(bill.wrong_projects, 'bill')} wrong" if bill.wrong_projects else "no sum is wrong, by luck"
        for amount, what in (
            (bill.unbilled, "never billed"),
            (bill.doubled, "billed twice"),
            (bill.wrong, "billed wrongly"),
        ):
            if amount:
                found.append(f"{bill.group}: {amount:,} bytes {what}; {bills}.")
    for books in (result.volumes, result.states):
        if books is not None and not books.right:
            wrong = {k: v for k, v in asdict(books).items() if isinstance(v, int) and v and k in _WRONG}
            found.append("; ".join(f"{number} {name.replace('_', ' ')}" for name, number in wrong.items()) + ".")
    return found


_WRONG = (
    *("created_twice", "wrong", "over_quota", "wrongly_refused", "mismatched", "unfounded", "denied"),
    *("backwards", "impossible"),
)


def _brief(states: oracles.States | None) -> dict[str, Any] | None:
    if states is None:
        return None
    brief = asdict(states)
    brief["staleness"] = list(states.staleness)
    return brief


def is_valid(results: list[Result]) -> bool:
    """Whether every run's measuring can be believed."""
    return all(result.verdict.state is State.VALID for result in results)
