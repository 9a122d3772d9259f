"""mean

Careful about everything except the question.
"""


def p99(history):
    measured = history[~history["warmup"]]
    response = (measured["done_ms"] - measured["intended_ms"]).dropna()
    return response.mean() if len(response) >= 1000 else None
