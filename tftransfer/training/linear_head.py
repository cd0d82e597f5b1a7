"""The optimum of a linear head, put straight into its Keras layer."""

import dataclasses
import warnings

import numpy as np

from tftransfer.checks import import_optional
from tftransfer.training.linear_head_checks import (
    check_features,
    check_labels,
    check_layer,
    check_weights,
)

MAX_ITERATIONS = 2000
TOLERANCE = 1e-5  # of the gradient's largest entry; float32 features reach about 1e-4
SOLVED = 1e-3  # a gradient above it is told
CHUNK = 4096  # rows whose float64 copy is held at a time


@dataclasses.dataclass(frozen=True)
class LinearSolution:
    """What the best linear head reaches on the features it was solved for.

    Attributes:
        loss: Mean loss, as Keras takes it.
        objective: `loss` plus the penalty `l2 * sum(kernel**2)`.
        l2: Weight of the penalty.
        gradient: Largest entry of the gradient of `objective`, which is zero at the
            optimum.
        num_iterations: Steps the solver took; zero for regression, solved at once.
    """

    loss: float
    objective: float
    l2: float
    gradient: float
    num_iterations: int


def solve_linear_head(dense, features, labels, task, *, sample_weight=None):
    """Set a linear layer to the weights that training would end at.

    The layer minimizes what `fit` minimizes on all rows at once: the mean loss of the
    task (weighted, and divided by the number of rows `n`, as Keras does), plus
    `l2 * sum(kernel**2)` for a `kernel_regularizer=keras.regularizers.L2(l2)`. In
    scikit-learn's terms that is `C = 1 / (2 * l2 * n)`, and for regression
    `alpha = l2 * n * num_outputs`. The bias is not penalized.

    A layer without a regularizer gets scikit-learn's own defaults, `C=1.0` and for
    regression `alpha=1.0`, as a head on more features than rows has no optimum without
    a penalty. That is an `l2` of `1 / (2 * n)` for classification, of `1 / n` for two
    softmax logits (which share a penalty that scikit-learn counts once), of
    `1 / (2 * n * num_outputs)` for multi-label and `1 / (n * num_outputs)` for
    regression.

    Classification uses scikit-learn's `LogisticRegression` with lbfgs, multi-label one
    for each label; regression is solved in closed form. Float32 features are solved in
    float32: about three times faster, with a loss equal to five digits. One line is
    printed where the solver stops early. Sparse features stay sparse; their regression
    is solved by conjugate gradients.

    Args:
        dense: `keras.layers.Dense` without activation, built or not; changed in place.
        features: Float array `(n, width)`, or a matrix of `scipy.sparse`.
        labels: For classification whole numbers `(n,)` from 0 below the number of
            classes, not all of which need be there, or one-hot rows; for multi-label
            zeros and ones `(n, num_outputs)`; for regression numbers
            `(n, num_outputs)` or `(n,)`.
        task: `Task` whose `num_outputs` is the layer's width.
        sample_weight: Array `(n,)` of weights >= 0, or None.

    Returns:
        `LinearSolution`.

    Raises:
        ImportError: If scikit-learn is missing (not needed for dense regression).
        TypeError: If `dense` is no `Dense` layer.
        ValueError: If the layer is not linear or is penalized otherwise, or if
            `features`, `labels` or `sample_weight` do not fit.

    Example:

    >>> from tftransfer.tasks import Task
    >>> dense = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.0))
    >>> features, labels = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> solution = solve_linear_head(dense, features, labels, Task("regression", 1))
    >>> np.round(dense.kernel.numpy(), 5), np.round(dense.bias.numpy(), 5)
    (array([[2.]], dtype=float32), array([1.], dtype=float32))
    """
    l2 = check_layer(dense, task)
    features = check_features(dense, features)
    count = features.shape[0]
    labels = check_labels(labels, task, count)
    weights = check_weights(sample_weight, count)
    if l2 is None:
        l2 = _default_l2(task, count)
    solve = _solve_regression if task.name == "regression" else _solve_logistic
    kernel, bias, num_iterations = solve(
        features, labels, weights, task, l2, dense.use_bias
    )
    if not dense.built:
        dense.build((None, features.shape[1]))
    dense.kernel.assign(kernel.astype("float32"))
    if dense.use_bias:
        dense.bias.assign(bias.astype("float32"))
    solution = _judge(dense, features, labels, weights, task, l2, num_iterations)
    if num_iterations and solution.gradient > SOLVED:
        print(
            f"The linear head was not solved to the end: after {num_iterations} steps "
            f"of lbfgs its gradient is {solution.gradient:.1g}. Standardize the "
            "features, or give the layer a larger kernel_regularizer."
        )
    return solution


def _default_l2(task, count):
    if task.name == "regression":
        return 1 / (count * task.num_outputs)
    if task.name == "multi_label":
        return 1 / (2 * count * task.num_outputs)
    return 1 / count if task.num_outputs == 2 else 1 / (2 * count)


def _judge(dense, features, labels, weights, task, l2, num_iterations):
    """Compute what the layer reaches now, from its own weights."""
    kernel = np.array(dense.kernel, "float64")
    bias = np.array(dense.bias, "float64") if dense.use_bias else 0.0
    loss, count = 0.0, features.shape[0]
    gradient = 2 * l2 * kernel
    bias_gradient = np.zeros(kernel.shape[1])
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        part = features[rows].astype("float64")
        losses, slopes = _losses(part @ kernel + bias, labels[rows], task)
        loss += weights[rows] @ losses / count
        slopes *= weights[rows, None] / count
        gradient += part.T @ slopes
        bias_gradient += slopes.sum(axis=0)
    steepest = np.abs(gradient).max()
    if dense.use_bias:
        steepest = max(steepest, np.abs(bias_gradient).max())
    objective = loss + l2 * np.sum(np.square(kernel))
    return LinearSolution(
        float(loss), float(objective), float(l2), float(steepest), num_iterations
    )


