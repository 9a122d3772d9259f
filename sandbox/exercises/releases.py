"""Exercise of notebook 07: evolve an event through four releases without a wrong bill, judged by the experiment itself.

Each release is rolled out from the one before as the matrix of coupling does it: sender first, receiver first, and over
a backlog of the old one; on files and on calls, which need no server. `roll_out` does it on any channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.coupling.cells import Cell, in_business_terms
from sandbox.coupling.change import Change, Facet, Order
from sandbox.coupling.verdict import Answer
from sandbox.exchange.release import FIRST, Release, check
from sandbox.exchange.schema import ImageDownloaded, Operation
from sandbox.exercises.check import RAISED, Exercise, Reason
from sandbox.harness.journal import Event

if TYPE_CHECKING:
    from sandbox.coupling.cells import Matrix
    from sandbox.harness.session import Session

MIB = 1 << 20
CHANNELS = ("spool", "socket")
DOWNLOAD, ONE = "image_downloaded", ImageDownloaded(image=1, project=7, bytes_sent=3 * MIB)
#: of the last release: there is nothing after it, but it has to understand itself
ALONE = (Order.RECEIVER_FIRST,)


def roll_out(releases: Sequence[Release], channels: Sequence[str] = CHANNELS, session: Session | None = None) -> Matrix:
    """Every release from the one before it, in all orders, on these channels; and the last one by itself."""
    from sandbox.coupling.matrix import coupling

    numbered = list(enumerate(releases, start=1))
    steps = [_step(f"From{n - 1}To{n}", f"release {n - 1} to {n}", releases[n - 2], one) for n, one in numbered[1:]]
    steps.append(_step(f"Only{len(releases)}", f"release {len(releases)} only", releases[-1], releases[-1], ALONE))
    return coupling(steps, channels, session=session, progress=False)


def _step(
    name: str, title: str, before: Release, after: Release, orders: tuple[Order, ...] = Change.orders
) -> type[Change]:
    said: dict[str, Any] = {"title": title, "facet": Facet.SEMANTICS, "before": before, "after": after}
    return type(name, (Change,), {**said, "orders": orders, "advice": "none but yours", "__doc__": f"{title}."})


def judge(releases: Callable[[], object]) -> Iterator[Reason]:
    """The form, then the aim, then the way there: the first step that is not safe ends it."""
    found = releases()
    if reason := _unfit(found) or _aim_missed(found[-1]):  # type: ignore[index]  # a list: `_unfit` has looked
        yield reason
        return
    matrix = roll_out(found)  # type: ignore[arg-type]  # the same
    for change in matrix.changes:
        cells = [cell for cell in matrix.cells if cell.change == change and not cell.practised]
        if reason := _unsafe(cells):
            yield reason
            return


def _unfit(found: object) -> Reason | None:
    if not isinstance(found, (list, tuple)) or not all(isinstance(each, Release) for each in found) or len(found) != 4:
        return Reason("four releases", "What is asked for is a list of four releases, the first of them FIRST.")
    if found[0] != FIRST:
        return Reason("four releases", "Release 1 runs everywhere and cannot be changed any more: begin with FIRST.")
    return None


def _aim_missed(last: Release) -> Reason | None:
    """What is still wrong with where it ends."""
    fields = last.schema.message(DOWNLOAD).columns()
    if "bytes_sent" in fields or "mib_sent" not in fields:
        why = f"The last release knows the fields {', '.join(fields)}: mib_sent should be there, and bytes_sent gone."
        return Reason("not gone", why)
    said = last.speaker().say(ONE)
    amount = getattr(said, "mib_sent", None)
    if amount != 3:
        why = f"Of {ONE.bytes_sent:,} bytes (3 MiB) the last release says mib_sent = {amount!r}."
        return Reason("not MiB", f"{why} A MiB is {MIB:,} bytes.")
    return None


def _unsafe(cells: Sequence[Cell]) -> Reason | None:
    """What is not safe about one step; silently wrong weighs more than loud."""
    for cell in cells:
        if cell.trouble:
            return Reason(RAISED, f"{cell.name} could not be run: {cell.trouble}")
        if failed := _failed(cell):
            return Reason(RAISED, f"{cell.name}: {failed}")
    silent = [cell for cell in cells if cell.answer is Answer.SILENT]
    if silent:
        return _silent(silent[0])
    loud = [cell for cell in cells if cell.verdict is not None and not cell.holds]
    return _loud(loud) if loud else None


def _silent(cell: Cell) -> Reason:
    assert cell.verdict is not None
    meant, found = cell.verdict.meant, cell.verdict.found
    kinds = {0: "for nothing", 2 * meant: "twice", meant * MIB: "another unit", meant // MIB: "another unit"}
    why = f"{cell.name} is silently wrong: {in_business_terms(cell)}. Nobody was told."
    return Reason(kinds.get(found, "wrong bill"), why)


def _loud(cells: Sequence[Cell]) -> Reason:
    """Nothing is billed wrongly, but something is not billed. By the orders in which: who was not ready for it?"""
    cell, orders = cells[0], {cell.order for cell in cells}
    refused = _refused(cell)
    said = f"{cell.name}: {in_business_terms(cell)}. {refused}"
    if len(orders & {Order.SENDER_FIRST, Order.RECEIVER_FIRST}) == 2:
        return Reason("flag day", f"{said}\nNeither order is safe: all would have to be stopped and renewed at once.")
    if orders == {Order.SENDER_FIRST}:
        return Reason("said too early", f"{said}\nThe old receivers are still there, and were not prepared for it.")
    if "unknown field" in refused:
        return Reason("removed too early", f"{said}\nThe old senders still say it, or it still lies in the medium.")
    return Reason("required too early", f"{said}\nThe old senders do not say it yet, or have not said it yesterday.")


def _refused(cell: Cell) -> str:
    """The first refusal, or what a sender was told."""
    history = cell.trial.history if cell.trial else None
    texts = history.facts.get("refused", ()) if history else ()
    return f"Refused: {texts[0]}." if texts else "It was refused."


def _failed(cell: Cell) -> str:
    """Which error of the student's own code ended a participant, or made it set aside what it had read."""
    history = cell.trial.history if cell.trial else None
    if history is None:
        return ""
    for name, text in history.facts.get("failed", {}).items():
        return f"{name} failed: {(text.strip().splitlines() or [''])[-1][:300]}"
    aside = len(history.of(Event.SET_ASIDE))
    return f"{aside} set aside by the receiver. {_misunderstood(cell)}" if aside else ""


def _misunderstood(cell: Cell) -> str:
    """A listener's error, met again here with one download."""
    assert cell.trial is not None
    old, new = cell.trial.change.before, cell.trial.change.after
    sender, receiver = (new, old) if cell.order is Order.SENDER_FIRST else (old, new)
    _, said = sender.speaking([Operation(1, DOWNLOAD, ONE)])
    try:
        listener = receiver.listener()
        for each in said:
            body = receiver.schema.decode(each.message, sender.schema.encode(each.body))
            check(listener.understand(body) or ONE)
    except Exception as error:  # it is the student's code
        return f"understand raised {type(error).__name__}: {error}"
    return "What understand gave back is no download that can be billed."


exercise = Exercise(
    name="releases",
    question=(
        "Write releases(): four releases, each with its schema, speaker and listener. Release 1 (FIRST) runs "
        "everywhere and says bytes_sent, in bytes. Release 4 says mib_sent, in MiB, and knows no bytes_sent. Every "
        "release is rolled out from the one before: the sender first, the receiver first, or with yesterday's messages "
        "still in the medium. In none of them may anything be billed wrongly, or be refused."
    ),
    answer="releases",
    judge=judge,
)
