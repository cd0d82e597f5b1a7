"""Labeled rows from one place, rows without labels from another."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

_RELATIVE_FLOOR = 1e-3  # of the spread of all source features, added to each
_TARGET_FLOOR = 0.2  # of a feature's spread on the source, at least, on the target


@dataclasses.dataclass(frozen=True)
class Problem:
    """Features of two domains.

    Attributes:
        source: Float array `(n, width)`.
        labels: Whole numbers `(n,)` from 0 below `num_classes`.
        target: Float array `(m, width)`.
        num_classes: Number of classes.
        seed: Of whatever draws at random.
    """

    source: np.ndarray
    labels: np.ndarray
    target: np.ndarray
    num_classes: int
    seed: int = 0

    @functools.cached_property
    def by_source(self):
        """`Scaling` by the source: mean 0 and spread 1 of each source feature."""
        return scaling_of(self.source)

    @functools.cached_property
    def by_target(self):
        """`Scaling` of target rows by their own mean and spread."""
        least = _TARGET_FLOOR * (self.by_source.spread - self._floor)
        spread = np.maximum(self.target.std(axis=0), least) + self._floor
        return Scaling(self.target.mean(axis=0), spread)

    @functools.cached_property
    def scaled_source(self):
        """Source rows in source units, `(n, width)`."""
        return self.by_source(self.source)

    @functools.cached_property
    def target_by_source(self):
        """Target rows in source units, `(m, width)`."""
        return self.by_source(self.target)

    @functools.cached_property
    def target_by_target(self):
        """Target rows in their own units, `(m, width)`: per-domain standardization."""
        return self.by_target(self.target)

    @functools.cached_property
    def _floor(self):
        return _floor_of(self.source)


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Subtract a mean, divide by a spread.

    Attributes:
        mean: Array `(width,)`.
        spread: Array `(width,)`, above 0.
    """

    mean: np.ndarray
    spread: np.ndarray

    def __call__(self, rows):
        """Return rows `(n, width)` in these units."""
        return (rows - self.mean) / self.spread


def scaling_of(rows):
    """Return the `Scaling` to mean 0 and spread 1 of each feature of rows `(n, width)`.

    A thousandth of the spread of all features is added to each, so that rounding in a
    feature that hardly varies does not become as large as the others.
    """
    return Scaling(rows.mean(axis=0), rows.std(axis=0) + _floor_of(rows))


def _floor_of(rows):
    return _RELATIVE_FLOOR * (rows.std() or 1.0)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way to label the target.

    Attributes:
        name: Name of the method.
        probabilities: Float array `(m, num_classes)` for the target rows.
        predict: Function from further raw rows `(k, width)` of the target domain to
            `(k, num_classes)`; close to `probabilities` on the target rows themselves,
            equal where the method has a model of its own.
    """

    name: str
    probabilities: np.ndarray
    predict: Callable
