"""How the wiring grows with the number of parties: counted, and the law that goes through what was counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sandbox.charts import panels
from sandbox.charts.chart import Chart, Value
from sandbox.charts.labels import halo, listed, shortened
from sandbox.charts.lines import Drawn, key, key_lines, only_marker
from sandbox.charts.style import rank
from sandbox.errors import BadArgument

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.coupling.wiring import Wiring

TITLE = "More and more parties: what has to be wired"
LEFT = 1.25
HEIGHT = 2.7
#: how far a law is drawn beyond what was counted
BEYOND = 1.25
SQUARED = "n\N{SUPERSCRIPT TWO}"
COLUMNS = (
    *("channel", "n", "addresses known", "connections open", "told", "arrived", "copies made by"),
    *("law of addresses", "law of connections"),
)
NOTE = (
    "n senders and n listeners, everybody tells everybody; over all ends. Addresses: who an end is connected to, "
    "folders that it puts files into, where it can be found. Law: the simplest that goes through all that was counted."
)


class Law(NamedTuple):
    """A law and its name."""

    name: str
    of: Callable[[float], float]


class _Curve:
    """One channel's counts of one kind, by n."""

    def __init__(self, channel: str, counts: Sequence[tuple[int, int]]) -> None:
        self.channel, self.counts = channel, counts
        self.law = law(counts)

    @property
    def said(self) -> str:
        steps = listed([f"{count} at n = {n}" for n, count in self.counts])
        return f"{self.channel} {steps} ({self.law.name if self.law else 'no simple law'})"


def links(wirings: Sequence[Wiring], notes: Sequence[str] = ()) -> Chart:
    """Counts of some channels for some n. `notes`: what is to be said about channels that are missing."""
    if not wirings:
        raise BadArgument("wirings", expected="at least one", got=wirings)
    ordered = sorted(wirings, key=lambda each: (rank(each.style), each.channel, each.parties))
    addresses = _curves(ordered, lambda each: each.addresses)
    connections = _curves(ordered, lambda each: each.connections)
    laws = [{curve.channel: curve.law.name for curve in curves if curve.law} for curves in (addresses, connections)]
    return Chart(
        name="links",
        title=TITLE,
        alt=_alt(ordered, addresses, connections),
        columns=COLUMNS,
        rows=tuple(_row(each, *laws) for each in ordered),
        draw=lambda figure: _draw(figure, ordered, addresses, connections),
        height=panels.height([HEIGHT, HEIGHT], key_lines=key_lines(each.channel for each in ordered) + 3),
        note=" ".join([NOTE, *(f"{note}." for note in notes)]),
    )


def law(counts: Sequence[tuple[int, int]]) -> Law | None:
    """The simplest law that goes through all of some (n, count); None where there is none, or only one count."""
    n, first = counts[0]
    candidates = [
        Law("0", lambda _: 0.0),
        Law(f"{first // n} n", lambda x: first // n * x),
        Law(SQUARED, lambda x: x * x),
        Law(f"{SQUARED} + n", lambda x: x * x + x),
        Law(f"{first // n**2} {SQUARED}", lambda x: first // n**2 * x * x),
    ]
    found = [each for each in candidates if all(each.of(x) == count for x, count in counts)]
    return found[0] if found and len(counts) > 1 else None


def _curves(wirings: Sequence[Wiring], count: Callable[[Wiring], int | None]) -> list[_Curve]:
    found: dict[str, list[tuple[int, int]]] = {}
    for wiring in wirings:
        number = count(wiring)
        if number is not None:
            found.setdefault(wiring.channel, []).append((wiring.parties, number))
    return [_Curve(channel, counts) for channel, counts in found.items()]


def _row(wiring: Wiring, addresses: dict[str, str], connections: dict[str, str]) -> tuple[Value, ...]:
    laws = [each.get(wiring.channel, "-") for each in (addresses, connections)]
    counts = (wiring.addresses, wiring.connections, wiring.parties**2, wiring.delivered)
    return (wiring.channel, wiring.parties, *counts, wiring.copies_by, *laws)


# --- the picture ----------------------------------------------------------------------------------


def _draw(
    figure: Figure, wirings: Sequence[Wiring], addresses: Sequence[_Curve], connections: Sequence[_Curve]
) -> None:
    drawn = Drawn((wiring.style, wiring.channel) for wiring in wirings)
    panels.headline(figure, TITLE)
    above, below = panels.stack(figure, [HEIGHT, HEIGHT], LEFT)
    panels.caption(above, "addresses", "that all ends together have to know")
    panels.caption(below, "connections", "that all ends together hold open")
    ends = sorted({wiring.parties for wiring in wirings})
    for axes, curves in ((above, addresses), (below, connections)):
        _panel(axes, curves, drawn, ends)
    above.tick_params(labelbottom=False)
    below.set_xlabel("n: so many senders, and as many listeners; everybody tells everybody")
    if not connections:
        below.annotate("not measured: this system does not show open files", (0.02, 0.5), xycoords="axes fraction")
    key(figure, drawn, 3)
    for line, text in enumerate(_feet(wirings)):
        panels.foot(figure, text, 2 - line)


def _panel(axes: Axes, curves: Sequence[_Curve], drawn: Drawn, parties: Sequence[int]) -> None:
    right = BEYOND * parties[-1]
    axes.set_xlim(0, 1.12 * right)
    axes.set_xticks(parties)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    labels: dict[float, str] = {}
    for curve in curves:
        look = drawn.looks[curve.channel]
        axes.plot(
            *zip(*curve.counts, strict=True),
            linestyle="none",
            zorder=3,
            gid=f"counted {curve.channel}",
            **only_marker(look, drawn.size(curve.channel)),
        )
        if curve.law is not None:
            _law(axes, curve.law, look.line(1.6), parties[0], right)
            labels[curve.law.of(right)] = curve.law.name
    for value, name in labels.items():
        said = axes.annotate(f" {name}", (right, value), ha="left", va="center", weight="bold")
        said.set_path_effects(halo())
    axes.set_ylim(bottom=-0.08 * axes.get_ylim()[1])


def _law(axes: Axes, law: Law, line: dict[str, object], left: float, right: float) -> None:
    steps = [left + (right - left) * step / 40 for step in range(41)]
    axes.plot(steps, [law.of(step) for step in steps], zorder=2, gid=f"law {law.name}", **line)  # type: ignore[arg-type]


def _feet(wirings: Sequence[Wiring]) -> list[str]:
    sender = list(dict.fromkeys(each.channel for each in wirings if each.copies_by == "the sender"))
    names = listed([shortened(name) for name in sender]) if sender else "none of these"
    broken = [f"{each.channel} with n = {each.parties}" for each in wirings if not each.works]
    arrived = f"not all arrived: {', '.join(broken)}" if broken else "all of it arrived"
    return [
        "Marks: counted at real processes, one an end. Lines: the law that goes through all marks of a channel.",
        f"Everybody told everybody something; {arrived}.",
        f"The sender itself makes the copies, and so knows every listener: {names}.",
    ]


# --- the same in words ----------------------------------------------------------------------------


def _alt(wirings: Sequence[Wiring], addresses: Sequence[_Curve], connections: Sequence[_Curve]) -> str:
    opening = "For n senders and n listeners that all talk to each other, counted over all ends."
    known = f"Addresses known: {'; '.join(curve.said for curve in addresses)}."
    held = f"Connections open: {'; '.join(curve.said for curve in connections) or 'not measured on this system'}."
    return " ".join([opening, known, held, *_feet(wirings)[1:]])
