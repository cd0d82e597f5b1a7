"""Subspace alignment: principal axes of the source turned towards the target's."""

import dataclasses
import functools

import numpy as np

from tftransfer.checks import check_same_width, check_whole_number
from tftransfer.methods.refitting import refit_in
from tftransfer.methods.spectrum import spectrum_of


@dataclasses.dataclass(frozen=True)
class Projection:
    """Rows relative to a mean, along some axes.

    Attributes:
        mean: Float array `(width,)`.
        axes: Float array `(width, k)`.
    """

    mean: np.ndarray
    axes: np.ndarray

    def __call__(self, rows):
        """Return `(rows - mean) @ axes`, `(k, num_axes)`."""
        return (rows - self.mean) @ self.axes


def align_subspaces(source, target, *, num_components=64):
    """Describe both domains along the principal axes of the target.

    Formula, with the first principal axes as columns of `P_s` and `P_t`:

        source: (x - mean_s) P_s P_s' P_t     target: (x - mean_t) P_t

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        num_components: Axes of each domain, >= 1; as many as the rows of both domains
            span where that is less.

    Returns:
        Two `Projection`s, functions of source and of target rows.

    Raises:
        TypeError: If `num_components` is no whole number.
        ValueError: If it is below 1 or the widths differ.

    Example:

    >>> from tftransfer.methods.subspace import align_subspaces
    >>> source = np.array([[-3.0, 0.1], [0.0, -0.2], [3.0, 0.1]])
    >>> of_source, of_target = align_subspaces(source, source + 9, num_components=1)
    >>> np.abs(of_source(source)).round(1).ravel().tolist()
    [3.0, 0.0, 3.0]
    >>> np.allclose(of_source(source), of_target(source + 9))
    True

    Reference:
        [Fernando et al., 2013](https://doi.org/10.1109/ICCV.2013.368), algorithm 1.
    """
    check_same_width(source, target)
    check_whole_number("num_components", num_components)
    both = spectrum_of(source), spectrum_of(target)
    count = min(num_components, *(len(each.values) for each in both))
    of_source, of_target = (each.vectors[:, :count] for each in both)
    aligned = of_source @ (of_source.T @ of_target)
    return Projection(both[0].mean, aligned), Projection(both[1].mean, of_target)


def subspace(problem, control, *, units="target", num_components=64):
    """Refit the control on both domains described by `align_subspaces`.

    Args:
        problem: `Problem`.
        control: `Control`.
        units: How target rows are scaled, `"source"` or, as in the paper, `"target"`.
        num_components: See `align_subspaces`.

    Returns:
        `Candidate` named `"S.subspace"` or `"D.subspace"`.

    Raises:
        ValueError: If `units` is something else.
    """
    describe = functools.partial(align_subspaces, num_components=num_components)
    return refit_in("subspace", problem, control, describe, units=units)
