"""Coupling, measured: one of two parties is changed, and what that does to the business is looked up on the bill."""
