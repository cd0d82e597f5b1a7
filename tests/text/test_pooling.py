import keras
import numpy as np
import pytest

from tftransfer.text.pooling import FoldWindows, PoolTokens

VECTORS = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], "int32")
LENGTHS = [4, 2, 1]


def pooled(kind):
    rows = [row[:length] for row, length in zip(VECTORS, LENGTHS, strict=True)]
    if kind == "cls":
        return np.stack([row[0] for row in rows])
    return np.stack([getattr(row, kind)(0) for row in rows])


@pytest.mark.parametrize("kind", ["mean", "cls", "max"])
def test_padding_does_not_count(kind):
    result = PoolTokens(kind)(VECTORS, MASK)
    np.testing.assert_allclose(result, pooled(kind), rtol=1e-6)


def test_normalized_features_have_length_one():
    result = np.asarray(PoolTokens("mean", normalize=True)(VECTORS, MASK))
    expected = pooled("mean")
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_a_row_without_tokens_is_zero(kind):
    result = PoolTokens(kind, normalize=True)(VECTORS[:1], np.zeros((1, 4), "int32"))
    assert np.asarray(result).tolist() == [[0.0] * 5]


def test_windows_are_pooled_and_those_without_tokens_left_out():
    vectors = np.concatenate([VECTORS, VECTORS[:1]])
    mask = np.concatenate([MASK, np.zeros((1, 4), "int32")]).reshape(2, 2, 4)
    result = PoolTokens("mean")(vectors, mask)
    each = pooled("mean")
    expected = [(each[0] + each[1]) / 2, each[2]]
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_windows_are_folded_into_rows():
    ids = np.arange(24, dtype="int32").reshape(2, 3, 4)
    assert np.array_equal(FoldWindows()(ids), ids.reshape(6, 4))


def test_half_precision_is_pooled_in_float32():
    result = PoolTokens("mean")(keras.ops.cast(VECTORS, "float16"), MASK)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, pooled("mean"), atol=2e-3)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="`pooling` must be .* Received: .*'sum'"):
        PoolTokens("sum")
