"""Faults: something is broken on purpose, for a time, and what was touched is counted."""
