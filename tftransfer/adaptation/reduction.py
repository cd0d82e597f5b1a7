"""From the features as they came to those that are fitted on."""

import dataclasses

import numpy as np

from tftransfer.adaptation.checks import varying_features
from tftransfer.methods.softmax_regression import import_scipy

WIDEST = 4096  # dense features, without reduction
_COMPONENTS = 100


@dataclasses.dataclass(frozen=True)
class Reduction:
    """Leave out constant features; project sparse and very wide ones.

    Attributes:
        directions: Float array `(width, count)`, or `None`: no projection.
        kept: Bool array, which columns are left after that.
    """

    directions: np.ndarray | None
    kept: np.ndarray

    def __call__(self, rows):
        """Return rows `(k, width)`, dense or sparse, as a float64 array."""
        if self.directions is not None:
            rows = np.asarray(rows @ self.directions)
        elif hasattr(rows, "toarray"):
            rows = rows.toarray()
        return rows if self.kept.all() else rows[:, self.kept]


def find_reduction(source, target, seed):
    """Choose how features are reduced, without labels.

    Sparse features, and dense ones wider than 4,096, are projected on the 100 first
    right singular vectors of both domains together (truncated SVD, nothing subtracted).

    Args:
        source: Float array or `csr_array` `(n, width)`.
        target: The same kind `(m, width)`.
        seed: Of the first vector of the iteration.

    Returns:
        `Reduction` and a list of str to tell.

    Raises:
        ValueError: If all features are constant on the source.
    """
    notes, directions = [], None
    is_sparse = hasattr(source, "tocsr")
    if is_sparse or source.shape[1] > WIDEST:
        directions = _singular_vectors(source, target, seed)
        kind = "sparse" if is_sparse else "wide"
        notes.append(
            f"{source.shape[1]:,} {kind} features were reduced to "
            f"{directions.shape[1]} by truncated SVD of both domains"
        )
        source = source @ directions
    kept = varying_features(source)
    if not kept.all():
        verb = "is" if np.sum(~kept) == 1 else "are"
        notes.append(
            f"{np.sum(~kept)} of {len(kept)} features {verb} constant on the source: "
            "left out"
        )
    return Reduction(directions, kept), notes


def _singular_vectors(source, target, seed):
    linalg, sparse = import_scipy("sparse.linalg"), import_scipy("sparse")
    if hasattr(source, "tocsr"):
        both = sparse.vstack([source, target], format="csr")
    else:
        both = np.concatenate([source, target])
    count = min(_COMPONENTS, min(both.shape) - 1)
    first = np.random.default_rng(seed).normal(size=min(both.shape))
    _, _, rows = linalg.svds(both, k=max(count, 1), v0=first)
    return rows[::-1].T
