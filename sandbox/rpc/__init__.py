"""RPC: one party calls another by name and waits for its answer; both must be up at the same time."""
