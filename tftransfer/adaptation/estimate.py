"""An estimate of the accuracy on a target without labels, with an interval."""

import dataclasses
import math

import numpy as np

from tftransfer.methods.softmax_regression import import_scipy, one_hot, softmax

WITNESSES = {"adabn": 0.5, "D.mcc": 0.6}  # exponents of their agreement
_CONFIDENCE_EXPONENT = 0.8
_STEADY, _TORN = 0.05, 0.12  # half width where witnesses agree, and more in between
_SMALLEST = 0.05  # above chance, of each factor
_AGREEMENT_EXPONENT = 0.5  # of the witnesses with one another, where adapted
_GAIN_SPREAD = 0.4  # for each changed call, how far the gain was off in nine of ten
_NORMAL_95 = 1.645


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An accuracy and where it lies in nine of ten shifts.

    Attributes:
        value: Float in 0..1.
        low: Lower end of the 90 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self):
        return (
            f"{100 * self.value:.1f} % "
            f"(90 % interval {100 * self.low:.1f} to {100 * self.high:.1f})"
        )


def estimate_accuracies(problem, control, candidates, verdict):
    """Estimate the accuracy of the control and of what was chosen.

    Of the control, with `k(p) = (p - 1 / K) / (1 - 1 / K)`, how far `p` is from chance
    to always right:

        k(accuracy) = k(confidence)^0.8 k(agreement, adabn)^0.5 k(agreement, D.mcc)^0.6

    The confidence is the control's mean confidence on the target plus what it falls
    short of the accuracy by on held-out source rows, both after scaling with the
    temperature that suits these rows best. The agreements are the shares of target
    rows in which candidates that see the target in its own units call what the control
    calls: confidence alone stays high where a shift carries all rows to one side.

    Where adapted, the same from the control's confidence on features standardized by
    the target's own mean and spread, and the agreement of the two with one another:

        k(accuracy) = k(confidence of adabn) k(agreement of adabn and D.mcc)^0.5

    Else the chosen calls win back, in the share of rows that they change, what the
    control is estimated to have lost since the held-out rows.

    Exponents and the width of the interval were fitted to 56 shifts (digits of three
    sources, rotations and corruptions of MNIST, corrupted CIFAR-10 by MobileNetV2
    features, reviews by tf-idf, with changed shares, missing classes and 100 rows among
    them) and rounded; those where adapted to 80 of another draw, with features of a
    LeNet and solar cells among them (mean absolute error there 6.5 points). Mean
    confidence of the control was off by 23 points, average thresholded confidence by
    21. It is worst where digits are turned by 45 degrees and more (30 points too high)
    and where two classes change places, as a model below chance is beyond it.

    Args:
        problem: `Problem`.
        control: `Control`.
        candidates: Dict from name to float array `(m, num_classes)`, with `"control"`,
            `"chosen"`, `"adabn"` and `"D.mcc"` among them.
        verdict: Of the guard.

    Returns:
        Dict with `Estimate` for `"control"` and `"chosen"`.

    Reference:
        [Guillory et al., 2021](https://arxiv.org/abs/2107.03315), differences of
        confidences; [Jiang et al., 2022](https://arxiv.org/abs/2106.13799),
        disagreement as error.
    """
    value, width = _estimate_control(problem, control, candidates)
    estimates = {"control": _around(value, width)}
    if verdict == "adapted":
        chosen = _around(*_estimate_adapted(problem, control, candidates))
    else:
        changed = np.mean(candidates["chosen"].argmax(axis=1) != control.labels)
        lost = max(_held_out_accuracy(problem, control) - value, 0.0)
        spread = math.hypot(width, _GAIN_SPREAD * changed)
        chosen = _around(value + changed * lost, spread)
    return {**estimates, "chosen": chosen}


def estimate_left(problem, control, candidates):
    """Estimate how much of what the control knows on the source is left on the target.

    Args:
        problem: `Problem`.
        control: `Control`.
        candidates: As of `estimate_accuracies`, without need of `"chosen"`.

    Returns:
        Float: `k(estimated accuracy) / k(accuracy on held-out source rows)`, 0 where
        the control is at chance on the target, 1 where it is as good as on the source.
    """
    chance = 1 / problem.num_classes
    held_out = _held_out_accuracy(problem, control)
    value, _ = _estimate_control(problem, control, candidates)
    return max((value - chance) / max(held_out - chance, 0.01 * (1 - chance)), 0.0)


