"""CORAL as a map: source rows get the covariance of the target."""

import dataclasses

from tftransfer.checks import check_positive, check_same_width
from tftransfer.methods.refitting import refit_in
from tftransfer.methods.spectrum import Spectrum, spectrum_of


@dataclasses.dataclass(frozen=True)
class CoralMap:
    """What `coral_map` found; call it with rows of the source.

    Attributes:
        source: `Spectrum` of the source.
        target: `Spectrum` of the target.
    """

    source: Spectrum
    target: Spectrum

    def __call__(self, rows):
        """Return rows `(k, width)`, source covariance taken out, target's put in."""
        whitened = self.source.power(rows - self.source.mean, -0.5)
        return self.target.mean + self.target.power(whitened, 0.5)


def coral_map(source, target, *, ridge=1.0):
    """Map source rows so that their mean and covariance are those of the target.

    Formula, with `C = cov + ridge I` of each domain:

        x -> (x - mean_s) C_s^(-1/2) C_t^(1/2) + mean_t

    The paper standardizes both domains first, so its means are 0 and `ridge=1` is one
    unit of variance; means are written out here for rows in any unit. Matrices of the
    width are made only where there are as many rows.

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        ridge: Added to every variance, > 0.

    Returns:
        `CoralMap`, a function of source rows.

    Raises:
        TypeError: If `ridge` is no number.
        ValueError: If the widths differ or `ridge` is not above 0.

    Example:

    >>> from tftransfer.methods.coral_map import coral_map
    >>> source = np.array([[0.0], [2.0], [4.0]])  # variance 4
    >>> target = np.array([[9.0], [10.0], [11.0]])  # variance 1
    >>> coral_map(source, target, ridge=1e-9)(source).round(3).ravel().tolist()
    [9.0, 10.0, 11.0]

    Reference:
        [Sun et al., 2016](https://arxiv.org/abs/1511.05547), algorithm 1.
    """
    check_same_width(source, target)
    check_positive("ridge", ridge)
    return CoralMap(spectrum_of(source, ridge), spectrum_of(target, ridge))


def coral(problem, control, *, units="target", ridge=1.0):
    """Refit the control on source rows moved by `coral_map`.

    Args:
        problem: `Problem`.
        control: `Control`.
        units: How target rows are scaled, `"source"` or, as in the paper, `"target"`.
        ridge: See `coral_map`; variances are near 1 here.

    Returns:
        `Candidate` named `"S.coral"` or `"D.coral"`.

    Raises:
        ValueError: If `units` is something else.
    """

    def describe(source, target):
        return coral_map(source, target, ridge=ridge), None

    return refit_in("coral", problem, control, describe, units=units)
