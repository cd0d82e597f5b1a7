import pickle

import numpy as np
import pytest

from tftransfer.methods.control import fit_control
from tftransfer.methods.coral_map import coral, coral_map
from tftransfer.methods.problem import Problem

# adapt 0.4.5, CORAL(lambda_=1.0), first two source rows of `waves3`. It takes no means
# out, so that the difference of two rows is what can be compared.
OF_ADAPT = np.array(
    [
        [0.140007668436, 1.527152850825, -0.804253238888],
        [-1.258523957813, 0.118679586829, 1.431342800465],
    ]
)


def test_the_map_is_that_of_adapt(waves3):
    source, target = waves3
    moved = coral_map(source, target)(source[:2])
    np.testing.assert_allclose(moved[0] - moved[1], OF_ADAPT[0] - OF_ADAPT[1], 1e-9)


@pytest.mark.parametrize("width", [3, 40])
def test_the_map_is_the_equation(rng, width):
    linalg = pytest.importorskip("scipy.linalg")
    source = rng.normal(size=(20, width)) * 2 + 1
    target = rng.normal(size=(15, width)) - 3
    of_source = np.cov(source.T) + np.eye(width)
    of_target = np.cov(target.T) + np.eye(width)
    matrix = linalg.inv(linalg.sqrtm(of_source)) @ linalg.sqrtm(of_target)
    wanted = (source - source.mean(axis=0)) @ matrix.real + target.mean(axis=0)
    np.testing.assert_allclose(coral_map(source, target)(source), wanted, atol=1e-8)


def test_without_a_ridge_mean_and_covariance_become_the_targets(rng):
    source = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
    target = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)) + 5
    moved = coral_map(source, target, ridge=1e-12)(source)
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(target.T), rtol=1e-6, atol=1e-8)


def test_equal_domains_stay_where_they_are(rng):
    rows = rng.normal(size=(20, 30))
    np.testing.assert_allclose(coral_map(rows, rows)(rows), rows, atol=1e-9)


def test_bad_input_is_refused(rng):
    rows = rng.normal(size=(5, 2))
    with pytest.raises(ValueError, match=r"Received: source.shape=\(5, 2\), target"):
        coral_map(rows, np.ones((5, 3)))
    with pytest.raises(ValueError, match="Received: ridge=0.0"):
        coral_map(rows, rows, ridge=0.0)


@pytest.mark.parametrize("units", ["source", "target"])
def test_a_turned_domain_is_turned_back(turned, units):
    problem, truth = turned
    control = fit_control(problem)
    candidate = coral(problem, control, units=units, ridge=0.01)
    before = (control.labels == truth).mean()
    after = (candidate.probabilities.argmax(axis=1) == truth).mean()
    assert after > before + 0.05
    assert candidate.name == {"source": "S.coral", "target": "D.coral"}[units]


def test_further_rows_are_labeled_alike_and_the_model_can_be_stored(turned):
    problem, _ = turned
    candidate = coral(problem, fit_control(problem))
    again = pickle.loads(pickle.dumps(candidate)).predict(problem.target[:7])
    np.testing.assert_allclose(again, candidate.probabilities[:7], atol=1e-12)


def test_unknown_units_are_refused(turned):
    with pytest.raises(ValueError, match="Received: units='both'"):
        coral(turned[0], fit_control(turned[0]), units="both")


def test_the_candidate_comes_out_the_same_again(turned):
    problem, _ = turned
    again = Problem(problem.source, problem.labels, problem.target, 2, problem.seed)
    found = [coral(each, fit_control(each)).probabilities for each in (problem, again)]
    assert np.array_equal(*found)
