"""Integration by a shared database: a message is a row with real columns, a claim is an update.

    skip_locked        PostgreSQL: FOR UPDATE SKIP LOCKED, woken by LISTEN/NOTIFY
    compare_and_swap   SQLite: UPDATE ... WHERE the row is as it was read; polled

Both render their tables from the schema in `tables`, so that the two files differ in what the two
databases make different: how a claim is made safe, and how the other side learns that there is work.
"""
