"""The changes, one in each file; `catalogue()` of `sandbox.coupling.trial` finds them by themselves."""
