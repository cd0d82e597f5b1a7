import itertools
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import tftransfer as tft
from tftransfer.features.keys import prefix_key
from tftransfer.freezing.graph import read_graph


def key_of(model):
    graph = read_graph(model)
    return prefix_key(graph.calls, graph.outputs[0], graph.inputs)


def key_of_function(function, shape=(4, 4, 2), dtype="float32"):
    x = keras.Input(shape, dtype=dtype)
    return key_of(keras.Model(x, function(x)))


def build_small(**names):
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name=names.get("rescaling"))(x)
    x = layers.Conv2D(4, 3, activation="relu", name=names.get("conv"))(x)
    x = layers.BatchNormalization(name=names.get("norm"))(x)
    x = layers.GlobalAveragePooling2D()(x * 2.0)
    return keras.Model(inputs, layers.Dense(2, name=names.get("dense"))(x))


def test_a_model_built_again_has_the_same_key():
    key = key_of(build_small())
    assert len(key) == 64
    assert key == key_of(build_small())
    clone = keras.models.clone_model(build_small())
    assert key_of(clone) != key  # its weights are fresh
    clone.set_weights(build_small().get_weights())
    assert key_of(clone) == key


def test_names_do_not_matter():
    renamed = build_small(rescaling="a", conv="b", norm="c", dense="d")
    assert key_of(renamed) == key_of(build_small())


def test_freezing_and_regularizing_do_not_matter():
    model = build_small()
    key = key_of(model)
    model.trainable = False
    model.layers[2].kernel_regularizer = keras.regularizers.L2(0.1)
    assert key_of(model) == key


def test_one_changed_number_in_any_weight_changes_the_key():
    model = build_small()
    found = {key_of(model)}
    for weight in model.weights:
        value = np.array(weight)
        value.flat[0] = np.nextafter(value.flat[0], 9, dtype="float32")
        weight.assign(value)
        found.add(key_of(model))
    assert len(found) == 1 + len(model.weights) == 9


def test_only_what_leads_to_the_tensor_counts():
    model = build_small()
    graph = read_graph(model)
    below = graph.calls[-2].outputs[0]
    key = prefix_key(graph.calls, below)
    assert key == prefix_key(graph.calls[:-1], below)
    model.layers[-1].kernel.assign(ops.ones_like(model.layers[-1].kernel))
    assert key == prefix_key(graph.calls, below)


def test_saving_and_loading_keeps_the_key(tmp_path):
    model = build_small()
    model.save(tmp_path / "model.keras")
    assert key_of(keras.models.load_model(tmp_path / "model.keras")) == key_of(model)


