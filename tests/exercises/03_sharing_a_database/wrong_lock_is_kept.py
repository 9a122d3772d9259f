"""never committed

Locks everything, so that nobody can come in between - nor ever after.
"""


def claim(connection, worker):
    """Make one free row the worker's own: its id, or None if no row is free."""
    if not connection.in_transaction:
        connection.execute("BEGIN IMMEDIATE")
    row = connection.execute("SELECT id FROM jobs WHERE claimed_by IS NULL ORDER BY id").fetchone()
    if row is None:
        return None
    connection.execute("UPDATE jobs SET claimed_by = ? WHERE id = ?", (worker, row[0]))
    return row[0]