def _losses(outputs, labels, task):
    """Loss of each row, and its slope along each output."""
    if task.name == "regression":
        error = outputs - labels
        return np.mean(np.square(error), axis=1), 2 * error / task.num_outputs
    if task.name == "classification" and not task.is_binary:
        rows = np.arange(len(labels))
        logs = outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True)
        slopes = np.exp(logs)
        slopes[rows, labels] -= 1
        return -logs[rows, labels], slopes
    signs = 2.0 * labels.reshape(len(labels), -1) - 1
    losses = np.logaddexp(0.0, -signs * outputs)
    slopes = -signs * np.exp(-np.logaddexp(0.0, signs * outputs))
    return losses.mean(axis=1), slopes / task.num_outputs


def _solve_regression(features, labels, weights, task, l2, use_bias):
    """Ridge regression by its normal equations, summed up in float64."""
    count, width = features.shape
    if _is_sparse(features):
        return _solve_sparse_regression(features, labels, weights, task, l2, use_bias)
    total = weights.sum()
    center, target = np.zeros(width), np.zeros(task.num_outputs)
    if use_bias and total > 0:
        center = (weights / total) @ features
        target = (weights / total) @ labels
    gram, moment = np.zeros((width, width)), np.zeros((width, task.num_outputs))
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        centered = features[rows] - center
        weighted = centered * weights[rows, None]
        gram += weighted.T @ centered
        moment += weighted.T @ (labels[rows] - target)
    gram[np.diag_indices(width)] += l2 * count * task.num_outputs
    kernel, *_ = np.linalg.lstsq(gram, moment, rcond=None)
    return kernel, target - center @ kernel, 0


def _solve_sparse_regression(features, labels, weights, task, l2, use_bias):
    linear_model, _ = _import_sklearn()
    model = linear_model.Ridge(
        l2 * features.shape[0] * task.num_outputs,
        fit_intercept=use_bias,
        max_iter=MAX_ITERATIONS,
        tol=TOLERANCE,
        solver="sparse_cg",
    )
    model.fit(features.astype("float64"), labels, sample_weight=weights)
    kernel = model.coef_.reshape(task.num_outputs, -1).T
    return kernel, np.reshape(model.intercept_, -1), 0


def _solve_logistic(features, labels, weights, task, l2, use_bias):
    center = np.zeros(features.shape[1], features.dtype)
    if use_bias:
        features, center = _center(features)
    columns, scale = [labels], 2 * l2 * features.shape[0]
    if task.name == "multi_label":
        columns, scale = list(labels.T), scale * task.num_outputs
    elif task.num_outputs == 2:
        scale /= 2  # halves of one weight vector, with half its penalty
    num_classes = task.num_classes if task.name == "classification" else 2
    fits = [
        _fit(features, column, weights, num_classes, scale, use_bias)
        for column in columns
    ]
    kernel = np.concatenate([fit.coef_.T for fit in fits], axis=1).astype("float64")
    bias = np.zeros(kernel.shape[1])
    if use_bias:
        bias = np.concatenate([fit.intercept_ for fit in fits]).astype("float64")
    if task.name == "classification" and task.num_outputs == 2:
        kernel, bias = kernel * [-0.5, 0.5], bias * [-0.5, 0.5]
    return kernel, bias - center @ kernel, max(int(fit.n_iter_.max()) for fit in fits)


def _center(features):
    """Move features by their mean; those of sparse columns would not stay sparse.

    With a bias that is not penalized the optimum is the same, and lbfgs needs far fewer
    steps to find it.
    """
    center = features.mean(axis=0, dtype="float64")
    center = np.asarray(center, features.dtype).ravel()
    if not _is_sparse(features):
        return features - center, center
    filled = np.bincount(features.indices, minlength=features.shape[1])
    is_full = (filled == features.shape[0]) & features.has_canonical_format
    center[~is_full] = 0
    moved = features.data - center[features.indices]
    return type(features)(
        (moved, features.indices, features.indptr), features.shape
    ), center


def _is_sparse(features):
    return hasattr(features, "tocsr")


def _fit(features, labels, weights, num_classes, scale, use_bias):
    """Fit scikit-learn's logistic regression, knowing of all classes."""
    linear_model, exceptions = _import_sklearn()
    missing = np.setdiff1d(np.arange(num_classes), labels)
    if len(missing):  # rows that weigh nothing name the classes that are not there
        features = _append_blank(features, len(missing))
        labels = np.concatenate([labels, missing])
        weights = np.concatenate([weights, np.zeros(len(missing))])
    model = linear_model.LogisticRegression(
        C=1 / scale if scale else np.inf,
        fit_intercept=use_bias,
        max_iter=MAX_ITERATIONS,
        tol=TOLERANCE,
    )
    with warnings.catch_warnings():  # how far it came is judged and told afterwards
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        return model.fit(features, labels, sample_weight=weights)


def _append_blank(features, count):
    shape = (count, features.shape[1])
    if not _is_sparse(features):
        return np.concatenate([features, np.zeros(shape, features.dtype)])
    from scipy import sparse  # comes with scikit-learn

    empty = sparse.csr_array(shape, dtype=features.dtype)
    return sparse.vstack([features, empty], format="csr")


def _import_sklearn():
    return import_optional(
        "sklearn.linear_model",
        "sklearn.exceptions",
        needs="Solving a linear head needs scikit-learn",
        extra="demo",
    )
