import numpy as np
import pytest

from tftransfer.training.virtual_features import draw_virtual_features


def test_means_and_covariance_are_those_of_the_rows(rng):
    labels = np.repeat([0, 3], [5, 7])
    features = rng.normal(size=(12, 4)) @ rng.normal(size=(4, 4)) + 9 * labels[:, None]
    rows, drawn = draw_virtual_features(features, labels, 200_000, seed=1)
    np.testing.assert_array_equal(np.bincount(drawn), [200_000, 0, 0, 200_000])
    residuals = np.concatenate(
        [features[labels == x] - features[labels == x].mean(axis=0) for x in (0, 3)]
    )
    covariance = residuals.T @ residuals / (12 - 2)
    for number in (0, 3):
        own = rows[drawn == number]
        mean = features[labels == number].mean(axis=0)
        scale = np.sqrt(np.diag(covariance))
        assert (np.abs(own.mean(axis=0) - mean) / scale).max() < 0.02
        differences = np.cov(own.T) - covariance
        assert (np.abs(differences) / np.outer(scale, scale)).max() < 0.02
    assert rows.dtype == np.float32


def test_the_seed_tells_the_rows():
    features, labels = np.arange(8.0).reshape(4, 2), np.array([0, 0, 1, 1])
    one, again, other = (
        draw_virtual_features(features, labels, 3, seed=seed)[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_what_cannot_be_drawn_from_is_refused():
    with pytest.raises(ValueError, match="two rows or more.*Received: 2 rows of 2 cl"):
        draw_virtual_features(np.zeros((2, 3)), [0, 1], 5)
    with pytest.raises(ValueError, match=r"`features` must be .n, width.*\(2, 3, 1\)"):
        draw_virtual_features(np.zeros((2, 3, 1)), [0, 1], 5)
    with pytest.raises(ValueError, match="must be finite.*NaN or infinity"):
        draw_virtual_features(np.full((3, 1), np.nan), [0, 0, 1], 5)
    with pytest.raises(ValueError, match="`rows_per_class` must be"):
        draw_virtual_features(np.zeros((3, 1)), [0, 0, 1], 0)
