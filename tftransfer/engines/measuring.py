"""Rates of engines, measured in turn."""

import time

import keras

from tftransfer.engines.cores import count_cores

RUN_SECONDS = 0.3
RUNS = 2
MOST_BATCHES = 200
# Share of the cores' time that at least one engine must have had; with less, others
# were busy on the machine and the rates may stand in another order tomorrow.
QUIET_SHARE = 0.7


def count_rows(batch):
    """Count the rows of a batch."""
    return len(keras.tree.flatten(batch)[0])


def list_batches(rate, example, few):
    """Repeat a batch as often as it takes to be measured, and no longer.

    Args:
        rate: Rows a second, roughly.
        example: Batch of the usual size.
        few: Some rows of it, for slow functions.

    Returns:
        List of batches.
    """
    unit = few if count_rows(example) / rate > 2 * RUN_SECONDS else example
    count = round(RUN_SECONDS * rate / count_rows(unit))
    return [unit] * min(MOST_BATCHES, max(1, count))


def estimate_rate(engine, example, few):
    """Return the rows a second of one engine, warm, from a single run."""
    rate = count_rows(few) / time_run(engine, [few])[0]
    batches = list_batches(rate, example, few)
    return sum(map(count_rows, batches)) / time_run(engine, batches)[0]


def measure_rates(engines, batches):
    """Measure engines in turn, each several times, and keep each one's best run.

    Args:
        engines: Dictionary from anything to an `Engine` that has run before.
        batches: List of batches.

    Returns:
        Tuple of the dictionary from the same keys to rows a second, and a bool:
        whether the machine was quiet enough to trust their order.
    """
    best, share = dict.fromkeys(engines, float("inf")), 0.0
    for _ in range(RUNS):
        for key, engine in engines.items():
            seconds, computing = time_run(engine, batches)
            best[key] = min(best[key], seconds)
            share = max(share, computing / seconds / count_cores())
    num_rows = sum(map(count_rows, batches))
    rates = {key: num_rows / seconds for key, seconds in best.items()}
    return rates, share >= QUIET_SHARE


def time_run(engine, batches):
    """Return the seconds of a run, and those that the cores computed for it."""
    started, computed = time.perf_counter(), time.process_time()
    for _ in engine.run(batches):
        pass
    seconds = max(time.perf_counter() - started, 1e-7)
    return seconds, time.process_time() - computed
