"""The business that is exchanged: its schema, what each party does with it, and the oracles."""
