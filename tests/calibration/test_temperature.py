import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tftransfer.calibration.temperature import (
    fit_temperature,
    negative_log_likelihood,
    scale_outputs,
    to_logits,
)
from tftransfer.tasks import Task


def draw(rng, logits):
    """Labels that follow softmax of the logits."""
    noisy = logits + rng.gumbel(size=logits.shape)
    return noisy.argmax(axis=1)


def loss_by_hand(labels, logits):
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.log(chances[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("truth", [0.25, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(rng, truth):
    logits = 2 * rng.normal(size=(20_000, 5))
    found = fit_temperature(draw(rng, logits), truth * logits)
    assert found == pytest.approx(truth, rel=0.03)


def test_the_minimum_is_that_of_scipy(rng):
    logits = 3 * rng.normal(size=(300, 4))
    labels = draw(rng, logits / 2)
    found = fit_temperature(labels, logits)
    best = minimize_scalar(
        lambda s: loss_by_hand(labels, s * logits),
        bounds=(0.01, 10),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert found == pytest.approx(1 / best.x, rel=1e-6)


def test_nothing_beside_the_temperature_is_better(rng):
    logits = 3 * rng.normal(size=(300, 4))
    labels = draw(rng, logits / 2)
    found = fit_temperature(labels, logits)
    at_best = loss_by_hand(labels, logits / found)
    for factor in (0.999, 1.001):
        assert loss_by_hand(labels, logits / (factor * found)) > at_best


def test_three_of_four_right_by_hand():
    # Certain by 2 and right in 3 of 4: e^(2 / T) = 3.
    found = fit_temperature([1, 1, 1, 0], [[0.0, 2.0]] * 4)
    assert found == pytest.approx(2 / np.log(3), rel=1e-12)


def test_one_logit_is_two_classes(rng):
    logit = 2 * rng.normal(size=200)
    labels = (logit / 3 + rng.logistic(size=200) > 0).astype(int)
    two = fit_temperature(labels, np.stack([np.zeros(200), logit], axis=1))
    assert fit_temperature(labels, logit) == pytest.approx(two, rel=1e-10)
    column = fit_temperature(labels[:, None], logit[:, None])
    assert column == pytest.approx(two, rel=1e-10)


def test_several_labels_are_so_many_single_logits(rng):
    logits = 2 * rng.normal(size=(100, 3))
    labels = (logits / 3 + rng.logistic(size=(100, 3)) > 0).astype(int)
    found = fit_temperature(labels, logits, task="multi_label")
    single = fit_temperature(labels.ravel(), logits.ravel())
    assert found == pytest.approx(single, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_of_the_logits_do_not_matter(rng, scale):
    logits = rng.normal(size=(500, 3))
    labels = draw(rng, logits)
    found = fit_temperature(labels, scale * logits)
    assert found == pytest.approx(scale * fit_temperature(labels, logits), rel=1e-9)


def test_likelihood_is_that_by_hand(rng):
    logits = rng.normal(size=(50, 4))
    labels = draw(rng, logits)
    assert negative_log_likelihood(labels, logits) == pytest.approx(
        loss_by_hand(labels, logits)
    )


def test_likelihood_of_single_logits_is_that_of_two_classes(rng):
    logit, labels = rng.normal(size=50), rng.integers(0, 2, 50)
    expected = loss_by_hand(labels, np.stack([np.zeros(50), logit], axis=1))
    assert negative_log_likelihood(labels, logit) == pytest.approx(expected)
    several = negative_log_likelihood(
        labels.reshape(25, 2), logit.reshape(25, 2), task="multi_label"
    )
    assert several == pytest.approx(expected)


def test_likelihood_of_large_logits_is_finite():
    assert negative_log_likelihood([1], [[1e4, 0.0]]) == pytest.approx(1e4)


@pytest.mark.parametrize(
    ("task", "logits"),
    [
        (Task("classification", 3, False), [[0.2, -1.0, 0.5], [4.0, 0.0, 1.0]]),
        (Task("classification", 1, False), [[0.3], [-4.0]]),
        (Task("multi_label", 2, False), [[0.3, 2.0], [-4.0, 1.0]]),
    ],
    ids=["classes", "one logit", "labels"],
)
def test_a_model_of_probabilities_is_scaled_as_one_of_logits(task, logits):
    logits = np.array(logits)
    of_logits = Task(task.name, task.num_outputs)
    given = np.asarray(of_logits.probabilities(logits))[:, -task.num_outputs :]
    np.testing.assert_allclose(
        np.asarray(scale_outputs(given, 2.5, task)),
        np.asarray(of_logits.probabilities(logits / 2.5)),
        rtol=1e-5,
    )


def test_certain_probabilities_stay_finite():
    for task, outputs in [
        (Task("classification", 2, False), np.array([[0.0, 1.0]], "float32")),
        (Task("multi_label", 2, False), np.array([[0.0, 1.0]], "float32")),
    ]:
        assert np.isfinite(np.asarray(to_logits(outputs, task))).all()


def test_a_temperature_moves_no_decision(rng):
    logits = rng.normal(size=(50, 4))
    scaled = np.asarray(scale_outputs(logits, 7.0, Task("classification", 4)))
    np.testing.assert_array_equal(scaled.argmax(axis=1), logits.argmax(axis=1))
    assert scaled.max() < 0.6


@pytest.mark.parametrize(
    ("labels", "logits", "task", "message"),
    [
        ([0, 1], [[2.0, 0.0], [0.0, 2.0]], "classification", "2 rows, all right"),
        ([[1, 0]], [[2.0, -1.0]], "multi_label", "1 rows, all right"),
        ([0, 1], [[0.0, 2.0], [2.0, 0.0]], "classification", "where they are not"),
        ([0, 1], [[1.0, 1.0]] * 2, "classification", "where they are not"),
        ([0, 3], [[2.0, 0.0]] * 2, "classification", r"labels=\[3\]"),
        ([[0, 2]], [[2.0, 0.0]], "multi_label", r"labels=\[2\]"),
        ([0], [[np.inf, 0.0]], "classification", "NaN or infinity in 1 of 1"),
        ([0], [[1.0], [2.0]], "classification", r"labels.shape=\(1,\)"),
        ([[1, 0]], [[1.0, 2.0]], "classification", r"labels.shape=\(1, 2\)"),
        ([], np.zeros((0, 2)), "classification", r"logits.shape=\(0, 2\)"),
        ([0.0], [1.0], "regression", "task='regression'"),
    ],
)
def test_what_has_no_temperature_is_refused(labels, logits, task, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        fit_temperature(labels, logits, task=task)