@pytest.mark.slow
def test_another_process_finds_the_same_key():
    code = """
    import keras
    import keras_hub  # which nothing below is made of
    from keras import layers
    from tftransfer.features.keys import prefix_key
    from tftransfer.freezing.graph import read_graph
    layers.Dense(3), keras.Input((1,))  # other automatic names
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.GlobalAveragePooling2D()(x * 2.0)
    graph = read_graph(keras.Model(inputs, layers.Dense(2)(x)))
    print(prefix_key(graph.calls, graph.outputs[0]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == key_of(build_small())


DIFFERENT = {
    "flip 1": lambda x: ops.flip(x, axis=1),
    "flip 2": lambda x: ops.flip(x, axis=2),
    "times 2": lambda x: x * 2.0,
    "times 3": lambda x: x * 3.0,
    "times itself": lambda x: x * x,
    "divided by 2": lambda x: x / 2.0,
    "2 divided by it": lambda x: 2.0 / x,
    "times ones": lambda x: x * np.ones((4, 4, 2), "float32"),
    "times zeros": lambda x: x * np.zeros((4, 4, 2), "float32"),
    "times a tensor": lambda x: x * ops.full((4, 4, 2), 2.0),
    "first rows": lambda x: x[:, :2],
    "last rows": lambda x: x[:, 2:],
    "first columns": lambda x: x[..., :2, :],
    "minus its double": lambda x: x - x * 2.0,
    "its double minus it": lambda x: x * 2.0 - x,
    "concatenated along 1": lambda x: ops.concatenate([x, x + 1.0], axis=1),
    "concatenated along 2": lambda x: ops.concatenate([x, x + 1.0], axis=2),
    "the other way round": lambda x: ops.concatenate([x + 1.0, x], axis=2),
    "to half": lambda x: ops.cast(x, "float16"),
    "to whole numbers": lambda x: ops.cast(x, "int32"),
    "first of a split": lambda x: ops.split(x, 2, axis=1)[0],
    "second of a split": lambda x: ops.split(x, 2, axis=1)[1],
    "rescaled": layers.Rescaling(2.0),
    "rescaled otherwise": layers.Rescaling(2.0, offset=1.0),
    "resized": layers.Resizing(2, 2),
    "resized larger": layers.Resizing(8, 8),
    "resized bicubic": layers.Resizing(2, 2, interpolation="bicubic"),
    "relu": layers.Activation("relu"),
    "gelu": layers.Activation("gelu"),
    "relu layer": layers.ReLU(max_value=6.0),
    "normalized": layers.Normalization(mean=0.0, variance=2.0),
    "normalized otherwise": layers.Normalization(mean=1.0, variance=2.0),
    "called for inference": lambda x: layers.Dropout(0.5, seed=1)(x, training=False),
    "called for training": lambda x: layers.Dropout(0.5, seed=1)(x, training=True),
    "float32": layers.GlobalAveragePooling2D(dtype="float32"),
    "mixed": layers.GlobalAveragePooling2D(dtype="mixed_bfloat16"),
    "float16": layers.GlobalAveragePooling2D(dtype="float16"),
    "shared twice": lambda x: (lambda layer: layer(layer(x)))(layers.Rescaling(2.0)),
    "wrapped": layers.TimeDistributed(layers.Rescaling(2.0)),
    "wrapped otherwise": layers.TimeDistributed(layers.Rescaling(3.0)),
}


def test_what_computes_something_else_has_another_key():
    found = {name: key_of_function(build) for name, build in DIFFERENT.items()}
    assert None not in found.values()
    for one, other in itertools.combinations(found, 2):
        assert found[one] != found[other], (one, other)


def test_what_the_model_takes_counts():
    double = layers.Rescaling(2.0)
    found = {
        key_of_function(double),
        key_of_function(double, shape=(4, 5, 2)),
        key_of_function(double, dtype="uint8"),
        key_of_function(double, dtype="float16"),
    }
    assert len(found) == 4 and None not in found


def test_the_order_of_inputs_counts():
    first, second = keras.Input((2,)), keras.Input((2,))
    minus = keras.Model([first, second], first - second)
    other = keras.Model([second, first], first - second)
    assert key_of(minus) != key_of(other)
    graph = read_graph(minus)
    assert prefix_key(graph.calls, graph.outputs[0]) is None  # which is which?


def test_two_layers_with_equal_weights_are_one_layer_called_twice():
    ones = {"kernel_initializer": "ones", "bias_initializer": "zeros"}
    shared = layers.Dense(4, **ones)
    one = key_of_function(lambda x: shared(shared(x)), (4,))
    two = key_of_function(
        lambda x: layers.Dense(4, **ones)(layers.Dense(4, **ones)(x)), (4,)
    )
    assert one == two


def test_a_nested_model_is_what_is_in_it():
    inner = build_small()
    assert key_of(keras.Sequential([keras.Input((8, 8, 3)), inner])) == key_of(inner)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16"])
def test_weights_of_every_dtype_can_be_hashed(dtype):
    assert key_of_function(layers.Dense(2, dtype=dtype)) is not None


def test_a_backbone_has_a_key():
    model = keras.applications.MobileNetV2((32, 32, 3), weights=None, alpha=0.35)
    assert key_of(model) is not None


def test_vocabularies_count_where_the_configuration_does_not_tell_them():
    found = set()
    for words in (["a", "b"], ["b", "a"], ["a", "c"]):
        layer = layers.TextVectorization(output_sequence_length=3)
        layer.adapt(words[:1] * 2 + words)
        found.add(key_of_function(layer, (), "string"))
    assert len(found) == 3 and None not in found


def test_statistics_that_were_adapted_count():
    found = set()
    for scale in (1.0, 2.0):
        layer = layers.Normalization()
        layer.adapt(scale * np.arange(8.0).reshape(4, 2))
        found.add(key_of_function(layer, (2,)))
    assert len(found) == 2 and None not in found


class Doubling(layers.Layer):
    def call(self, inputs):
        return 2 * inputs

    def compute_output_shape(self, input_shape):
        return input_shape


class Fingerprinted(Doubling):
    fingerprint = "what I do"


def double(x):
    return 2 * x


@keras.saving.register_keras_serializable(package="tests")
def relu(x):  # has the name of Keras' own
    return x


class Opaque(layers.Rescaling):
    def get_config(self):
        raise NotImplementedError


def call_patched():
    layer = layers.Rescaling(2.0)
    layer.call = double
    return layer


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize(
    "build",
    [
        Doubling,
        lambda: Opaque(2.0),
        lambda: layers.Lambda(double),
        lambda: layers.Lambda(ops.sin),  # its configuration tells no module
        lambda: layers.Lambda(lambda x: x + 1),
        lambda: layers.Activation(double),
        lambda: layers.Activation(relu),
        lambda: layers.Dense(2, activation=relu),
        lambda: layers.TimeDistributed(Doubling()),
        lambda: keras.Sequential([layers.Rescaling(1.0), Doubling()]),
        lambda: lambda x: ops.vectorized_map(double, x),
        call_patched,
    ],
)
def test_code_that_cannot_be_identified_gives_no_key(build):
    assert key_of_function(build()) is None


def test_code_above_the_tensor_does_no_harm():
    x = inputs = keras.Input((2,))
    x = layers.Rescaling(2.0)(x)
    graph = read_graph(keras.Model(inputs, Doubling()(x)))
    assert prefix_key(graph.calls, graph.calls[0].outputs[0]) is not None


def test_a_fingerprint_stands_for_code(monkeypatch):
    key = key_of_function(Fingerprinted())
    assert key == key_of_function(Fingerprinted()) is not None
    monkeypatch.setattr(Fingerprinted, "fingerprint", "what I do now")
    assert key_of_function(Fingerprinted()) not in (key, None)


def save_module(folder, factor, shift):
    module = tf.Module()
    module.factor = tf.Variable([factor, 1.0])
    module.multiply = tf.function(
        lambda x: x * module.factor + shift, [tf.TensorSpec((None, 2))]
    )
    tf.saved_model.save(module, str(folder), signatures=module.multiply)
    return str(folder)


def test_a_hub_layer_is_told_by_its_saved_model(tmp_path):
    settings = {"first": (2.0, 0.0), "values": (3.0, 0.0), "program": (2.0, 1.0)}
    hubs = [tft.HubLayer(save_module(tmp_path / k, *v)) for k, v in settings.items()]
    assert len({layer.fingerprint for layer in hubs}) == 3
    found = {key_of_function(layer, (2,)) for layer in hubs}
    assert len(found) == 3 and None not in found


def test_a_hub_layer_is_told_by_its_saved_model_alone(tmp_path):
    found = set()
    for factor in (2.0, 3.0):
        layer = tft.HubLayer(save_module(tmp_path / "module", factor, 0.0))
        layer.weights[0].assign([5.0, 5.0])
        found.add(key_of_function(layer, (2,)))
    assert len(found) == 2


def test_a_changed_weight_of_a_hub_layer_counts(tmp_path):
    layer = tft.HubLayer(save_module(tmp_path / "module", 2.0, 0.0))
    key = key_of_function(layer, (2,))
    assert key == key_of_function(layer, (2,))
    layer.weights[0].assign([2.5, 1.0])
    assert key_of_function(layer, (2,)) not in (key, None)
