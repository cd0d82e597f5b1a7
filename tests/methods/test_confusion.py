import numpy as np
import pytest

from tests.domains import accuracy
from tests.methods.test_softmax_regression import check_gradient
from tftransfer.methods.confusion import class_confusion, minimum_class_confusion
from tftransfer.methods.softmax_regression import softmax


def confusion_by_loops(logits, temperature, weights):
    """The paper's equations, written out."""
    count, classes = logits.shape
    p = softmax(logits / temperature)
    c = np.zeros((classes, classes))
    for j in range(classes):
        for k in range(classes):
            for i in range(count):
                c[j, k] += p[i, j] * weights[i] * p[i, k]
    c /= c.sum(axis=1, keepdims=True)
    return (c.sum() - np.trace(c)) / classes


def row_weights(logits, temperature):
    p = softmax(logits / temperature)
    weights = 1 + np.exp(np.sum(p * np.log(p), axis=1))
    return len(logits) * weights / weights.sum()


def test_the_loss_is_the_papers(rng):
    logits = 3 * rng.normal(size=(12, 4))
    expected = confusion_by_loops(logits, 2.5, row_weights(logits, 2.5))
    assert class_confusion(logits)[0] == pytest.approx(expected, rel=1e-10)


def test_the_gradient_is_that_of_finite_differences_with_weights_held(rng):
    logits = 3 * rng.normal(size=(7, 3))
    weights = row_weights(logits, 2.5)
    check_gradient(
        lambda z: confusion_by_loops(z, 2.5, weights),
        logits,
        class_confusion(logits)[1],
    )


def test_sure_calls_are_not_confused():
    assert class_confusion(1e3 * np.eye(3))[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("units", ["source", "target"])
def test_it_helps_and_lowers_confusion(moved, units):
    problem, control, truth = moved
    found = minimum_class_confusion(problem, control, units=units)
    assert accuracy(found, truth) > accuracy(control, truth)
    np.testing.assert_allclose(found.predict(problem.target), found.probabilities)
    before = class_confusion(control.logits(problem.target_by_source))[0]
    assert class_confusion(np.log(found.probabilities))[0] < before
