import numpy as np
import pytest

from tftransfer.weighting import kliep, kmm, logistic_ratio, ulsif
from tftransfer.weighting.rows import mean_one, read_labels, read_weights

ROWS = np.arange(12.0).reshape(6, 2)
each_method = pytest.mark.parametrize("weigh", [kmm, kliep, ulsif, logistic_ratio])
each_kernel = pytest.mark.parametrize("weigh", [kmm, kliep, ulsif])


@each_method
def test_different_widths_are_refused(weigh):
    with pytest.raises(ValueError, match=r"Received: source.shape=\(6, 2\), target"):
        weigh(ROWS, np.ones((4, 3)))


@each_method
def test_nan_is_refused_with_its_row(weigh):
    bad = ROWS.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="Received: target with NaN .* first in row 3"):
        weigh(ROWS, bad)


@each_method
@pytest.mark.parametrize("bad", [ROWS[:1], ROWS[0], ROWS.astype(str)])
def test_what_are_no_two_rows_of_numbers_is_refused(weigh, bad):
    with pytest.raises(ValueError, match="`source` must be .* Received: source of sha"):
        weigh(bad, ROWS)


@each_kernel
@pytest.mark.parametrize("sigma", [0.0, -1.0, float("inf")])
def test_a_kernel_must_have_a_width(weigh, sigma):
    with pytest.raises(ValueError, match=f"Received: sigma={sigma}. Leave it out"):
        weigh(ROWS, ROWS, sigma=sigma)


@each_kernel
def test_a_width_in_words_is_refused(weigh):
    with pytest.raises(TypeError, match="Received: sigma='median' of type str"):
        weigh(ROWS, ROWS, sigma="median")


@each_method
def test_weights_have_mean_one_and_come_out_the_same_again(weigh, gaussians):
    source, target, _ = gaussians
    weights = weigh(source, target)
    assert weights.shape == (500,) and weights.min() >= 0
    assert weights.mean() == pytest.approx(1.0)
    assert np.array_equal(weights, weigh(source, target))


@each_method
def test_domains_that_are_equal_get_nearly_equal_weights(weigh, rng):
    weights = weigh(rng.normal(size=(300, 2)), rng.normal(size=(300, 2)))
    assert weights.sum() ** 2 / (weights**2).sum() > 180


@each_method
def test_rows_that_are_all_equal_get_equal_weights(weigh):
    weights = weigh(np.ones((5, 2)), np.ones((4, 2)))
    np.testing.assert_allclose(weights, 1.0)


@each_method
def test_float32_and_whole_numbers_are_taken(weigh):
    assert weigh(ROWS.astype("float32"), ROWS.astype(int)).dtype == np.float64


@pytest.mark.parametrize(
    ("weigh", "name"),
    [
        (kmm, "tolerance"),
        (kliep, "tolerance"),
        (logistic_ratio, "penalty"),
    ],
)
def test_numbers_that_must_be_above_zero(weigh, name):
    with pytest.raises(ValueError, match=f"Received: {name}=0"):
        weigh(ROWS, ROWS, **{name: 0})


def test_weights_that_are_none_are_refused():
    for bad in ([], [0.0, 0.0], [-1.0, 1.0], [np.nan], [[1.0]]):
        with pytest.raises(ValueError, match="Received: weights of shape"):
            read_weights(bad)


def test_labels_that_are_none_are_refused():
    for bad in ([0, 1], [0.0, 1.0, 2.0], [0, -1, 1]):
        with pytest.raises(ValueError, match="Received: labels of shape"):
            read_labels("labels", bad, 3)


def test_weights_that_are_all_zero_become_ones():
    np.testing.assert_array_equal(mean_one(np.zeros(3)), np.ones(3))
