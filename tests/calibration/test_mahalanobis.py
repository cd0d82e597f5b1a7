import keras
import numpy as np
import pytest
import sklearn.covariance
import sklearn.datasets

from tftransfer.calibration.mahalanobis import (
    MahalanobisDistance,
    fit_mahalanobis,
    ledoit_wolf_shrinkage,
)
from tftransfer.evaluation.metrics import roc_auc


@pytest.fixture
def rows(rng):
    mix = rng.normal(size=(6, 6))
    labels = rng.integers(0, 3, 400)
    centers = 5 * rng.normal(size=(3, 6))
    return centers[labels] + rng.normal(size=(400, 6)) @ mix + 100, labels


def distances_by_hand(features, labels, new, shrinkage):
    """Lee et al., equations 1 and 2, as a double loop."""
    means = [features[labels == c].mean(axis=0) for c in np.unique(labels)]
    centered = np.concatenate(
        [features[labels == c] - means[c] for c in np.unique(labels)]
    )
    covariance = np.cov(centered.T, bias=True)
    width = len(covariance)
    spread = np.trace(covariance) / width * np.eye(width)
    inverse = np.linalg.inv((1 - shrinkage) * covariance + shrinkage * spread)
    return [min((row - m) @ inverse @ (row - m) for m in means) for row in new]


@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_distances_are_those_by_hand(rows, rng, shrinkage):
    features, labels = rows
    new = 100 + 8 * rng.normal(size=(20, 6))
    layer = fit_mahalanobis(features, labels, shrinkage=shrinkage)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer(new)),
        distances_by_hand(features, labels, new, shrinkage),
        rtol=2e-4,
    )


def test_a_mean_of_a_class_is_at_distance_zero(rows):
    features, labels = rows
    means = np.stack([features[labels == c].mean(axis=0) for c in range(3)])
    distances = keras.ops.convert_to_numpy(fit_mahalanobis(features, labels)(means))
    np.testing.assert_allclose(distances, 0, atol=1e-3)


def test_rows_of_the_same_kind_lie_at_their_width(rng):
    # The squared distance follows chi-squared: its mean is the number of features.
    layer = fit_mahalanobis(rng.normal(size=(20_000, 8)))
    new = rng.normal(size=(20_000, 8))
    assert float(np.mean(layer(new))) == pytest.approx(8, rel=0.03)


def test_units_and_mixing_of_features_do_not_matter_without_shrinkage(rows, rng):
    features, labels = rows
    turn = rng.normal(size=(6, 6))
    first = fit_mahalanobis(features, labels, shrinkage=0.0)(features)
    second = fit_mahalanobis(features @ turn, labels, shrinkage=0.0)(features @ turn)
    np.testing.assert_allclose(first, second, rtol=5e-3)


@pytest.mark.parametrize("num_rows", [5, 40, 2000])
def test_shrinkage_is_that_of_scikit_learn(rng, num_rows):
    rows = rng.normal(size=(num_rows, 10)) * np.arange(1, 11)
    _, expected = sklearn.covariance.ledoit_wolf(rows, assume_centered=True)
    assert ledoit_wolf_shrinkage(rows) == pytest.approx(expected, rel=1e-9)


def test_fewer_rows_than_features_are_enough(rng):
    layer = fit_mahalanobis(rng.normal(size=(30, 100)))
    near, far = rng.normal(size=(50, 100)), 3 * rng.normal(size=(50, 100))
    assert np.min(layer(far)) > np.max(layer(near))


def test_unseen_digits_are_told_and_shrinkage_helps(rng):
    # Digits 5 to 9 were never seen; of 0 to 4 only 60 of 901 rows.
    pixels, digits = sklearn.datasets.load_digits(return_X_y=True)
    known = rng.permutation(np.flatnonzero(digits < 5))
    seen, new = known[:60], known[60:]
    rows = np.concatenate([new, np.flatnonzero(digits >= 5)])
    areas = [
        roc_auc(digits[rows] >= 5, np.asarray(layer(pixels[rows])))
        for layer in (
            fit_mahalanobis(pixels[seen], digits[seen], shrinkage=shrinkage)
            for shrinkage in (1e-6, None)
        )
    ]
    assert areas[0] < 0.85
    assert areas[1] > 0.9


def test_a_dead_feature_stays_finite(rng):
    features = rng.normal(size=(200_000, 3)) * np.array([1.0, 1.0, 0.0])
    found = fit_mahalanobis(features)(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert np.isfinite(found).all()
    assert found[1] > 1000


def test_classes_need_not_be_numbered_from_zero(rows):
    features, labels = rows
    first = fit_mahalanobis(features, labels)(features)
    second = fit_mahalanobis(features, 10 * labels + 7)(features)
    np.testing.assert_array_equal(first, second)


def test_it_is_saved_and_loaded(rows, tmp_path):
    features, labels = rows
    inputs = keras.Input((6,))
    layer = fit_mahalanobis(features, labels)
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "shift.keras")
    loaded = keras.models.load_model(tmp_path / "shift.keras")
    np.testing.assert_array_equal(loaded(features), model(features))
    assert isinstance(loaded.layers[-1], MahalanobisDistance)
    assert not loaded.trainable_weights


@pytest.mark.parametrize(
    ("features", "labels", "options", "message"),
    [
        (np.ones((3, 2, 2)), None, {}, r"features.shape=\(3, 2, 2\)"),
        (np.ones((3, 2)), [0, 1], {}, r"labels.shape=\(2,\)"),
        (np.full((3, 2), np.nan), None, {}, "NaN or infinity in 3 of 3"),
        (np.ones((3, 2)), None, {}, "3 rows that equal the mean"),
        (np.eye(3), None, {"shrinkage": 0.0}, "shrinkage=0.0 for 3 rows of width 3"),
        (np.eye(3), None, {"shrinkage": 2.0}, "shrinkage=2.0"),
    ],
)
def test_what_has_no_distance_is_refused(features, labels, options, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        fit_mahalanobis(features, labels, **options)
