"""not free

Guards against its own name only: "not mine" is not the same as "free".
"""


def claim(connection, worker):
    """Make one free row the worker's own: its id, or None if no row is free."""
    row = connection.execute("SELECT id FROM jobs WHERE claimed_by IS NOT ? ORDER BY id", (worker,)).fetchone()
    if row is None:
        return None
    swap = "UPDATE jobs SET claimed_by = ? WHERE id = ? AND claimed_by IS NOT ?"
    return row[0] if connection.execute(swap, (worker, row[0], worker)).rowcount == 1 else None
