"""Where kernels stand, how wide they are, and how rows are split to choose it."""

import numpy as np

from tftransfer.weighting.kernels import median_distance

_FACTORS = (0.5, 0.71, 1.0, 1.41, 2.0)


def choose_centers(target, num_centers, seed):
    """Return at most `num_centers` target rows, drawn without replacement."""
    count = min(len(target), num_centers)
    chosen = np.random.default_rng(seed).choice(len(target), count, replace=False)
    return target[np.sort(chosen)]


def folds_of(count, folds, seed):
    """Split `count` rows at random into at most `folds` parts, as arrays of indices."""
    order = np.random.default_rng(seed).permutation(count)
    return np.array_split(order, min(folds, count))


def folds_of_both(source_count, target_count, folds, seed):
    """Split both domains into equally many parts; return their pairs."""
    folds = min(folds, source_count, target_count)
    counts = source_count, target_count
    parts = [folds_of(count, folds, seed) for count in counts]
    return list(zip(*parts, strict=True))


def choose_sigma(source, target, score):
    """Return the kernel width of half to twice the median distance that scores best."""
    median = median_distance(source, target)
    widths = [factor * median for factor in _FACTORS]
    return widths[int(np.argmax([score(width) for width in widths]))]
