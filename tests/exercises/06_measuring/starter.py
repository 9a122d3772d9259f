"""mean

What is printed first by nearly every script that measures anything.
"""


def p99(history):
    """The 99th percentile of the response time in ms; inf where it is censored, None where it may not be quoted."""
    return (history["done_ms"] - history["actual_ms"]).mean()
