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

    Softmax regression of the labels on features with mean 0 and spread 1, of which
    each fold is predicted by a model of the others; for regression a linear model with
    squared error. With `penalty / 2 ||W||^2` added to the mean loss. Where none is
    given, that of 1, .1, .01 and .001 with the least loss on the rows left out; for
    classes none smaller is tried once it grows.

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
    if task == "regression":
        fold_of = assign_folds(columns, folds, task=task, seed=seed)
        return _probe_values(rows, columns, fold_of, penalties)
    needs = "A linear probe needs scikit-learn"
    import_optional("scipy.optimize", needs=needs, extra="demo")
    classes = columns.argmax(axis=1)
    fold_of = assign_folds(classes, folds, seed=seed)
    logits = _left_out_logits(rows, columns, fold_of, penalties)
    return float((logits.argmax(axis=1) == classes).mean())


def _left_out_logits(rows, columns, fold_of, penalties):
    models: dict = {}
    least, best = np.inf, columns
    for penalty in penalties:
        logits = np.empty(columns.shape)
        for out, train, left_out in _split(rows, fold_of):
            fold = fold_of[out][0]
            models[fold] = fit_softmax_regression(
                *(train, columns[~out], penalty),
                start=models.get(fold),
                tolerance=_TOLERANCE,
            )
            logits[out] = models[fold].logits(left_out)
        loss = -(columns * log_softmax(logits)).sum()
        if loss >= least:
            break
        least, best = loss, logits
    return best


def _probe_values(rows, columns, fold_of, penalties):
    """Solve `(X'X / n + penalty I) W = X'Y / n` of each fold for all penalties."""
    predicted = np.empty((len(penalties), *columns.shape))
    for out, train, left_out in _split(rows, fold_of):
        count, mean = len(train), columns[~out].mean(axis=0)
        squares, directions = decompose(train)
        moments = directions.T @ (train.T @ (columns[~out] - mean)) / count
        turned = left_out @ directions
        for found, penalty in zip(predicted, penalties, strict=True):
            weights = moments / (squares / count + penalty)[:, None]
            found[out] = mean + turned @ weights
    return max(explained_variance(columns, found) for found in predicted)


def _split(rows, fold_of):
    """Yield of each fold which rows it leaves out, and both parts, standardized."""
    for fold in range(fold_of.max() + 1):
        out = fold_of == fold
        scaling = scaling_of(rows[~out])
        yield out, scaling(rows[~out]), scaling(rows[out])


def _check_folds(folds, count):
    check_whole_number("folds", folds, 2)
    if folds > count:
        raise ValueError(
            "`folds` must be at most the number of rows. "
            f"Received: folds={folds} for {count} rows. Take fewer folds."
        )
