"""Virtual rows of a domain with few: drawn around its class means, in feature space."""

import numpy as np

from tftransfer.checks import check_whole_number


def draw_virtual_features(features, labels, rows_per_class, *, seed=0):
    """Draw rows around the mean of each class, as far apart as real ones lie.

    Each class is a Gaussian with a mean of its own and one covariance for all, that of
    the rows around their class means: few rows tell no more. A row is

        mean_c + R^T z / sqrt(n - k)

    with the rows' distances R from their means, z of n standard normal numbers and k
    classes, so that the covariance is met without ever being formed.

    Args:
        features: Float array `(n, width)`, two rows or more in some class.
        labels: Whole numbers `(n,)`.
        rows_per_class: Rows to draw for each class that is there, at least 1.
        seed: Whole number >= 0.

    Returns:
        Features `(k * rows_per_class, width)`, float32, and their labels.

    Raises:
        ValueError: If shapes do not fit, values are not finite, or no class has two
            rows.

    Example:

    >>> features = np.array([[0.0, 1.0], [0.0, 3.0], [9.0, 5.0], [9.0, 7.0]])
    >>> rows, labels = tft.draw_virtual_features(features, [0, 0, 1, 1], 1000)
    >>> rows.shape, rows[labels == 1].mean(axis=0).round(0).tolist()
    ((2000, 2), [9.0, 6.0])
    >>> [f"{x:.1f}" for x in rows[labels == 0].std(axis=0)]  # sqrt(4 / (4 - 2)) = 1.4
    ['0.0', '1.4']

    Reference:
        Virtual representations drawn from a Gaussian of each class, as in
        [Luo et al., 2021](https://arxiv.org/abs/2106.05001), section 4.
    """
    check_whole_number("rows_per_class", rows_per_class)
    check_whole_number("seed", seed, 0)
    features, labels = np.asarray(features, "float64"), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            "`features` must be (n, width), with a label for each row. Received: "
            f"features {features.shape}, labels {labels.shape}."
        )
    if not np.isfinite(features).all():
        raise ValueError(
            "`features` must be finite. Received: features with NaN or infinity. "
            "Look at the rows they come from."
        )
    classes, places = np.unique(labels, return_inverse=True)
    freedom = len(labels) - len(classes)
    if not freedom:
        raise ValueError(
            "`labels` must have two rows or more in some class, else nothing tells how "
            f"far rows lie apart. Received: {len(labels)} rows of {len(classes)} "
            "classes. Label more rows."
        )
    counts = np.bincount(places)[:, None]
    means = np.zeros((len(classes), features.shape[1]))
    np.add.at(means, places, features)
    means /= counts
    residuals = features - means[places]
    draws = np.random.default_rng(seed).normal(
        size=(len(classes) * rows_per_class, len(labels))
    )
    rows = np.repeat(means, rows_per_class, axis=0)
    rows += draws @ residuals / np.sqrt(freedom)
    return rows.astype("float32"), np.repeat(classes, rows_per_class)
