import numpy as np
import pytest

from tftransfer.weighting import kliep
from tftransfer.weighting.kernels import gaussian_kernel
from tftransfer.weighting.likelihood import fit_likelihood

# KLIEP of adapt 0.4.5 on the fixture `waves`, kernel width 1, all target rows centers,
# its Frank-Wolfe solver after 200,000 steps.
OF_ADAPT = np.array(
    [0.4525695, 0.0296476, 0.4433676, 0.6779108, 0.7098471, 2.4421444]
    + [0.3367734, 0.7670895, 3.0523997, 0.1696515, 2.0611106, 0.8574883]
)


def test_weights_are_those_of_adapt(waves):
    weights = kliep(*waves, sigma=1.0, tolerance=1e-7, most_steps=100_000)
    np.testing.assert_allclose(weights, OF_ADAPT / OF_ADAPT.mean(), atol=2e-5)


def fit(waves, tolerance):
    source, target = waves
    of_target = gaussian_kernel(target, target, 1.0)
    of_source = gaussian_kernel(source, target, 1.0).mean(axis=0)
    return of_target, of_source, fit_likelihood(of_target, of_source, tolerance, 10**5)


def test_the_ratio_averages_to_one_over_the_source_and_is_not_negative(waves):
    _, of_source, factors = fit(waves, 1e-3)
    assert of_source @ factors == pytest.approx(1.0) and factors.min() >= 0


def test_the_likelihood_is_that_of_a_general_solver(waves):
    optimize = pytest.importorskip("scipy.optimize")
    of_target, of_source, factors = fit(waves, 1e-8)
    wanted = optimize.minimize(
        lambda a: -np.log(of_target @ a).mean(),
        np.full(8, 1 / of_source.sum()),
        method="SLSQP",
        bounds=[(0, None)] * 8,
        constraints={"type": "eq", "fun": lambda a: of_source @ a - 1},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    found = np.log(of_target @ factors).mean()
    assert found == pytest.approx(-wanted.fun, abs=1e-6)


def test_the_tolerance_bounds_the_distance_to_the_maximum(waves):
    of_target, _, best = fit(waves, 1e-8)
    for tolerance in (0.1, 0.01):
        rough = fit(waves, tolerance)[2]
        lost = np.log(of_target @ best).mean() - np.log(of_target @ rough).mean()
        assert 0 <= lost <= tolerance


def test_a_center_that_no_source_row_reaches_gets_no_part():
    of_target, of_source = np.eye(2) + 0.1, np.array([0.5, 0.0])
    assert fit_likelihood(of_target, of_source, 1e-6, 100).tolist() == [2.0, 0.0]


def test_source_rows_that_no_center_reaches_are_all_weighed_alike():
    source, target = np.arange(4.0)[:, None], np.arange(4.0)[:, None] + 1e4
    np.testing.assert_array_equal(kliep(source, target, sigma=1.0), np.ones(4))


def test_the_true_ratio_of_two_gaussians_is_found(gaussians):
    source, target, log_ratio = gaussians
    weights = kliep(source, target)
    assert np.corrcoef(np.log(weights), log_ratio)[0, 1] > 0.95
    assert np.corrcoef(weights, np.exp(log_ratio))[0, 1] > 0.95


@pytest.mark.parametrize(
    ("name", "value"), [("num_centers", 0), ("most_steps", 0), ("folds", 1)]
)
def test_numbers_out_of_range_are_refused(waves, name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        kliep(*waves, **{name: value})
