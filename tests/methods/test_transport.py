import numpy as np
import pytest

from tftransfer.methods.control import fit_control
from tftransfer.methods.coral_map import coral_map
from tftransfer.methods.transport import linear_transport, transport_map

# POT 0.9.7, ot.gaussian.bures_wasserstein_mapping of the means and of the covariances
# (divided by n - 1) plus .1 I, applied to the first two source rows of `waves3`.
OF_POT = np.array(
    [
        [0.419776593385, 1.443977333542, -0.090228551884],
        [-0.249916728039, 0.576741541762, 1.832030837784],
    ]
)


def test_the_map_is_that_of_pot(waves3):
    source, target = waves3
    moved = transport_map(source, target, ridge=0.1)(source[:2])
    np.testing.assert_allclose(moved, OF_POT, rtol=1e-9)


@pytest.mark.parametrize("width", [3, 60])
def test_the_map_is_the_equation(rng, width):
    linalg = pytest.importorskip("scipy.linalg")
    source = rng.normal(size=(20, width)) * 2 + 1
    target = rng.normal(size=(15, width)) - 3
    of_source = np.cov(source.T) + 0.5 * np.eye(width)
    of_target = np.cov(target.T) + 0.5 * np.eye(width)
    root = linalg.sqrtm(of_source).real
    inverse = linalg.inv(root)
    matrix = inverse @ linalg.sqrtm(root @ of_target @ root).real @ inverse
    moving = transport_map(source, target, ridge=0.5)
    wanted = (source - source.mean(axis=0)) @ matrix + target.mean(axis=0)
    np.testing.assert_allclose(moving(source), wanted, atol=1e-7)
    assert (moving.basis is None) == (width == 3)


def test_it_moves_rows_less_than_coral_and_reaches_the_same_covariance(rng):
    source = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
    target = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)) + 5
    moved = transport_map(source, target, ridge=1e-12)(source)
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(target.T), rtol=1e-5, atol=1e-6)
    further = coral_map(source, target, ridge=1e-12)(source)
    assert np.sum((moved - source) ** 2) < np.sum((further - source) ** 2)


def test_equal_domains_stay_where_they_are(rng):
    rows = rng.normal(size=(10, 40))
    np.testing.assert_allclose(transport_map(rows, rows)(rows), rows, atol=1e-9)


def test_bad_input_is_refused(rng):
    rows = rng.normal(size=(5, 2))
    with pytest.raises(ValueError, match=r"Received: source.shape=\(5, 2\), target"):
        transport_map(rows, np.ones((5, 3)))
    with pytest.raises(ValueError, match="Received: ridge=-1.0"):
        transport_map(rows, rows, ridge=-1.0)


@pytest.mark.parametrize("units", ["source", "target"])
def test_a_turned_domain_is_turned_back(turned, units):
    problem, truth = turned
    control = fit_control(problem)
    candidate = linear_transport(problem, control, units=units)
    before = (control.labels == truth).mean()
    assert (candidate.probabilities.argmax(axis=1) == truth).mean() > before + 0.05
    assert candidate.name == {"source": "S", "target": "D"}[units] + ".linear_ot"
    again = candidate.predict(problem.target[:7])
    np.testing.assert_allclose(again, candidate.probabilities[:7], atol=1e-12)
