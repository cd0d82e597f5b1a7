import numpy as np
import pytest

from tftransfer.weighting import ulsif
from tftransfer.weighting.kernels import gaussian_kernel
from tftransfer.weighting.least_squares import fit_ratio

# ULSIF of adapt 0.4.5 on the fixture `waves`, kernel width 1, lambda .1, all target
# rows centers.
OF_ADAPT = np.array(
    [0.996487084, 0.009908225, 1.0780500965, 0.3245052928, 1.3754787894, 1.2780023146]
    + [0.8332945231, 0.8713198303, 2.5818559832, 0.1822737697, 0.9045215331]
    + [1.5643025584]
)


def test_weights_are_those_of_adapt(waves):
    np.testing.assert_allclose(ulsif(*waves, sigma=1.0, penalty=0.1), OF_ADAPT, 1e-8)


def test_the_factors_minimize_the_squared_distance_to_the_ratio(waves):
    source, target = waves
    of_source = gaussian_kernel(source, target, 0.5)
    of_target = gaussian_kernel(target, target, 0.5)
    theta = fit_ratio(of_source, of_target, 0.3)
    assert theta.min() > 0  # nothing was cut off: the slope must vanish
    slope = of_source.T @ (of_source @ theta) / 12 - of_target.mean(axis=0)
    np.testing.assert_allclose(slope + 0.3 * theta, 0.0, atol=1e-12)


def test_without_a_penalty_equal_centers_are_no_trouble(waves):
    source, target = waves
    weights = ulsif(source, np.repeat(target, 2, axis=0), sigma=1.0, penalty=0.0)
    assert np.isfinite(weights).all()


def test_the_true_ratio_of_two_gaussians_is_found(gaussians):
    source, target, log_ratio = gaussians
    weights = ulsif(source, target)
    assert np.corrcoef(weights, np.exp(log_ratio))[0, 1] > 0.95
    seen = weights > 0.05
    assert np.corrcoef(np.log(weights[seen]), log_ratio[seen])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("name", "value"), [("num_centers", 0), ("folds", 1), ("penalty", -1.0)]
)
def test_numbers_out_of_range_are_refused(waves, name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        ulsif(*waves, **{name: value})
