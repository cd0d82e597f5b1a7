import types

import numpy as np
import pytest

from tftransfer.adaptation.estimate import (
    Estimate,
    best_temperature,
    estimate_accuracies,
    estimate_left,
    expected_accuracy,
)
from tftransfer.methods.softmax_regression import softmax


@pytest.fixture
def overconfident(rng):
    """Labels drawn from probabilities, which are then made too sure by a half."""
    logits = rng.normal(size=(20000, 3))
    probabilities = softmax(logits)
    drawn = (probabilities.cumsum(axis=1) < rng.random((20000, 1))).sum(axis=1)
    return softmax(2 * logits), drawn


def test_the_temperature_undoes_overconfidence(overconfident):
    assert best_temperature(*overconfident) == pytest.approx(2, rel=0.05)


def test_without_a_shift_the_held_out_accuracy_is_expected(overconfident):
    probabilities, labels = overconfident
    found = expected_accuracy(probabilities, labels, probabilities[::-1])
    assert found == pytest.approx(np.mean(probabilities.argmax(axis=1) == labels))


def setting(agreement, count=1000):
    """A control always sure and right on the source, and witnesses so often with it."""
    calls = np.zeros(count, int)
    other = (np.arange(count) >= agreement * count).astype(int)
    sure = np.eye(2)[np.arange(100) % 2]
    problem = types.SimpleNamespace(num_classes=2, labels=np.arange(100) % 2)
    control = types.SimpleNamespace(labels=calls, held_out=sure)
    candidates = {"control": np.eye(2)[calls], "chosen": np.eye(2)[other]}
    witnesses = {name: np.eye(2)[other] for name in ("adabn", "D.mcc")}
    return problem, control, candidates | witnesses


def test_it_follows_the_equation():
    found = estimate_accuracies(*setting(0.75), "adapted in part")
    # Confidence 1; agreement .75 is half the way from chance: .5 ** (.5 + .6).
    assert found["control"].value == pytest.approx(0.5 + 0.5 * 0.5**1.1)
    # A quarter of the calls is changed; held out, the control is always right.
    value = found["control"].value
    assert found["chosen"].value == pytest.approx(value + 0.25 * (1 - value))
    width = found["control"].high - found["control"].value
    spread = np.hypot(0.05 + 0.12 * 0.75, 1.645 * np.sqrt(0.733 * 0.267 / 1000))
    assert width == pytest.approx(spread, rel=1e-3)


def test_where_adapted_it_is_the_confidence_in_target_units():
    problem, control, candidates = setting(0.75)
    candidates["adabn"] = np.eye(2)[control.labels] * 0.8 + 0.1
    found = estimate_accuracies(problem, control, candidates, "adapted")["chosen"]
    # The witnesses agree in three of four rows, half of the way from chance.
    confidence = expected_accuracy(
        control.held_out, problem.labels, candidates["adabn"]
    )
    assert found.value == pytest.approx(0.5 + 0.5 * (2 * confidence - 1) * 0.5**0.5)
    width = np.hypot(
        0.05 + 0.12 * 0.75, 1.645 * np.sqrt(found.value * (1 - found.value) / 1000)
    )
    assert found.high - found.value == pytest.approx(width)


def test_agreement_at_chance_leaves_little():
    found = estimate_accuracies(*setting(0.5), "adapted in part")
    assert found["control"].value < 0.53


def test_fewer_rows_and_doubt_widen_the_interval():
    def width(*arguments):
        found = estimate_accuracies(*setting(*arguments), "adapted in part")["control"]
        return found.high - found.low

    assert width(0.8) > width(0.95)
    assert width(0.8, 50) > width(0.8)
    sure = estimate_accuracies(*setting(1.0), "adapted in part")["chosen"]
    assert (sure.value, sure.high) == (1, 1)


def test_it_prints_in_percent():
    assert str(Estimate(0.8, 0.7, 0.95)) == "80.0 % (90 % interval 70.0 to 95.0)"


def test_what_is_left_is_measured_from_chance():
    problem, control, candidates = setting(0.75)
    # Right on all of the source; the equation above puts the target at .733 of 1.
    assert estimate_left(problem, control, candidates) == pytest.approx(0.5**1.1)
