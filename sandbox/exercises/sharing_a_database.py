"""Exercise of notebook 03: a claim on a row of a table that several workers share.

The check does not wait for luck: it stops one worker before each of its SQL statements in turn, lets another claim
meanwhile from end to end, and looks who says that it has which row and what the table says. Then it has three work at
once. Workers are processes with connections of their own; the table is a SQLite file in WAL mode, as in the package.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.exercises.check import UNFINISHED, Exercise, Reason
from sandbox.exercises.claimers import MOST, Claim, Done, Owners, Stage, owners, staged, writable

#: under load one may well have to try often
_ANY = 10**9


def judge(claim: Claim) -> Iterator[Reason]:
    """The first look that finds something ends it: what else is wrong may follow from that."""
    from sandbox.harness.session import default_session

    with staged(default_session(), claim) as stage:
        reason = next(filter(None, (look(stage) for look in (_alone, _overtaken, _all_at_once))), None)
    if reason:
        yield reason


def _alone(stage: Stage) -> Reason | None:
    """One worker, four rows of which the first is taken: three claims, and then nothing is free."""
    file = stage.table(rows=4, taken=1)
    worker = stage.worker("one", file)
    for free in (3, 2, 1, 0):
        before, done = owners(file), worker.claim()
        reason = stage.why(done, "" if free else "No row was free any more.")
        if reason is None and done.open:
            reason = Reason(
                "never committed",
                f"claim returned {done.value} and has left its transaction open. Nobody else can see the claim, and "
                "while the transaction holds the lock every other worker stands still. A claim ends with COMMIT.",
            )
        reason = reason or _judged_alone(done.value, before, owners(file))
        if reason:
            return reason
    return None


def _judged_alone(value: int | None, before: Owners, after: Owners) -> Reason | None:
    changed = [row for row in after if after[row] != before.get(row)]
    free = [row for row in before if before[row] is None]
    robbed = [row for row in changed if before.get(row) is not None]
    if robbed:
        why = "Only a row whose claimed_by is NULL is free."
        return Reason("not free", f"Row {robbed[0]} belonged to {before[robbed[0]]!r} and was taken away. {why}")
    if len(changed) > 1:
        rows = ", ".join(map(str, changed))
        return Reason(
            "too many", f"One call of claim took {len(changed)} rows ({rows}). Nobody will work on the others."
        )
    if value is None and free and not changed:
        return Reason(UNFINISHED, f"claim returned None, and claimed nothing, although {len(free)} rows were free.")
    if value != (changed[0] if changed else None):
        told = "nothing has been written for it" if not changed else f"what has been claimed is row {changed[0]}"
        if value in before and before[value] == "one":
            told = f"that row was the worker's own already, from a claim before, and {told}"
        return Reason("another row", f"claim returned {value}, but {told}.")
    return None


def _overtaken(stage: Stage) -> Reason | None:
    """One is stopped before each of its statements; another claims from end to end meanwhile. There are two rows."""
    for stop in range(1, MOST):
        file = stage.table(rows=2)
        slow, quick = stage.worker("slow", file), stage.worker("quick", file)
        statement = slow.begin(stop)
        if statement is None:
            return None
        # Who holds the lock cannot be overtaken: then one after the other, which is no mistake.
        other = quick.claim() if writable(file) else None
        mine = slow.end()
        when = f"Another worker had claimed a row just before its\n  {statement}" if other else ""
        other = other or quick.claim()
        reason = stage.why(mine, when) or stage.why(other, f"Another worker was stopped before its\n  {statement}")
        reason = reason or _judged_overtaken(mine, other, statement, owners(file))
        if reason:
            return reason
    return None


def _judged_overtaken(mine: Done, other: Done, statement: str, table: Owners) -> Reason | None:
    story = f"slow was stopped just before its\n  {statement}\nMeanwhile quick has claimed row {other.value}. Then slow"
    if mine.value is not None and mine.value == other.value:
        if table[mine.value] == "slow":
            why = "An UPDATE must ask in its WHERE whether the row is still as it was read."
            return Reason("taken twice", f"{story} wrote its own name over that of quick: both work on it. {why}")
        why = "The number of rows that the UPDATE has changed says who came first: do not go on without having won."
        return Reason(
            "not yours", f"{story} returned {mine.value} too, although the table says quick: both work on it. {why}"
        )
    if mine.value is None:
        why = "That another was faster is no reason to go home: look again. None means that no row is free."
        return Reason("gives up", f"{story} returned None, although a row is free. {why}")
    if table.get(mine.value) != "slow" or table.get(other.value or 0) != "quick":
        return Reason("another row", f"{story} returned row {mine.value}. The table says {table}.")
    return None


def _all_at_once(stage: Stage) -> Reason | None:
    """Three at once, until nothing is free. Nothing is forced here."""
    file = stage.table(rows=60)
    working = {name: stage.worker(name, file) for name in ("one", "two", "three")}
    got: dict[str, list[int]] = {name: [] for name in working}
    while working:
        for worker in working.values():
            worker.begin(most=_ANY)
        for name, done in [(name, worker.end()) for name, worker in working.items()]:
            if reason := stage.why(done, "Three claimed at once."):
                return reason
            if done.value is None:
                del working[name]
            else:
                got[name].append(done.value)
    told = sorted((row, name) for name, rows in got.items() for row in rows)
    if told == sorted(owners(file).items()):
        return None
    return Reason("run", f"Three workers, 60 rows: they say that they have {len(told)}, and the table says otherwise.")


exercise = Exercise(
    name="sharing_a_database",
    question=(
        "Write claim(connection, worker) for the table jobs (id, claimed_by): make one free row (claimed_by IS NULL) "
        "the worker's own, in the table, and return its id. Several workers do so at once, each with a connection of "
        "its own (sqlite3, autocommit: each statement is a transaction unless you BEGIN one). No row goes to two. A "
        "worker that was overtaken looks again: None means that no row is free."
    ),
    answer="claim",
    judge=judge,
    parameters=("connection", "worker"),
)
