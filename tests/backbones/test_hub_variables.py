"""Variables of a SavedModel: which become weights, and the blocks they form."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.hub_layer import HubLayer
from tftransfer.backbones.hub_variables import group_by_prefix, make_weights


def blocks_of(names, sizes=None):
    return group_by_prefix(names, sizes or [1] * len(names))


def test_what_all_names_share_is_no_block():
    names = ["net/v2/stem/w", "net/v2/block1/a/w", "net/v2/block1/b/w", "net/v2/top/w"]
    assert blocks_of(names) == [
        ("net/v2/stem", [0]),
        ("net/v2/block1", [1, 2]),
        ("net/v2/top", [3]),
    ]


def test_a_block_of_more_than_half_the_parameters_is_split():
    names = ["words/e", "coder/layer_0/a/w", "coder/layer_0/b/w", "coder/layer_1/a/w"]
    assert blocks_of(names, [10, 10, 10, 10]) == [
        ("words", [0]),
        ("coder/layer_0", [1, 2]),
        ("coder/layer_1", [3]),
    ]
    assert [name for name, _ in blocks_of(names, [90, 10, 10, 10])] == [
        "words",
        "coder",
    ]


def test_blocks_stand_where_their_first_variable_stands():
    assert blocks_of(["b/w", "a/w", "b/bias"]) == [("b", [0, 2]), ("a", [1])]


def test_one_layer_is_one_block():
    assert blocks_of(["net/dense/kernel", "net/dense/bias"]) == [("net/dense", [0, 1])]
    assert blocks_of([]) == []


def test_every_position_is_in_exactly_one_block(rng):
    names = ["/".join(["net", *rng.choice(list("abc"), 3)]) for _ in range(40)]
    positions = [p for _, block in blocks_of(names) for p in block]
    assert sorted(positions) == list(range(40))


def test_names_without_prefix_are_refused():
    message = r"must be 0 or 'all'.*Received: variable names \['kernel'\]"
    with pytest.raises(ValueError, match=message):
        blocks_of(["a/kernel", "kernel"])


def test_weights_share_memory_and_have_names_of_their_own():
    variable, entry = tf.Variable([1.0, 2.0]), ("a/kernel", (2,), "float32", True)
    first, second = make_weights([entry, entry], [variable, variable])
    first.assign([3.0, 4.0])
    np.testing.assert_array_equal(variable, [3.0, 4.0])
    assert (first.name, second.name) == ("a_kernel", "a_kernel_1")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "int64", "bool"])
def test_variables_of_every_dtype_are_shared(save_function, dtype):
    variable = tf.Variable(tf.zeros((2,), dtype), trainable=False, name="a/v")
    folder = save_function(
        lambda x: x + tf.cast(variable, "float32"),
        tf.TensorSpec((None, 2)),
        variables=[variable],
    )
    layer = HubLayer(folder)
    (weight,) = layer.weights
    assert weight.dtype == dtype
    weight.assign(np.ones(2))
    np.testing.assert_array_equal(layer(np.zeros((1, 2), "float32")), [[1.0, 1.0]])


def test_text_variables_and_tables_stay_in_the_module(save_function, text_module):
    text = tf.Variable(["x"], name="a/text", trainable=False)
    scale = tf.Variable([2.0], name="a/scale")
    folder = save_function(
        lambda x: x * scale, tf.TensorSpec((None, 1)), variables=[text, scale]
    )
    assert [w.name for w in HubLayer(folder).weights] == ["a_scale"]
    assert [w.name for w in HubLayer(text_module).weights] == ["words_embeddings"]


def test_the_modules_own_list_says_what_is_trainable(save_function):
    scale, offset = (tf.Variable([1.0], name=f"a/{n}") for n in ("scale", "offset"))
    folder = save_function(
        lambda x: x * scale + offset,
        tf.TensorSpec((None, 1)),
        trainable_variables=[offset],
        variables=[scale, offset],
    )
    layer = HubLayer(folder, trainable=True)
    assert [weight.name for weight in layer.trainable_weights] == ["a_offset"]
    assert len(layer.weights) == 2
