"""locked

"It needs a transaction": as it comes, that locks nothing when it reads, and fails when it writes.
"""


def claim(connection, worker):
    """Make one free row the worker's own: its id, or None if no row is free."""
    connection.execute("BEGIN")
    row = connection.execute("SELECT id FROM jobs WHERE claimed_by IS NULL ORDER BY id").fetchone()
    if row is not None:
        connection.execute("UPDATE jobs SET claimed_by = ? WHERE id = ?", (worker, row[0]))
    connection.execute("COMMIT")
    return row[0] if row is not None else None
