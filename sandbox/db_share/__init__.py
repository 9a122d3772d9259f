"""Integration by a shared database: a message is a row with real columns, a claim is an update.

    skip_locked        PostgreSQL: FOR UPDATE SKIP LOCKED, woken by LISTEN/NOTIFY or (`notify=False`) polling
    compare_and_swap   SQLite: UPDATE ... WHERE the row is as it was read; polled
    read_then_write    SQLite: SELECT, then UPDATE. What everybody writes first: two workers take the same row

All render their tables from the schema in `tables`, so that the files differ in what makes a claim safe,
and in how the other side learns that there is work. Beside the channels stand

    migration          from the tables of one schema to those of another, with the rows that lie in them
    usage              a shared counter, raised in three ways; one of them loses updates
    owner, other_team  a service's own tables, and another team that writes there or asks
    interleaving       two processes in the unlucky order, every time
"""
