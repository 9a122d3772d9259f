"""Faults in journals, and in what gathers and keeps them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from planted import plant

from sandbox.harness import history, journal
from sandbox.harness.history import History
from sandbox.harness.journal import RECORD_BYTES, Journal, JournalFull

# --- journals ---------------------------------------------------------------------------------------


@plant(journal, "Journal.add")
def the_commit_word_is_written_first(honest):
    def add(self: Journal, event: int, operation: int, *fields: Any) -> int:
        at, now = self._at, time.monotonic_ns()
        journal._COMMIT.pack_into(self._map, at + RECORD_BYTES - 4, 1)
        value, detail, status, attempt = (*fields, 0, 0, 0, 0)[:4]
        journal._RECORD.pack_into(self._map, at, now, operation, value, detail, event, status, attempt, 1)
        self._at = at + RECORD_BYTES
        return now

    return add


@plant(journal, "Journal.add")
def a_full_journal_says_nothing(honest):
    def add(self: Journal, *fields: int) -> int:
        try:
            return honest(self, *fields)
        except JournalFull:
            return 0

    return add


@plant(journal, "Journal.add")
def a_full_journal_begins_again_at_its_front(honest):
    def add(self: Journal, *fields: int) -> int:
        self._at %= self._end
        return honest(self, *fields)

    return add


@plant(journal, "Journal.add")
def it_tells_another_time_than_it_records(honest):
    def add(self: Journal, *fields: int) -> int:
        return honest(self, *fields) + 1

    return add


@plant(journal, "Journal.__init__")
def a_journal_that_is_there_is_written_over(honest):
    def init(self, path, capacity):
        path.unlink(missing_ok=True)
        honest(self, path, capacity)

    return init


@plant(journal, "read")
def the_last_record_is_lost(honest):
    return lambda path: honest(path)[:-1]


@plant(journal, "recorded")
def one_record_too_few_is_found(honest):
    return lambda path: max(0, honest(path) - 1)


@plant(journal, "recorded")
def room_is_taken_for_records(honest):
    return lambda path: path.stat().st_size // RECORD_BYTES


# --- histories --------------------------------------------------------------------------------------


@plant(history, "read")
def the_last_record_is_lost_in_gathering(honest):
    return lambda path: honest(path)[:-1]


@plant(history, "gather")
def times_do_not_count_from_the_start(honest):
    return lambda journals, start: honest(journals, 0)


@plant(history, "gather")
def events_stay_in_the_order_of_processes(honest):
    def gather(journals, start):
        events = honest(journals, start)
        return events[np.argsort(events["process"], kind="stable")]

    return gather


@plant(history, "gather")
def a_missing_journal_renumbers_the_processes(honest):
    return lambda journals, start: honest([path for path in journals if path.exists()], start)


@plant(history, "History.of")
def only_the_first_kind_is_looked_for(honest):
    return lambda self, *kinds: honest(self, *kinds[:1])


@plant(history, "History.of")
def the_last_event_is_left_out(honest):
    return lambda self, *kinds: honest(self, *kinds)[:-1]


@plant(history, "History.indices")
def receivers_of_all_groups_are_in_each(honest):
    return lambda self, role, group=None: honest(self, role)


@plant(history, "History.groups_of")
def state_always_has_an_owner(honest):
    def groups_of(self: History, verb):
        share = replace(self.guarantees.share, needs_owner=True)
        return honest(replace(self, guarantees=replace(self.guarantees, share=share)), verb)

    return groups_of


@plant(history, "History.save")
def a_saved_history_forgets_its_notes(honest):
    return lambda self, path: honest(replace(self, notes=()), path)
