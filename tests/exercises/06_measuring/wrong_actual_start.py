"""actual start

Latency as the sender's own stopwatch shows it: what the channel kept it waiting before is not in it.
"""

import math


def p99(history):
    measured = history[~history["warmup"]]
    response = (measured["done_ms"] - measured["actual_ms"]).fillna(math.inf).sort_values()
    rank = math.ceil(round(0.99 * len(response), 6))
    return response.iloc[rank - 1] if len(response) - rank >= 10 else None
