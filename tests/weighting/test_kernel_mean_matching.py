import numpy as np
import pytest

from tftransfer.weighting import effective_sample_size, kmm
from tftransfer.weighting.kernel_mean_matching import match_means, project
from tftransfer.weighting.kernels import gaussian_kernel

# KMM of adapt 0.4.5 (cvxopt) and of skada 0.6.0 on the fixture `waves`: kernel width
# 1, bound 5, epsilon .3; they agree to 1e-6. Their sum is 11.2209, not 12.
OF_PEERS = np.array(
    [0, 0, 0, 0, 1.1598701, 0.9576382, 0, 0.8672554, 5, 0, 0.2897926, 2.9463560]
)


def problem(waves):
    source, target = waves
    kernel = gaussian_kernel(source, source, 1.0)
    kappa = len(source) * gaussian_kernel(source, target, 1.0).mean(axis=1)
    return kernel, kappa


def objective(weights, kernel, kappa):
    return weights @ kernel @ weights / 2 - kappa @ weights


def test_weights_are_those_of_adapt_and_skada(waves):
    weights = kmm(
        *waves, sigma=1.0, bound=5.0, epsilon=0.3, tolerance=1e-9, most_steps=100_000
    )
    np.testing.assert_allclose(weights, OF_PEERS / OF_PEERS.mean(), atol=1e-5)


def test_the_objective_is_that_of_a_general_solver(waves):
    optimize = pytest.importorskip("scipy.optimize")
    kernel, kappa = problem(waves)
    found = match_means(kernel, kappa, (5.0, 8.4, 15.6), 1e-8, 100_000)
    wanted = optimize.minimize(
        objective,
        np.ones(12),
        args=(kernel, kappa),
        jac=lambda w, kernel, kappa: kernel @ w - kappa,
        method="SLSQP",
        bounds=[(0, 5)] * 12,
        constraints={"type": "ineq", "fun": lambda w: 3.6 - abs(w.sum() - 12)},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    assert objective(found, kernel, kappa) == pytest.approx(wanted.fun, rel=1e-7)


def test_the_solution_meets_the_optimality_conditions(waves):
    kernel, kappa = problem(waves)
    weights = match_means(kernel, kappa, (5.0, 8.4, 15.6), 1e-10, 100_000)
    slope = kernel @ weights - kappa  # the plane is slack: no multiplier there
    assert 8.4 < weights.sum() < 15.6
    inside = (weights > 1e-6) & (weights < 5 - 1e-6)
    assert np.abs(slope[inside]).max() < 1e-4
    assert slope[weights <= 1e-6].min() > -1e-4 and slope[weights >= 5 - 1e-6] < 1e-4


def test_the_gap_it_stops_at_bounds_the_distance_to_the_minimum(gaussians):
    source, target, _ = gaussians
    kernel = gaussian_kernel(source, source, 1.0)
    kappa = 500 * gaussian_kernel(source, target, 1.0).mean(axis=1)
    limits = (1000.0, 22.0, 978.0)
    best = objective(match_means(kernel, kappa, limits, 1e-6, 20_000), kernel, kappa)
    rough = objective(match_means(kernel, kappa, limits, 1e-3, 2000), kernel, kappa)
    assert best <= rough <= best + 1e-3 * abs(best)


def test_the_true_ratio_of_two_gaussians_is_found(gaussians):
    source, target, log_ratio = gaussians
    weights = kmm(source, target)
    assert np.corrcoef(weights, np.exp(log_ratio))[0, 1] > 0.9
    moved = np.average(source, weights=weights, axis=0)
    np.testing.assert_allclose(moved, target.mean(axis=0), atol=0.05)
    assert effective_sample_size(weights) < 400


def test_parts_match_the_target_too(gaussians):
    source, target, log_ratio = gaussians
    parts = kmm(source, target, part_rows=170)
    moved = np.average(source, weights=parts, axis=0)
    np.testing.assert_allclose(moved, target.mean(axis=0), atol=0.05)
    assert np.corrcoef(parts, np.exp(log_ratio))[0, 1] > 0.7
    assert not np.array_equal(parts, kmm(source, target, part_rows=170, seed=1))


def test_a_mean_held_at_one_stays_there_and_no_weight_exceeds_the_bound(waves):
    weights = kmm(*waves, sigma=1.0, bound=3.0, epsilon=0.0)
    assert weights.max() <= 3.0 + 1e-9 and weights.mean() == pytest.approx(1.0)


def test_the_projection_is_the_nearest_allowed_point(rng):
    optimize = pytest.importorskip("scipy.optimize")
    for limits in [(2.0, 3.0, 4.0), (2.0, 9.0, 9.0), (2.0, 0.0, 1.0)]:
        values = rng.normal(size=6) * 2
        found = project(values, limits)
        assert found.min() >= 0 and found.max() <= 2
        assert limits[1] - 1e-9 <= found.sum() <= limits[2] + 1e-9
        wanted = optimize.minimize(
            lambda w, values=values: np.sum((w - values) ** 2),
            np.ones(6),
            method="SLSQP",
            bounds=[(0, 2)] * 6,
            options={"ftol": 1e-13},
            constraints=[
                {"type": "ineq", "fun": lambda w, least=limits[1]: w.sum() - least},
                {"type": "ineq", "fun": lambda w, most=limits[2]: most - w.sum()},
            ],
        )
        np.testing.assert_allclose(found, wanted.x, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("bound", 0.5), ("epsilon", -0.1), ("most_steps", 0), ("part_rows", 1)],
)
def test_numbers_out_of_range_are_refused(waves, name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        kmm(*waves, **{name: value})
