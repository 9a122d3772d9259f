"""From the tables of one schema to those of another, with the rows that lie in them: what a release has to migrate.

    a message renamed, added, dropped     its table is (and the table of its answers)
    a field renamed, added, dropped       its column is, in every table that has it
    a field of another type               its column is rewritten, value by value

An added column has the field's default, so that rows and senders of the old version go on; where there is none the
old rows have NULL, which no schema takes: they will be refused. A text that is no number becomes NULL as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from sandbox.db_share.tables import Tables, answer_columns, body_columns, quoted, state_name
from sandbox.exchange.schema import Verb


class Words(NamedTuple):
    """What the two databases say differently. Each has {table} and {column}, a change of type {kind} and {value} too.

    as_number  the column as a number, NULL where it is none
    retype     the statements that change a column's type
    """

    as_number: str
    retype: tuple[str, ...]


#: as_number goes there and back: what SQLite's CAST does not understand it takes for 0
SQLITE = Words(
    "CASE WHEN CAST(CAST({column} AS integer) AS text) = {column} THEN CAST({column} AS integer) END",
    (
        'ALTER TABLE {table} ADD COLUMN "~" {kind}',
        'UPDATE {table} SET "~" = {value}',
        "ALTER TABLE {table} DROP COLUMN {column}",
        'ALTER TABLE {table} RENAME COLUMN "~" TO {column}',
    ),
)
POSTGRES = Words(
    "CASE WHEN {column} ~ '^-?[0-9]{{1,18}}$' THEN {column}::bigint END",
    (
        "ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT, ALTER COLUMN {column} DROP NOT NULL, "
        "ALTER COLUMN {column} TYPE {kind} USING {value}",
    ),
)


class Table(NamedTuple):
    """One table as far as the schema decides.

    name     as the schema has it, not quoted
    content  the class whose fields are its columns
    columns  their names and kinds
    keys     the columns by which a state is found
    create   the statements that make it
    refusals whether a row may be without all of these columns, because it says that something was refused
    """

    name: str
    content: type[Struct]
    columns: Mapping[str, type]
    keys: tuple[str, ...]
    create: list[str]
    refusals: bool = False


#: tables by what they are for and the message that they belong to
Layout = dict[tuple[str, str], Table]


def between(old: Tables, new: Tables, words: Words, renamed: Mapping[str, str]) -> list[str]:
    """The statements that make the new tables of the old ones; `renamed` as in `Channel.migrate`."""
    return list(Migration(new, words, renamed).statements(layout(old), layout(new)))


def layout(tables: Tables) -> Layout:
    """The tables of a schema."""
    found: Layout = {}
    for name, message in tables.schema.messages.items():
        if message.verb is not Verb.SHARE:
            columns = body_columns(message)
            found["queue", name] = Table(name, message.body, columns, (), tables.create_queue(message))
            if message.answer:
                answers, columns = tables.create_answers(message), answer_columns(message)
                found["answers", name] = Table(f"{name}_answer", message.answer, columns, (), answers, refusals=True)
        elif message.answer:
            keys, columns = tuple(body_columns(message)), answer_columns(message)
            found["state", name] = Table(
                state_name(message), message.answer, columns, keys, tables.create_state(message)
            )
    return found


class Migration:
    """The statements from one schema to another. `renamed` has old names, of messages and of fields, and new ones."""

    def __init__(self, tables: Tables, words: Words, renamed: Mapping[str, str]) -> None:
        self._tables, self._words, self._renamed = tables, words, renamed

    def statements(self, old: Layout, new: Layout) -> Iterator[str]:
        """All of them: what is dropped first, so that its name is free."""
        successors = {(kind, name): (kind, self._renamed.get(name, name)) for kind, name in old}
        for place, was in old.items():
            if successors[place] not in new:
                yield f"DROP TABLE {self._tables.name(was.name)}"
        for place, was in old.items():
            if (now := new.get(successors[place])) is not None:
                yield from self._rename(was.name, now.name)
                yield from self._change(was, now)
        for place, now in new.items():
            if place not in successors.values():
                yield from now.create

    def _rename(self, was: str, now: str) -> Iterator[str]:
        if was != now:
            yield f"ALTER TABLE {self._tables.name(was)} RENAME TO {quoted(now)}"

    def _change(self, was: Table, now: Table) -> Iterator[str]:
        kept = {column: new for column in was.columns if (new := self._now_called(column, was, now)) in now.columns}
        keys = {kept.get(key): was.columns[key] for key in was.keys}
        if keys != {key: now.columns[key] for key in now.keys}:
            yield from self._rebuild(was, now, kept)
            return
        table = self._tables.name(now.name)
        for column in was.columns:
            if column not in kept:
                yield f"ALTER TABLE {table} DROP COLUMN {quoted(column)}"
        for column, new in kept.items():
            if new != column:
                yield f"ALTER TABLE {table} RENAME COLUMN {quoted(column)} TO {quoted(new)}"
        for column, new in kept.items():
            if was.columns[column] is not now.columns[new]:
                said = {"table": table, "column": quoted(new), "kind": _kind(now.columns[new])}
                value = self._as(quoted(new), was.columns[column], now.columns[new])
                yield from (step.format(value=value, **said) for step in self._words.retype)
        for column, kind in now.columns.items():
            if column not in kept.values():
                yield f"ALTER TABLE {table} ADD COLUMN {quoted(column)} {_kind(kind)}{_default(now, column)}"

    def _now_called(self, column: str, was: Table, now: Table) -> str:
        """Its name in the new table. One list of names serves all tables, so a name that is still there has stayed."""
        new = self._renamed.get(column, column)
        return column if column in now.columns or new in was.columns else new

    def _rebuild(self, was: Table, now: Table, kept: Mapping[str, str]) -> Iterator[str]:
        """Another key is another table: made anew and filled from the old one."""
        table, aside = self._tables.name(now.name), self._tables.name(f"{now.name}~")
        yield from self._rename(now.name, f"{now.name}~")
        yield from now.create
        values = {new: self._as(quoted(old), was.columns[old], now.columns[new]) for old, new in kept.items()}
        added = {column: given for column in now.columns if column not in values and (given := _given(now, column))}
        columns = ", ".join(map(quoted, (*values, *added)))
        yield f"INSERT INTO {table} ({columns}) SELECT {', '.join((*values.values(), *added.values()))} FROM {aside}"
        yield f"DROP TABLE {aside}"

    def _as(self, column: str, was: type, now: type) -> str:
        if was is now:
            return column
        return self._words.as_number.format(column=column) if now is int else f"CAST({column} AS text)"


def _kind(kind: type) -> str:
    return "bigint" if kind is int else "text"


def _default(table: Table, column: str) -> str:
    given = _given(table, column)
    return f"{'' if table.refusals else ' NOT NULL'} DEFAULT {given}" if given else ""


def _given(table: Table, column: str) -> str:
    """The field's default in SQL; empty where it has none that a column can hold."""
    (field,) = (each for each in msgspec.structs.fields(table.content) if each.name == column)
    if type(field.default) is int:
        return str(field.default)
    if isinstance(field.default, str):
        return "'" + field.default.replace("'", "''") + "'"
    return ""
