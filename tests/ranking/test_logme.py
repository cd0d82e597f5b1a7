import numpy as np
import pytest
from scipy import optimize, stats

from tftransfer.ranking import logme


def slow_evidence(features, column):
    """Equation 2 as it stands: the density of a Gaussian, its largest value sought."""
    count = len(features)

    def negative(logs):
        a, b = np.exp(logs)
        covariance = features @ features.T / a + np.eye(count) / b
        return -stats.multivariate_normal(cov=covariance).logpdf(column) / count

    starts = [(0.0, 0.0), (3.0, 1.0)]
    options = {"xatol": 1e-7, "fatol": 1e-13, "maxiter": 4000}
    return max(
        -optimize.minimize(negative, x, method="Nelder-Mead", options=options).fun
        for x in starts
    )


@pytest.mark.parametrize("shape", [(40, 6), (15, 30)])
def test_classes_score_the_mean_of_the_largest_evidences(shape, rng):
    labels = np.arange(shape[0]) % 3
    features = rng.normal(size=shape) + 0.5 * labels[:, None]
    wanted = [slow_evidence(features, (labels == k).astype(float)) for k in range(3)]
    assert logme(features, labels) == pytest.approx(np.mean(wanted), abs=1e-8)


def test_values_score_the_mean_over_columns(rng):
    features = rng.normal(size=(30, 4))
    labels = features @ rng.normal(size=(4, 2)) + rng.normal(size=(30, 2))
    wanted = [slow_evidence(features, column) for column in labels.T]
    found = logme(features, labels, task="regression")
    assert found == pytest.approx(np.mean(wanted), abs=1e-8)
    first = logme(features, labels[:, 0], task="regression")
    assert first == pytest.approx(wanted[0], abs=1e-8)


def test_values_are_those_of_the_authors_program(classes, values):
    # github.com/thuml/LogME, fixed-point form, on these features
    assert logme(*classes) == pytest.approx(-0.43283800253615, abs=1e-6)
    found = logme(*values, task="regression")
    assert found == pytest.approx(-2.79173784148816, abs=1e-6)


def test_the_scale_of_the_features_does_not_matter(classes):
    features, labels = classes
    for scale in (1e-3, 1e3):
        found = logme(scale * features, labels)
        assert found == pytest.approx(logme(*classes), abs=1e-9)


def test_numbers_of_the_classes_do_not_matter(classes):
    features, labels = classes
    assert logme(features, 7 * labels + 2) == pytest.approx(logme(*classes), abs=1e-12)


def test_features_that_repeat_one_another_do_not_raise_the_score(classes):
    features, labels = classes
    twice = np.concatenate([features, features], axis=1)
    assert logme(twice, labels) == pytest.approx(logme(*classes), abs=1e-9)


def test_features_that_know_nothing_of_the_label_score_its_variance():
    features = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    wanted = stats.norm(scale=np.sqrt(0.5)).logpdf([1, 1, 0, 0]).mean()  # b = 4 / 2
    assert logme(features, np.array([0, 0, 1, 1])) == pytest.approx(wanted, abs=1e-9)


def test_labels_that_fit_to_the_last_digit_score_high_but_finite(rng):
    features = rng.normal(size=(50, 3))
    exact = logme(features, features[:, 0], task="regression")
    noisy = features[:, 0] + 1e-3 * rng.normal(size=50)
    assert np.isfinite(exact)
    assert exact > logme(features, noisy, task="regression") + 5


def test_float32_features_score_the_same(classes):
    features, labels = classes
    single = logme(features.astype("float32"), labels)
    assert single == pytest.approx(logme(*classes), abs=1e-6)
