"""Networks side by side that meet at the features."""

import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft
from tftransfer.freezing.blocks import model_blocks
from tftransfer.freezing.graph import list_calls
from tftransfer.freezing.strands import split_strands, take_turns


def build_strand(inputs, name, count):
    x = inputs
    for number in range(1, count + 1):
        x = layers.Dense(4, activation="tanh", name=f"{name}_block{number}")(x)
    return x


def build(*parts):
    """Model that joins tensors which these functions make of its input."""
    inputs = keras.Input((4,))
    joined = layers.Concatenate(name="features")([part(inputs) for part in parts])
    return keras.Model(inputs, layers.Dense(2, name="logits")(joined))


def names_of(model):
    return [block.name for block in model_blocks(model)]


@pytest.fixture
def two():
    return build(lambda x: build_strand(x, "a", 3), lambda x: build_strand(x, "b", 2))


def test_blocks_of_two_networks_take_turns(two):
    assert names_of(two) == ["a_block1", "a_block2", "b_block1", "a_block3", "b_block2"]


@pytest.mark.parametrize(
    ("depth", "learning"),
    [
        (0, set()),
        (1, {"b_block2"}),
        (2, {"a_block3", "b_block2"}),
        (0.5, {"a_block3", "b_block1", "b_block2"}),
        ("a_block2", {"a_block2", "a_block3", "b_block1", "b_block2"}),
    ],
)
def test_depth_opens_the_ends_of_both(two, depth, learning):
    tft.set_trainable_depth(two, depth)
    found = {x.name for x in two.layers if x.trainable and x.weights}
    assert found == learning | {"logits"}


def test_what_has_no_weights_is_no_network():
    model = build(lambda x: build_strand(x, "a", 2), lambda x: layers.ReLU()(x))
    assert names_of(model) == ["a_block1", "a_block2"]


def test_shared_preparation_leaves_networks_apart():
    inputs = keras.Input((4,))
    x = layers.Rescaling(2.0)(inputs)
    ends = [build_strand(x, "a", 2), build_strand(x, "b", 1)]
    features = layers.Concatenate(name="features")(ends)
    model = keras.Model(inputs, layers.Dense(2)(features))
    assert names_of(model) == ["a_block1", "a_block2", "b_block1"]


def test_nested_models_are_networks():
    nested = []
    for name in ("a", "b"):
        inputs = keras.Input((4,))
        nested.append(keras.Model(inputs, build_strand(inputs, name, 2), name=name))
    expected = ["a_block1", "b_block1", "a_block2", "b_block2"]
    assert names_of(build(*nested)) == expected


def test_branches_that_share_weights_are_one_network():
    """A trunk below, or one layer that both run through."""
    inputs = keras.Input((4,))
    trunk = layers.Dense(4, name="trunk")(inputs)
    ends = [build_strand(trunk, name, 1) for name in ("a", "b")]
    calls, _ = list_calls(keras.Model(inputs, layers.Add()(ends)))
    strands, others = split_strands(calls, set(calls[-1].outputs))
    assert len(strands) == 1 and len(strands[0][0]) == len(calls) and not others
    shared = layers.Dense(4, name="shared")
    model = build(lambda x: shared(layers.ReLU()(x)), lambda x: shared(x))
    assert len(names_of(model)) == 1


def test_frozen_networks_stay_as_they_are(two):
    tft.set_trainable_depth(two, 1)
    two.compile("sgd", "mse")
    before = {x.name: [np.array(w) for w in x.weights] for x in two.layers}
    two.fit(np.ones((8, 4)), np.ones((8, 2)), epochs=2, verbose=0)
    for layer in two.layers:
        same = all(map(np.array_equal, before[layer.name], layer.weights))
        assert same == (not layer.trainable or not layer.weights)


def test_sequences_are_aligned_at_their_ends():
    assert take_turns([[1, 3, 5], [4, 6], []]) == [1, 3, 4, 5, 6]
