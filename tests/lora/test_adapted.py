import keras
import numpy as np
from keras import layers

from tftransfer.lora.adapted import Adapted, adapt, held_variables, paths_inside, strip
from tftransfer.lora.low_rank import LowRank


def build_attention():
    layer = layers.MultiHeadAttention(2, 3, name="attention")
    layer.build((None, 5, 4), (None, 5, 4))
    return layer


def test_paths_name_what_is_inside_once():
    attention = build_attention()
    paths = paths_inside(attention)
    assert paths[""] is attention and paths["query"] is attention._query_dense
    assert len(paths) == len({id(layer) for layer in paths.values()})


def test_equal_names_inside_get_paths_of_their_own():
    class Twins(layers.Layer):
        def __init__(self):
            super().__init__()
            self.twins = [layers.Dense(2, name="twin"), layers.Dense(2, name="twin")]

    layer = Twins()
    found = paths_inside(layer)
    assert [found["twin"], found["twin'"]] == list(layer.twins)


def test_only_adapters_learn_in_an_adapted_layer():
    attention = build_attention()
    adapt(attention, {"query": (2, 2), "value": (2, 2)})
    names = [variable.path for variable in attention.trainable_variables]
    assert len(names) == 4 and all("adapter" in name for name in names)
    assert isinstance(attention, Adapted)
    assert isinstance(attention._query_dense, LowRank)
    assert not isinstance(attention._key_dense, LowRank)


def test_what_is_held_does_not_answer_to_trainable():
    attention = build_attention()
    adapt(attention, {"query": (2, 2)})
    for value in (False, True):
        attention.trainable = value
        assert len(attention.trainable_variables) == 2 * value
    assert len(held_variables(attention._query_dense)) == 2


def test_stripping_gives_back_class_variables_and_their_order():
    attention = build_attention()
    kinds = [type(layer) for layer in attention._flatten_layers()]
    weights = [id(weight) for weight in attention.weights]
    adapt(attention, {"query": (2, 2)})
    strip(attention)
    assert [type(layer) for layer in attention._flatten_layers()] == kinds
    assert [id(weight) for weight in attention.weights] == weights
    assert not attention.trainable_variables  # frozen, until it is opened
    attention.trainable = True
    assert [id(x) for x in attention.trainable_variables] == weights
    assert not hasattr(attention, "adapters")


def test_a_layer_comes_back_from_its_configuration_with_adapters():
    attention = build_attention()
    adapt(attention, {"query": (2, 8)})
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(attention)
    )
    assert copy.adapters == {"query": (2, 8)}
    assert copy._query_dense.adapter_alpha == 8
    shapes = [weight.shape for weight in attention.weights]
    assert [weight.shape for weight in copy.weights] == shapes
    assert len(copy.trainable_variables) == 2


def test_a_frozen_layer_comes_back_frozen():
    attention = build_attention()
    adapt(attention, {"query": (2, 8)})
    attention.trainable = False
    config = keras.saving.serialize_keras_object(attention)
    copy = keras.saving.deserialize_keras_object(config)
    assert not copy.trainable_variables
    copy.trainable = True
    assert len(copy.trainable_variables) == 2


def test_inner_layers_are_told_plainly():
    # The wrapper's own configuration holds that of the layer inside.
    wrapper = layers.TimeDistributed(layers.Dense(3, name="inner"))
    wrapper.build((None, 5, 4))
    adapt(wrapper, {"inner": (1, 1)})
    config = wrapper.get_config()
    assert config["layer"]["config"]["layer"]["module"] == "keras.layers"
    assert isinstance(wrapper.layer, LowRank)
    copy = type(wrapper).from_config(config)
    assert isinstance(copy.layer, LowRank)


def test_batch_normalization_inside_keeps_its_statistics(rng):
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense")])
    inner.add(layers.BatchNormalization(name="norm"))
    adapt(inner, {"dense": (1, 1)})
    norm = inner.get_layer("norm")
    before = np.array(norm.moving_mean)
    inner(rng.random((8, 4), dtype="float32"), training=True)
    np.testing.assert_array_equal(norm.moving_mean, before)
