"""timeouts

"It has no time, so it is no sample": the slowest operations of all vanish.
"""

import math


def p99(history):
    measured = history[~history["warmup"]]
    response = (measured["done_ms"] - measured["intended_ms"]).dropna().sort_values()
    rank = math.ceil(round(0.99 * len(response), 6))
    return response.iloc[rank - 1] if len(response) - rank >= 10 else None