def _held_out_accuracy(problem, control):
    return float(np.mean(control.held_out.argmax(axis=1) == problem.labels))


def _estimate_control(problem, control, candidates):
    """Return the estimated accuracy of the control, and half its interval's width."""
    chance, calls = 1 / problem.num_classes, control.labels
    accuracy = expected_accuracy(
        control.held_out, problem.labels, candidates["control"]
    )
    share = _above_chance(accuracy, chance) ** _CONFIDENCE_EXPONENT
    shared_agreement = 1.0
    for name, exponent in WITNESSES.items():
        agreement = float(np.mean(candidates[name].argmax(axis=1) == calls))
        share *= _above_chance(agreement, chance) ** exponent
        shared_agreement *= agreement ** (1 / len(WITNESSES))
    return _spread(chance + (1 - chance) * share, shared_agreement, len(calls))


def _estimate_adapted(problem, control, candidates):
    """Return the same of what was adapted in the target's own units."""
    chance = 1 / problem.num_classes
    first, second = (candidates[name] for name in WITNESSES)
    accuracy = expected_accuracy(control.held_out, problem.labels, first)
    agreement = float(np.mean(first.argmax(axis=1) == second.argmax(axis=1)))
    share = _above_chance(accuracy, chance)
    share *= _above_chance(agreement, chance) ** _AGREEMENT_EXPONENT
    return _spread(chance + (1 - chance) * share, agreement, len(first))


def _spread(value, agreement, count):
    """Return a value and the half width of its interval."""
    torn = 4 * agreement * (1 - agreement)
    return value, math.hypot(_STEADY + _TORN * torn, _sampling(value, count))


def expected_accuracy(held_out, labels, probabilities):
    """Return the accuracy that the control's own confidence promises on the target.

    Args:
        held_out: Float array `(n, num_classes)` of source rows.
        labels: Whole numbers `(n,)`.
        probabilities: Float array `(m, num_classes)` of target rows.

    Returns:
        Float in 0..1: held-out accuracy, less what the mean confidence falls by from
        held-out source to target, both scaled by the temperature of `best_temperature`.

    Example:

    >>> from tftransfer.adaptation.estimate import expected_accuracy
    >>> sure, torn = [0.8, 0.2], [0.6, 0.4]
    >>> held_out, labels = np.array([sure] * 10), np.repeat([0, 1], [8, 2])
    >>> round(expected_accuracy(held_out, labels, np.array([torn])), 2)
    0.6
    """
    temperature = best_temperature(held_out, labels)
    accuracy = np.mean(held_out.argmax(axis=1) == labels)
    before, after = (
        _scale(given, temperature).max(axis=1).mean()
        for given in (held_out, probabilities)
    )
    return float(np.clip(accuracy - before + after, 0, 1))


def best_temperature(probabilities, labels):
    """Return the temperature with the least negative log-likelihood.

    Args:
        probabilities: Float array `(n, num_classes)`.
        labels: Whole numbers `(n,)`.

    Returns:
        Float in 0.1..10: above 1 where the model was too sure.

    Reference:
        [Guo et al., 2017](https://arxiv.org/abs/1706.04599), section 4.2.
    """
    chosen = one_hot(labels, probabilities.shape[1]) > 0

    def loss(log_temperature):
        scaled = _scale(probabilities, math.exp(log_temperature))
        return -np.mean(np.log(np.maximum(scaled[chosen], 1e-12)))

    bounds = math.log(0.1), math.log(10)
    found = import_scipy("optimize").minimize_scalar(
        loss, bounds=bounds, method="bounded"
    )
    return math.exp(found.x)


def _scale(probabilities, temperature):
    return softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature)


def _above_chance(share, chance):
    return min(max((share - chance) / (1 - chance), _SMALLEST), 1.0)


def _sampling(value, count):
    """Half width that the number of target rows alone gives."""
    return _NORMAL_95 * math.sqrt(value * (1 - value) / count)


def _around(value, width):
    value = min(max(value, 0.0), 1.0)
    return Estimate(value, max(value - width, 0.0), min(value + width, 1.0))
