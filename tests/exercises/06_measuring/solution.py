"""Counted from the intended start, timeouts longer than everything, quoted only with ten samples beyond."""

import math


def p99(history):
    """The 99th percentile of the response time in ms; inf where it is censored, None where it may not be quoted."""
    measured = history[~history["warmup"]]
    response = (measured["done_ms"] - measured["intended_ms"]).fillna(math.inf).sort_values()
    rank = math.ceil(round(0.99 * len(response), 6))
    if len(response) - rank < 10:
        return None
    return response.iloc[rank - 1]
