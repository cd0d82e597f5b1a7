import numpy as np
import pytest

from tftransfer.methods.spectrum import spectrum_of


@pytest.mark.parametrize("shape", [(30, 5), (6, 20), (5, 5)])
def test_powers_are_those_of_the_covariance(rng, shape):
    rows, others = rng.normal(size=shape) + 3, rng.normal(size=(4, shape[1]))
    spectrum = spectrum_of(rows, ridge=0.3)
    values, vectors = np.linalg.eigh(np.cov(rows.T) + 0.3 * np.eye(shape[1]))
    for exponent in (1.0, 0.5, -0.5, -1.0):
        wanted = others @ (vectors * values**exponent) @ vectors.T
        np.testing.assert_allclose(
            spectrum.power(others, exponent), wanted, rtol=1e-9, atol=1e-9
        )


def test_axes_are_orthonormal_and_sorted(rng):
    for shape in ((30, 5), (6, 20)):
        spectrum = spectrum_of(rng.normal(size=shape))
        rank = min(shape[0] - 1, shape[1])
        assert spectrum.vectors.shape == (shape[1], rank)
        gram = spectrum.vectors.T @ spectrum.vectors
        np.testing.assert_allclose(gram, np.eye(rank), atol=1e-9)
        assert (np.diff(spectrum.values) <= 0).all() and spectrum.values.min() > 0


def test_float32_rows_are_computed_in_float64(rng):
    rows = rng.normal(size=(20, 3)).astype("float32")
    assert spectrum_of(rows).values.dtype == np.float64


def test_equal_rows_have_no_axes_but_a_ridge():
    spectrum = spectrum_of(np.ones((4, 3)), ridge=2.0)
    assert spectrum.values.size == 0
    np.testing.assert_allclose(spectrum.power(np.eye(3), 1.0), 2.0 * np.eye(3))
