"""Scores without target labels that call a model or fit one."""

import numpy as np

from tftransfer.checks import check_choice, check_number, import_optional
from tftransfer.methods.problem import scaling_of
from tftransfer.methods.softmax_regression import fit_softmax_regression, one_hot
from tftransfer.validation.score_inputs import read_class_numbers, read_score_rows

_PENALTY = 0.01
PAIRS = ("both", "inter", "intra")


def mixval(predict, target, *, mixing=0.55, pairs="both", seed=0):
    """How often mixed rows keep the class of their larger part; higher is better.

    Formula, for rows paired at random, with the model's own classes `c`:

        mixed = mixing x_i + (1 - mixing) x_j
        score = mean over pairs of [argmax predict(mixed) = c_i]

    `"intra"` are the pairs of one predicted class, `"inter"` those of two, `"both"` is
    the mean of the two figures. The paper ranks models by both and adds the ranks.

    Args:
        predict: Function from rows to probabilities or logits `(k, num_classes)`.
        target: Numeric array `(n, ...)`, whatever `predict` takes, that may be mixed.
        mixing: Weight of the larger part, from .5 to 1.
        pairs: One of `PAIRS`.
        seed: Of the pairs.

    Returns:
        A float from 0 to 1, NaN where there is no such pair.

    Raises:
        TypeError: If the target holds no numbers.
        ValueError: If `mixing` or `pairs` is something else.

    Example:

    >>> from tftransfer.validation.model_validators import mixval
    >>> def predict(rows):
    ...     return np.hstack([-rows, rows])
    >>> mixval(predict, np.array([[-2.0], [-1.0], [1.0], [2.0]]), pairs="intra")
    1.0

    Reference:
        Hu et al., 2023, [code](https://github.com/LHXXHB/MixVal).
    """
    check_number("mixing", mixing, 0.5, 1.0)
    check_choice("pairs", pairs, PAIRS)
    target = np.asarray(target)
    if target.dtype.kind not in "biuf":
        raise TypeError(
            "`target` must be numbers that can be mixed. "
            f"Received: target of dtype {target.dtype}. Pass features of the texts."
        )
    target = target.astype(np.float32 if target.dtype.itemsize < 8 else np.float64)
    order = np.random.default_rng(seed).permutation(len(target))
    classes = np.asarray(predict(target)).argmax(axis=1)
    mixed = mixing * target + (1 - mixing) * target[order]
    kept = np.asarray(predict(mixed)).argmax(axis=1) == classes
    alike = classes == classes[order]
    within, across = (
        kept[chosen].mean() if chosen.any() else np.nan for chosen in (alike, ~alike)
    )
    if pairs != "both":
        return float(within if pairs == "intra" else across)
    return float(np.mean([each for each in (within, across) if not np.isnan(each)]))


def circular_validation(
    source, source_labels, target, target_probabilities, *, fit=None
):
    """Whether a model taught by the target's predictions knows the source; higher.

    A model is fitted on the target with the classes predicted there, and its accuracy
    on the source, whose labels are known, is the score.

    Args:
        source: Float array `(n, width)`.
        source_labels: Whole numbers `(n,)`.
        target: Float array `(m, width)`, `m >= 2`.
        target_probabilities: Float array `(m, num_classes)` of the model that is
            judged.
        fit: Function of rows and class numbers that returns a function from rows to
            class numbers. `None`: softmax regression on rows standardized by the
            target.

    Returns:
        A float from 0 to 1.

    Raises:
        ImportError: If SciPy, which comes with scikit-learn, is missing.
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation.model_validators import circular_validation
    >>> rows, probabilities = np.array([[-1.0], [1.0]]), np.eye(2)
    >>> circular_validation(rows, [0, 1], rows + 0.1, probabilities)
    1.0

    Reference:
        [Bruzzone & Marconcini, 2010](https://doi.org/10.1109/TPAMI.2009.57).
    """
    source = read_score_rows("source", source, sums_to_one=False)
    target = read_score_rows("target", target, sums_to_one=False, fewest=2)
    probabilities = read_score_rows("target_probabilities", target_probabilities)
    num_classes = probabilities.shape[1]
    labels = read_class_numbers(
        "source_labels", source_labels, len(source), num_classes
    )
    if len(probabilities) != len(target) or source.shape[1] != target.shape[1]:
        raise ValueError(
            "`source` and `target` must be equally wide, and `target_probabilities` "
            f"have a row for each target row. Received: shapes {source.shape}, "
            f"{target.shape} and {probabilities.shape}. Pass the rows that belong "
            "together."
        )
    classes = probabilities.argmax(axis=1)
    if len(np.unique(classes)) == 1:  # nothing to learn: it would always say the same
        return float((labels == classes[0]).mean())
    fit = _softmax_of(num_classes) if fit is None else fit
    return float((np.asarray(fit(target, classes)(source)) == labels).mean())


def class_clusters(features, probabilities, *, seed=0):
    """How well predicted classes match clusters of the features; higher is better.

    Adjusted mutual information between predicted classes and k-means clusters of the
    features, as many as there are classes.

    Args:
        features: Float array `(n, width)`.
        probabilities: Float array `(n, num_classes)` on the same rows, `n` at least
            `num_classes`.
        seed: Of k-means.

    Returns:
        A float, 1 where they are the same and about 0 where they have nothing in
        common.

    Raises:
        ImportError: If scikit-learn is missing.
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation.model_validators import class_clusters
    >>> features = np.array([[0.0], [0.1], [9.0], [9.1]])
    >>> class_clusters(features, np.eye(2)[[0, 0, 1, 1]])
    1.0

    Reference:
        [Musgrave et al., 2022](https://arxiv.org/abs/2208.07360), "ClassAMI".
    """
    probabilities = read_score_rows("probabilities", probabilities)
    count = probabilities.shape[1]
    features = read_score_rows("features", features, sums_to_one=False, fewest=count)
    if len(features) != len(probabilities):
        raise ValueError(
            "`features` and `probabilities` must be of the same rows. Received: shapes "
            f"{features.shape} and {probabilities.shape}. Read both from one model."
        )
    cluster, metrics, threads = import_optional(
        "sklearn.cluster",
        "sklearn.metrics",
        "threadpoolctl",
        needs="Finding clusters needs scikit-learn",
        extra="demo",
    )
    with threads.threadpool_limits(1):  # sums in one order: the same on any machine
        found = cluster.KMeans(count, n_init=3, random_state=seed).fit_predict(features)
    return float(
        metrics.adjusted_mutual_info_score(probabilities.argmax(axis=1), found)
    )


def _softmax_of(num_classes):
    def fit(rows, classes):
        scaling, targets = scaling_of(rows), one_hot(classes, num_classes)
        model = fit_softmax_regression(scaling(rows), targets, _PENALTY)
        return lambda rows: model.logits(scaling(rows)).argmax(axis=1)

    return fit
