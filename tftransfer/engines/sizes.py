"""How many rows an engine computes at once."""

import time

from tftransfer.engines.interface import fill_rows

# Few rows fit a processor's caches; many spread the cost of a call.
SIZES = (4, 16, 64, 512)
LONGEST_TRIAL = 0.5
# A call as long as this, on one core, has nothing to gain from more rows.
LONG_CALL = 0.005
SMALLEST_GAIN = 1.08


def choose_size(make, leaves, parallel=None):
    """Find the number of rows that is computed fastest per row.

    Larger sizes are tried only as long as they gain and the trial stays short.

    Args:
        make: Callable from a number of rows to a callable that computes that many rows,
            given as a list of arrays.
        leaves: List of arrays, rows on the first axis: a batch of the usual size.
        parallel: How many pieces are computed side by side; none is then made so
            large that a usual batch leaves one of them with nothing to do. None where
            pieces come one after another and a short one is as good as any.

    Returns:
        Tuple of the number of rows and what `make` returned for it.
    """
    best, best_made, best_rate = 0, None, 0.0
    for size in SIZES:
        if best and size / best_rate > LONGEST_TRIAL:
            break
        if best and parallel and size * parallel > len(leaves[0]):
            break
        made = make(size)
        rows = fill_rows([leaf[:size] for leaf in leaves], size)
        made(rows)
        seconds = _time(made, rows)
        if seconds < LONGEST_TRIAL / 4:
            seconds = min(seconds, _time(made, rows))
        rate = size / seconds
        if best and rate < SMALLEST_GAIN * best_rate:
            break
        best, best_made, best_rate = size, made, rate
        if parallel and seconds > LONG_CALL:
            break
    return best, best_made


def _time(compute, rows):
    started = time.perf_counter()
    compute(rows)
    return max(time.perf_counter() - started, 1e-7)
