import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from tftransfer.ranking import h_score


def class_means(features, labels):
    return np.stack([features[labels == label].mean(axis=0) for label in labels])


def test_it_is_the_trace_of_the_papers_definition(classes):
    features, labels = classes
    between = np.cov(class_means(*classes), rowvar=False)
    wanted = np.trace(np.linalg.solve(np.cov(features, rowvar=False), between))
    found = h_score(features, labels, shrinkage=None)
    assert found == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("rows", [300, 40, 9])
def test_with_shrinkage_it_uses_the_covariance_of_ledoit_and_wolf(classes, rows):
    features, labels = classes[0][:rows], classes[1][:rows]
    shrunk = LedoitWolf().fit(features)
    between = np.cov(class_means(features, labels), rowvar=False)
    between *= 1 - shrunk.shrinkage_
    wanted = np.trace(np.linalg.solve(shrunk.covariance_, between))
    assert h_score(features, labels) == pytest.approx(wanted, rel=1e-10)


def test_values_are_those_of_the_reference(classes):
    # github.com/thuml/Transfer-Learning-Library, tllib/ranking/hscore.py
    features, labels = classes
    assert h_score(*classes, shrinkage=None) == pytest.approx(1.54444010046833)
    assert h_score(*classes) == pytest.approx(1.39276116036814)
    assert h_score(features[:9], labels[:9]) == pytest.approx(1.55328678542266)


def test_few_rows_make_noise_look_perfect_without_shrinkage_only(rng):
    noise, labels = rng.normal(size=(20, 100)), np.arange(20) % 4
    assert h_score(noise, labels, shrinkage=None) == pytest.approx(3.0)
    assert h_score(noise, labels) < 2.0


def test_neither_place_nor_turn_of_the_features_matters(classes, rng):
    features, labels = classes
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    moved = 5 * features @ turn + 100
    assert h_score(moved, labels) == pytest.approx(h_score(*classes), rel=1e-9)


def test_repeated_features_leave_the_first_score_as_it_is(classes):
    features, labels = classes
    twice = np.concatenate([features, features], axis=1)
    found = h_score(twice, labels, shrinkage=None)
    assert found == pytest.approx(h_score(*classes, shrinkage=None), rel=1e-9)


def test_features_on_two_points_need_no_shrinkage():
    features = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 2.0], [3.0, 2.0]])
    # All rows have the same distance from the mean: n / (n - 1) with nothing shrunk.
    found = h_score(features, np.array([0, 0, 1, 1]))
    shrunk = LedoitWolf().fit(features)
    assert shrunk.shrinkage_ == 0
    assert found == pytest.approx(4 / 3)


@pytest.mark.parametrize("bad", ["oas", 0.1, ["ledoit_wolf"]])
def test_another_shrinkage_is_refused(classes, bad):
    with pytest.raises(ValueError, match="Received: shrinkage=.*Leave it out"):
        h_score(*classes, shrinkage=bad)
