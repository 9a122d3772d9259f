"""too few

A percentile can be computed from any number of samples; quoted it may not be.
"""

import math


def p99(history):
    measured = history[~history["warmup"]]
    response = (measured["done_ms"] - measured["intended_ms"]).fillna(math.inf)
    return response.quantile(0.99, interpolation="higher")
