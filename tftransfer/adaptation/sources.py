"""Several sources: pooled for the control, each alone as a candidate."""

import dataclasses

import numpy as np

from tftransfer.adaptation.checks import check_widths, read_features, read_labels
from tftransfer.adaptation.gates import domain_auc
from tftransfer.methods.control import fit_control
from tftransfer.methods.problem import Candidate, Problem
from tftransfer.methods.refitting import refit
from tftransfer.methods.softmax_regression import import_scipy

OWN_UNITS = "D.sources"


@dataclasses.dataclass(frozen=True)
class Source:
    """Labeled rows of one source, or of several in one.

    Attributes:
        features: Float array or `csr_array` `(n, width)`.
        classes: Array `(num_classes,)`.
        labels: Whole numbers `(n,)`.
        origins: Whole numbers `(n,)`, from which source a row is.
    """

    features: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    origins: np.ndarray

    @property
    def count(self):
        """Number of sources."""
        return int(self.origins.max()) + 1


def read_source(features, labels):
    """Read one source, or a list of them, whose rows are then pooled.

    Args:
        features: Array-like or SciPy sparse `(n, width)`, or a list of these.
        labels: Sequence `(n,)`, or a list of them.

    Returns:
        `Source`.

    Raises:
        TypeError: If features are no numbers.
        ValueError: If widths or numbers of labels differ, entries are NaN or infinite,
            or labels are missing or of one class.
    """
    if not _are_several(features):
        rows = read_features("source_features", features)
        classes, numbers = read_labels(labels, rows.shape[0])
        return Source(rows, classes, numbers, np.zeros(len(numbers), int))
    if not isinstance(labels, (list, tuple)) or len(labels) != len(features):
        found = f"{len(labels)}" if hasattr(labels, "__len__") else f"{labels!r}"
        raise ValueError(
            "`source_labels` must be a list with the labels of each of the "
            f"{len(features)} sources. Received: source_labels with {found}. Give them "
            "in the order of the sources."
        )
    every = [
        read_features(f"source_features[{place}]", rows)
        for place, rows in enumerate(features)
    ]
    for place, rows in enumerate(every):
        name = f"source_features[{place}]"
        check_widths(every[0], rows, "source_features[0]", name)
    values: list = []
    for place, (rows, some) in enumerate(zip(every, labels, strict=True)):
        if len(some) != rows.shape[0]:
            raise ValueError(
                "`source_labels` must have one label for each row of each source. "
                f"Received: source_labels[{place}] with {len(some)} labels for "
                f"{rows.shape[0]} rows. Give the labels of these rows."
            )
        values.extend(
            np.asarray(some).ravel().tolist() if hasattr(some, "dtype") else some
        )
    counts = [rows.shape[0] for rows in every]
    classes, numbers = read_labels(values, len(values))
    return Source(
        _stack(every), classes, numbers, np.repeat(np.arange(len(counts)), counts)
    )


def fit_sources(problem, control, origins):
    """Fit what several sources make possible: each alone, and each in its own units.

    Args:
        problem: `Problem` with the rows of all sources pooled.
        control: `Control` of it.
        origins: Whole numbers `(n,)`, from which source a row is.

    Returns:
        List of `Candidate`: `"source 1"` and so on, the control of that source alone,
        without those of one class; and `"D.sources"`, softmax regression on all of
        them with the control's penalty, each domain in its own units, as `adabn` takes
        the target. A list of str says how far each source is from the target.
    """
    alone, rows, distances = [], np.empty(problem.source.shape), []
    for place in range(origins.max() + 1):
        own = origins == place
        part = Problem(
            problem.source[own],
            problem.labels[own],
            problem.target,
            problem.num_classes,
            problem.seed,
        )
        rows[own] = part.scaled_source
        distances.append(domain_auc(part))
        if len(np.unique(part.labels)) > 1:
            found = fit_control(part)
            name = f"source {place + 1}"
            alone.append(Candidate(name, found.probabilities, found.predict))
    pooled = refit(OWN_UNITS, problem, control, rows, scaling=problem.by_target)
    return [*alone, pooled], _describe(origins, distances)


def _describe(origins, distances):
    told = "; ".join(
        f"source {place + 1} {np.sum(origins == place):,} rows, {area:.2f}"
        for place, area in enumerate(distances)
    )
    nearest = int(np.argmin(distances)) + 1
    return [
        f"{len(distances)} sources are pooled for the control; by rows and by the area "
        f"under the curve of telling them from the target: {told}; the nearest is "
        f"source {nearest}"
    ]


def _are_several(features):
    """Tell a list of sources from rows given as nested lists."""
    if not isinstance(features, (list, tuple)) or not len(features):
        return False
    return all(hasattr(each, "tocsr") or np.ndim(each) == 2 for each in features)


def _stack(every):
    if any(hasattr(rows, "tocsr") for rows in every):
        if all(hasattr(rows, "tocsr") for rows in every):
            return import_scipy("sparse").vstack(every, format="csr")
        every = [rows.toarray() if hasattr(rows, "tocsr") else rows for rows in every]
    return np.concatenate(every)
