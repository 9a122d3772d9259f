"""taken twice

Counts the changed rows of an UPDATE that does not ask for the state: it always changes one.
"""


def claim(connection, worker):
    """Make one free row the worker's own: its id, or None if no row is free."""
    while True:
        row = connection.execute("SELECT id FROM jobs WHERE claimed_by IS NULL ORDER BY id").fetchone()
        if row is None:
            return None
        swap = "UPDATE jobs SET claimed_by = ? WHERE id = ?"
        if connection.execute(swap, (worker, row[0])).rowcount == 1:
            return row[0]
