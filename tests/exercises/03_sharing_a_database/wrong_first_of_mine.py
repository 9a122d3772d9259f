"""another row

Claims in one statement, and then asks which row is the worker's: after the second claim two are.
"""


def claim(connection, worker):
    """Make one free row the worker's own: its id, or None if no row is free."""
    first = "(SELECT min(id) FROM jobs WHERE claimed_by IS NULL)"
    if connection.execute(f"UPDATE jobs SET claimed_by = ? WHERE id = {first}", (worker,)).rowcount == 0:
        return None
    return connection.execute("SELECT id FROM jobs WHERE claimed_by = ?", (worker,)).fetchone()[0]
