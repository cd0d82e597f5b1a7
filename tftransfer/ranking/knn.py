"""Nearest neighbors: how right the rows around a row are about its label."""

from tftransfer.checks import check_whole_number
from tftransfer.methods.propagation import nearest_rows
from tftransfer.methods.unit_rows import unit_rows
from tftransfer.ranking.explained import explained_variance
from tftransfer.ranking.inputs import read_columns, read_features


def knn(features, labels, *, task="classification", neighbors=5):
    """Accuracy of the nearest other rows' vote; higher is better.

    Cross-validation that leaves out one row at a time. Nearest are those with the
    largest cosine. The class most of them have, of equally many the first; for
    regression the mean of their values. Time grows with the square of the rows.

    Args:
        features: Float array `(n, width)`.
        labels: Whole numbers `(n,)` of two classes or more; for regression numbers
            `(n,)` or `(n, values)`.
        task: `"classification"` or `"regression"`.
        neighbors: How many vote, from 1 to `n - 1`.

    Returns:
        A float: accuracy from 0 to 1, or for regression the share of variance
        explained (R^2, the mean over values), at most 1.

    Raises:
        TypeError: If `neighbors` is no whole number.
        ValueError: If an argument is not of the kind above.

    Example:

    >>> features = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> tft.ranking.knn(features, np.array([0, 0, 1, 1]), neighbors=1)
    1.0

    Reference:
        [Cover & Hart, 1967](https://doi.org/10.1109/TIT.1967.1053964).
    """
    check_whole_number("neighbors", neighbors)
    rows = read_features(features)
    columns = read_columns(labels, len(rows), task)
    if neighbors >= len(rows):
        raise ValueError(
            "`neighbors` must be below the number of rows. "
            f"Received: neighbors={neighbors} for {len(rows)} rows. Take fewer."
        )
    unit = unit_rows(rows)
    near, _ = nearest_rows(unit, unit, neighbors, skip_self=True)
    votes = columns[near].mean(axis=1)
    if task == "regression":
        return explained_variance(columns, votes)
    return float((votes.argmax(axis=1) == columns.argmax(axis=1)).mean())
