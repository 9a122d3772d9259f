"""not yours

The UPDATE is right, and nobody looks at what it has changed.
"""


def claim(connection, worker):
    """Make one free row the worker's own: its id, or None if no row is free."""
    row = connection.execute("SELECT id FROM jobs WHERE claimed_by IS NULL ORDER BY id").fetchone()
    if row is None:
        return None
    connection.execute("UPDATE jobs SET claimed_by = ? WHERE id = ? AND claimed_by IS NULL", (worker, row[0]))
    return row[0]
