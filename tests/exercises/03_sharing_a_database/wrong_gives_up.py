"""gives up

Sees that it has lost, and takes that for an empty table.
"""


def claim(connection, worker):
    """Make one free row the worker's own: its id, or None if no row is free."""
    row = connection.execute("SELECT id FROM jobs WHERE claimed_by IS NULL ORDER BY id").fetchone()
    if row is None:
        return None
    swap = "UPDATE jobs SET claimed_by = ? WHERE id = ? AND claimed_by IS NULL"
    return row[0] if connection.execute(swap, (worker, row[0])).rowcount == 1 else None
