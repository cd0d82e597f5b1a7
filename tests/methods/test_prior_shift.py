import numpy as np
import pytest

from tftransfer.methods.control import fit_control
from tftransfer.methods.prior_shift import estimate_priors, prior_shift, rescale
from tftransfer.methods.problem import Problem


def gaussian_posteriors(rng, count, shares):
    """Exact posteriors of equal classes N(-1.5, 1), N(1.5, 1), rows drawn by shares."""
    classes = rng.choice(2, count, p=shares)
    rows = rng.normal(size=count) + 3.0 * classes - 1.5
    first = 1 / (1 + np.exp(3 * rows))
    return np.stack([first, 1 - first], axis=1), classes


def test_true_shares_are_found(rng):
    probabilities, classes = gaussian_posteriors(rng, 4000, [0.9, 0.1])
    found = estimate_priors(probabilities, np.array([0.5, 0.5]))
    assert found[1] == pytest.approx(classes.mean(), abs=0.015)


def test_shares_maximize_the_likelihood(rng):
    optimize = pytest.importorskip("scipy.optimize")
    probabilities, _ = gaussian_posteriors(rng, 300, [0.7, 0.3])
    priors = np.array([0.4, 0.6])
    found = estimate_priors(probabilities, priors, tolerance=1e-12)

    def loss(share):
        return -np.log(probabilities @ (np.array([share, 1 - share]) / priors)).sum()

    wanted = optimize.minimize_scalar(loss, bounds=(0, 1), options={"xatol": 1e-10})
    assert found[0] == pytest.approx(wanted.x, abs=1e-5)


def test_one_step_is_the_equation_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4]])
    found = estimate_priors(probabilities, np.array([0.5, 0.5]), most_steps=2)
    # step 1: means .7 and .3; step 2: .8 * 1.4 / (.8 * 1.4 + .2 * .6), then the mean
    wanted = (1.12 / 1.24 + 0.84 / 1.08) / 2
    np.testing.assert_allclose(found, [wanted, 1 - wanted])


def test_a_class_that_is_not_there_gets_no_share(rng):
    probabilities, _ = gaussian_posteriors(rng, 2000, [1.0, 0.0])
    assert estimate_priors(probabilities, np.array([0.5, 0.5]))[1] < 0.01


def test_rows_that_would_become_zero_stay_as_they_are():
    rows = np.array([[0.0, 1.0], [0.5, 0.5]])
    found = rescale(rows, np.array([2.0, 0.0]))
    np.testing.assert_array_equal(found, [[0.0, 1.0], [1.0, 0.0]])


def test_rows_that_are_no_probabilities_are_refused():
    for bad in (np.ones((3, 2)), np.array([0.5, 0.5]), np.ones((3, 1))):
        with pytest.raises(ValueError, match="Received: probabilities of shape"):
            estimate_priors(bad, np.array([0.5, 0.5]))


def test_priors_that_do_not_fit_are_refused():
    rows = np.full((3, 2), 0.5)
    for bad in ([1.0, 0.0], [0.2, 0.3, 0.5]):
        with pytest.raises(ValueError, match="Received: source_priors="):
            estimate_priors(rows, np.array(bad))


def test_the_candidate_gains_where_only_shares_differ(rng):
    def draw(count, share):
        labels = (rng.random(count) < share).astype(int)
        return rng.normal(size=(count, 2)) + 1.6 * labels[:, None], labels

    (source, labels), (target, truth) = draw(1500, 0.5), draw(1500, 0.05)
    problem = Problem(source, labels, target, 2)
    control = fit_control(problem)
    candidate = prior_shift(problem, control)
    gain = (candidate.probabilities.argmax(axis=1) == truth).mean() - (
        control.labels == truth
    ).mean()
    assert gain > 0.04 and candidate.name == "prior_shift"
    again = candidate.predict(problem.target[:7])
    np.testing.assert_allclose(again, candidate.probabilities[:7], atol=1e-12)
