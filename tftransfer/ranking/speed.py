"""How fast a network runs on this machine."""

import time


def rows_per_second(model, batch, rounds):
    """Return the rows a second of `predict_on_batch`, after a call that builds it.

    Args:
        model: `keras.Model`.
        batch: What it takes, the batch first.
        rounds: Calls that are timed.
    """
    model.predict_on_batch(batch)
    started = time.perf_counter()
    for _ in range(rounds):
        model.predict_on_batch(batch)
    return rounds * len(batch) / (time.perf_counter() - started)
