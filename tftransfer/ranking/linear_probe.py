"""Linear probe: how right a linear model of the features is on rows left out."""

import numpy as np

from tftransfer.checks import check_positive, check_whole_number, import_optional
from tftransfer.methods.problem import scaling_of
from tftransfer.methods.softmax_regression import fit_softmax_regression, log_softmax
from tftransfer.ranking.decomposition import decompose
from tftransfer.ranking.explained import explained_variance
from tftransfer.ranking.inputs import read_columns, read_features
from tftransfer.selection.folds import assign_folds

PENALTIES = (1.0, 0.1, 0.01, 0.001)  # from the largest on: each starts from the last
_TOLERANCE = 1e-5  # of the loss; further steps no longer move the held-out figure


def linear_probe(
    features, labels, *, task="classification", folds=5, penalty=None, seed=0
):
    """Accuracy of a linear model on rows it has not seen; higher is better.

    Softmax regression of the labels on features with mean 0 and spread 1, of which each
    fold is predicted by a model of the others; for regression a linear one with squared
    error. With `penalty / 2 ||W||^2` added to the mean loss; where none is given, the
    one of 1, .1, .01 and .001 with the least loss on the rows left out.

    Args:
        features: Float array `(n, width)`.
        labels: Whole numbers `(n,)` of two classes or more; for regression numbers
            `(n,)` or `(n, values)`.
        task: `"classification"` or `"regression"`.
        folds: Parts, each left out once, from 2 to `n`.
        penalty: > 0, or `None`.
        seed: Of the folds.

    Returns:
        A float: accuracy from 0 to 1, or for regression the share of variance
        explained (R^2, the mean over values), at most 1.

    Raises:
        ImportError: If SciPy, which comes with scikit-learn, is missing.
        TypeError: If a number is of the wrong type.
        ValueError: If an argument is not of the kind above.

    Example:

    >>> labels = np.arange(20) % 2
    >>> features = np.stack([labels, 1 - labels], axis=1) + 0.01 * np.eye(20, 2)
    >>> tft.ranking.linear_probe(features, labels)
    1.0

    Reference:
        [Kornblith et al., 2019](https://arxiv.org/abs/1805.08974).
    """
    if penalty is not None:
        check_positive("penalty", penalty)
    rows = read_features(features)
    columns = read_columns(labels, len(rows), task)
    _check_folds(folds, len(rows))
    penalties = PENALTIES if penalty is None else (penalty,)
    is_regression = task == "regression"
    if not is_regression:
        needs = "A linear probe needs scikit-learn"
        import_optional("scipy.optimize", needs=needs, extra="demo")
    strata = columns if is_regression else columns.argmax(axis=1)
    fold_of = assign_folds(strata, folds, task=task, seed=seed)
    outputs = np.empty((len(penalties), *columns.shape))
    predict = _ridge_path if is_regression else _softmax_path
    for fold in range(folds):
        out = fold_of == fold
        scaling = scaling_of(rows[~out])
        parts = scaling(rows[~out]), columns[~out], scaling(rows[out])
        outputs[:, out] = predict(*parts, penalties)
    if is_regression:
        return max(explained_variance(columns, found) for found in outputs)
    losses = [-(columns * log_softmax(found)).sum() for found in outputs]
    best = outputs[int(np.argmin(losses))]
    return float((best.argmax(axis=1) == strata).mean())


def _softmax_path(rows, columns, left_out, penalties):
    model, logits = None, []
    for penalty in penalties:
        model = fit_softmax_regression(
            rows, columns, penalty, start=model, tolerance=_TOLERANCE
        )
        logits.append(model.logits(left_out))
    return logits


def _ridge_path(rows, columns, left_out, penalties):
    """Solve `(X'X / n + penalty I) W = X'Y / n` for all penalties at once."""
    mean = columns.mean(axis=0)
    squares, directions = decompose(rows)
    moments = directions.T @ (rows.T @ (columns - mean)) / len(rows)
    turned = left_out @ directions
    return [
        mean + turned @ (moments / (squares / len(rows) + penalty)[:, None])
        for penalty in penalties
    ]


def _check_folds(folds, count):
    check_whole_number("folds", folds, 2)
    if folds > count:
        raise ValueError(
            "`folds` must be at most the number of rows. "
            f"Received: folds={folds} for {count} rows. Take fewer folds."
        )
