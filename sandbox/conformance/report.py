"""What a proof says: one finding a claim, rendered for a terminal and for a notebook."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass

_TICKS = {True: "✓", False: "✗", None: "-"}


@dataclass(frozen=True)
class Finding:
    """What became of one claim.

    claim      the promise in words
    held       True: it was tried and held; False: it was refuted; None: it does not apply
    evidence   what was sent, what was expected, what came; or why it does not apply
    guarantee  the field of `Guarantees` (or the rule of the contract) that a refutation refutes
    """

    claim: str
    held: bool | None
    evidence: str
    guarantee: str


@dataclass(frozen=True)
class Report:
    """All findings about one channel, in the order of the claims."""

    channel: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no claim was refuted and at least one was tried."""
        held = [finding.held for finding in self.findings]
        return False not in held and True in held

    @property
    def refuted(self) -> tuple[Finding, ...]:
        """The findings that refute a declaration."""
        return tuple(finding for finding in self.findings if finding.held is False)

    def __str__(self) -> str:
        return self.text()

    def text(self, evidence: bool = False) -> str:
        """For a terminal; `evidence`: also of what has held."""
        wide = max((len(finding.guarantee) for finding in self.findings), default=0)
        lines = [self._verdict()]
        for finding in self.findings:
            if finding.held is not None:
                lines.append(f"  {_TICKS[finding.held]} {finding.guarantee:{wide}}  {finding.claim}")
            if finding.held is False or (evidence and finding.held):
                lines += textwrap.wrap(finding.evidence, 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
        for reason, claims in self._not_applicable().items():
            text = f"{_TICKS[None]} does not apply, {reason}: {', '.join(claims)}"
            lines += textwrap.wrap(text, 112, initial_indent="  ", subsequent_indent=" " * 6)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            f"<td>{_TICKS[finding.held]}</td><td><code>{html.escape(finding.guarantee)}</code></td>"
            f"<td style='text-align:left'>{html.escape(finding.claim)}</td>"
            f"<td style='text-align:left'>{html.escape(finding.evidence)}</td>"
            "</tr>"
            for finding in self.findings
        )
        head = "<tr><th></th><th>guarantee</th><th>claim</th><th>evidence</th></tr>"
        return f"<p><b>{html.escape(self._verdict())}</b></p><table>{head}{rows}</table>"

    def _not_applicable(self) -> dict[str, list[str]]:
        """Reason -> guarantees whose claims it puts out of question."""
        found: dict[str, list[str]] = {}
        for finding in self.findings:
            if finding.held is None and finding.guarantee not in found.setdefault(finding.evidence, []):
                found[finding.evidence].append(finding.guarantee)
        return found

    def _verdict(self) -> str:
        tried = sum(finding.held is not None for finding in self.findings)
        if self.refuted:
            return f"{self.channel} breaks {len(self.refuted)} of {tried} promises"
        if not self.ok:
            return f"{self.channel} promises nothing that could be tried"
        return f"{self.channel} keeps all {tried} promises that were tried"
