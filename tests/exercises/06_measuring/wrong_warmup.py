"""warm-up

All rows of the history, the cold ones too.
"""

import math


def p99(history):
    response = (history["done_ms"] - history["intended_ms"]).fillna(math.inf).sort_values()
    rank = math.ceil(round(0.99 * len(response), 6))
    return response.iloc[rank - 1] if len(response) - rank >= 10 else None
