import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.lora.low_rank import (
    LowRank,
    add_factors,
    matrix_of,
    matrix_shape,
    merge_factors,
)

QUERY = "abc,cde->abde"


def make(layer, shape, rank=2, alpha=6, rng=None):
    layer.build(shape)
    matrix = np.array(matrix_of(layer))
    add_factors(layer, rank, alpha)
    b = np.random.default_rng(1).normal(size=layer.adapter_b.shape).astype("float32")
    layer.adapter_b.assign(b)
    product = np.array(layer.adapter_a) @ b
    return matrix + (alpha / rank * product).reshape(matrix.shape)


def test_a_dense_layer_adds_the_product(rng):
    layer = layers.Dense(5, bias_initializer="ones")
    matrix = make(layer, (None, 4))
    x = rng.random((3, 4), dtype="float32")
    np.testing.assert_allclose(layer(x), x @ matrix + 1, rtol=1e-5)


def test_attention_gets_one_matrix_from_width_to_all_heads(rng):
    layer = layers.EinsumDense(QUERY, output_shape=(None, 2, 3))
    matrix = make(layer, (None, 7, 4))
    assert layer.adapter_a.shape == (4, 2) and layer.adapter_b.shape == (2, 6)
    x = rng.random((2, 7, 4), dtype="float32")
    expected = np.einsum("abc,cde->abde", x, matrix)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_a_convolution_adds_the_product(rng):
    layer = layers.Conv2D(5, (2, 3))
    matrix = make(layer, (None, 4, 4, 3))
    assert layer.adapter_a.shape == (18, 2)
    x = rng.random((2, 4, 4, 3), dtype="float32")
    expected = sum(
        x[:, i : i + 3, j : j + 2] @ matrix[i, j] for i in range(2) for j in range(3)
    )
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_a_convolution_in_groups_adds_the_product(rng):
    layer = layers.Conv2D(4, 1, groups=2)
    matrix = make(layer, (None, 2, 2, 6))
    x = rng.random((2, 2, 2, 6), dtype="float32")
    halves = [x[..., :3] @ matrix[0, 0, :, :2], x[..., 3:] @ matrix[0, 0, :, 2:]]
    expected = np.concatenate(halves, axis=-1)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_an_embedding_adds_rows_of_the_product():
    layer = layers.Embedding(6, 4)
    matrix = make(layer, (None, 3))
    rows = [0, 5, 5]
    np.testing.assert_allclose(layer(np.array([rows]))[0], matrix[rows], rtol=1e-5)


def test_tied_embeddings_use_the_same_sum_both_ways(rng):
    layer = layers.ReversibleEmbedding(6, 4)
    matrix = make(layer, (None, 3))
    x = rng.random((1, 2, 4), dtype="float32")
    np.testing.assert_allclose(layer(x, reverse=True), x @ matrix.T, rtol=1e-4)


def test_nothing_changes_at_first(rng):
    layer = layers.Dense(5)
    x = rng.random((3, 4), dtype="float32")
    before = np.array(layer(x))
    add_factors(layer, 2, 2)
    np.testing.assert_array_equal(layer(x), before)


def test_a_is_drawn_as_keras_draws_it():
    layer = layers.Dense(4)
    make(layer, (None, 600), rank=8)
    limit = np.sqrt(6 / 600)  # He's uniform for 600 rows
    assert 0.95 * limit < np.abs(layer.adapter_a).max() <= limit


def test_the_sum_is_taken_in_float32_and_rounded_once():
    layer = layers.Dense(1, use_bias=False, dtype="mixed_bfloat16")
    layer.build((None, 1))
    layer._kernel.assign([[1 + 2**-8]])  # bfloat16 has nothing between 1 and 1 + 2**-7
    add_factors(layer, 1, 1)
    layer.adapter_a.assign([[1.0]])
    layer.adapter_b.assign([[2.0**-8]])
    assert layer.adapter_a.dtype == "float32"
    result = layer(np.ones((1, 1), "float32"))
    assert result.dtype == "bfloat16" and float(result[0, 0]) == 1 + 2**-7


def test_merging_gives_the_plain_layer_with_the_sum(rng):
    layer = layers.Conv2D(5, 3, name="conv")
    plain = type(layer)
    matrix = make(layer, (None, 4, 4, 3))
    assert isinstance(layer, LowRank) and isinstance(layer, plain)
    assert type(layer).__name__ == "Conv2D"
    merge_factors(layer)
    assert type(layer) is plain
    assert [weight.name for weight in layer.weights] == ["kernel", "bias"]
    assert not hasattr(layer, "adapter_a")
    np.testing.assert_allclose(layer.kernel, matrix, rtol=1e-6)


def test_factors_have_paths_beside_the_matrix():
    inputs = keras.Input((4,))
    layer = layers.Dense(2, name="inner")
    layer(inputs)
    add_factors(layer, 1, 1)
    assert layer.adapter_a.path == "inner/adapter_a"


@pytest.mark.parametrize(
    "layer, shape, expected",
    [
        (layers.Dense(5), (None, 4), (4, 5)),
        (layers.Conv1D(5, 3), (None, 9, 4), (12, 5)),
        (layers.Conv3D(5, 2), (None, 4, 4, 4, 3), (24, 5)),
        (layers.EinsumDense(QUERY, (None, 2, 3)), (None, 7, 4), (4, 6)),
        (layers.EinsumDense("abcd,cde->abe", (None, 5)), (None, 7, 2, 3), (6, 5)),
        (layers.EinsumDense("...x,xy->...y", 5), (None, 7, 4), (4, 5)),
        (layers.EinsumDense("abc,bcd->abd", (7, 3)), (None, 7, 4), None),  # no matrix
        (layers.EinsumDense("abc,dc->abd", (None, 3)), (None, 7, 4), None),
        (layers.Embedding(6, 4), (None, 3), (6, 4)),
        (layers.Dense(5, kernel_constraint="non_neg"), (None, 4), None),
        (layers.Embedding(5, 2, embeddings_constraint="non_neg"), (None, 4), None),
        (layers.DepthwiseConv2D(3), (None, 4, 4, 3), None),
        (layers.BatchNormalization(), (None, 4), None),
    ],
)
def test_the_matrix_of_a_kernel(layer, shape, expected):
    layer.build(shape)
    assert matrix_shape(layer) == expected


def test_layers_not_built_or_quantized_have_no_matrix():
    assert matrix_shape(layers.Dense(5)) is None
    layer = layers.Dense(4)
    layer.build((None, 4))
    layer.quantize("int8")
    assert matrix_shape(layer) is None
