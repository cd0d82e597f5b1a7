import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.pruning.channels import trace_channels


def tied(model, name):
    channels = trace_channels(model)
    units = channels.units_of(channels.named(name, "units"))
    return [layer.name for layer in channels.layers_with(units)]


def held(model, name):
    channels = trace_channels(model)
    return channels.reason_to_stay(channels.units_of(channels.named(name, "units")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stem_conv", ["stem_conv", "block1_project"]),
        ("block1_project", ["stem_conv", "block1_project"]),
        ("block1_expand", ["block1_expand", "block1_se_expand"]),
        ("block1_se_reduce", ["block1_se_reduce"]),
        ("head_dense_1", ["head_dense_1"]),
    ],
)
def test_added_and_multiplied_channels_are_tied(residual, name, expected):
    assert tied(residual, name) == expected
    assert held(residual, name) is None


def test_outputs_and_what_is_tied_to_inputs_stay(residual):
    assert held(residual, "logits") == "the model's output"
    inputs = keras.Input((4,))
    added = layers.Add()([inputs, layers.Dense(4, name="same")(inputs)])
    model = keras.Model(inputs, layers.Dense(2)(added))
    assert held(model, "same") == "the model's input"


def test_every_place_of_a_weight_tells_its_channel(build):
    model = build("side_by_side")
    channels = trace_channels(model)
    one, two, up = (
        channels.units_of(channels.named(name, "units"))
        for name in ("one", "two", "up")
    )
    beside = np.concatenate([one, two])
    along = {
        (part.layer.name, part.variable.name, part.role): part.groups
        for part in channels.slices
    }
    np.testing.assert_array_equal(along["bn", "gamma", "follows"], beside)
    np.testing.assert_array_equal(along["depthwise", "kernel", "follows"], beside)
    # Channel c gives 2 c and 2 c + 1.
    np.testing.assert_array_equal(along["up", "kernel", "reads"], beside.repeat(2))
    np.testing.assert_array_equal(along["up", "kernel", "makes"], up)
    # 6 -> 4 by the depthwise kernel, -> 2 by pooling, -> 3 transposed: 3 * 3 * 5.
    np.testing.assert_array_equal(along["hidden", "kernel", "reads"], np.tile(up, 9))


def test_a_layer_called_twice_ties_what_it_reads():
    one, two = keras.Input((4,)), keras.Input((5,))
    shared = layers.Dense(3, name="shared")
    a = shared(layers.Dense(8, name="a")(one))
    b = shared(layers.Dense(8, name="b")(two))
    model = keras.Model([one, two], layers.Dense(2)(layers.Subtract()([a, b])))
    assert tied(model, "a") == ["a", "b"]


def test_nested_models_are_entered():
    inside = keras.Input((5,))
    nested = keras.Model(inside, layers.Dense(6, name="inner")(inside))
    inputs = keras.Input((5,))
    x = layers.Add()([nested(inputs), layers.Dense(6, name="outer")(inputs)])
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert tied(model, "inner") == ["inner", "outer"]


def wide(x):
    return layers.Dense(8, name="wide")(x)


@pytest.mark.parametrize(
    ("mix", "reason"),
    [
        (lambda x: layers.LayerNormalization(name="norm")(wide(x)), "'norm'"),
        (lambda x: layers.Softmax(name="shares")(wide(x)), "'shares' (Softmax)"),
        (lambda x: layers.Activation("softmax", name="act")(wide(x)), "'act'"),
        (
            lambda x: layers.Dense(8, activation="softmax", name="wide")(x),
            "the activation of 'wide'",
        ),
        (lambda x: wide(x) * np.arange(8.0, dtype="float32"), "(Multiply)"),
        (lambda x: keras.ops.sum(wide(x), axis=-1, keepdims=True), "(Sum)"),
        (lambda x: keras.ops.flip(wide(x), axis=-1), "(Flip)"),
        (lambda x: layers.Reshape((4, 2), name="cut")(wide(x)), "'cut' (Reshape)"),
        (
            lambda x: layers.BatchNormalization(axis=1, name="bn")(
                layers.RepeatVector(3)(wide(x))
            ),
            "'bn' (BatchNormalization)",
        ),
    ],
)
def test_what_mixes_channels_holds_them(mix, reason):
    inputs = keras.Input((4,))
    mixed = layers.Flatten()(mix(inputs))
    model = keras.Model(inputs, layers.Dense(2)(mixed))
    assert reason in held(model, "wide")


def test_convolutions_in_groups_hold_what_they_read_and_make():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(8, 1, name="below")(inputs)
    x = layers.Conv2D(8, 1, groups=2, name="grouped")(x)
    x = layers.GlobalMaxPooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert held(model, "below") == "'grouped' (Conv2D)"
    channels = trace_channels(model)
    assert "grouped" not in [layer.name for layer, _ in channels.makers.values()]


def test_layers_of_a_users_own_class_hold_what_they_read():
    class Own(layers.Dense):
        pass

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Own(2, name="own")(wide(inputs)))
    assert held(model, "wide") == "'own' (Own)"


def test_a_model_with_a_call_of_its_own_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return super().call(inputs) * 2

    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match="Received: model of type Own"):
        trace_channels(Own(inputs, wide(inputs)))
