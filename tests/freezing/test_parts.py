import keras
import numpy as np
import pytest
from keras import layers, ops

from tftransfer.freezing.graph import list_calls
from tftransfer.freezing.parts import output_cut, single_tensor_cuts


def brute_force_cuts(model):
    """A tensor is a cut if the output no longer hangs on the input without it."""
    calls, outputs = list_calls(model)
    found = []
    for call in calls:
        reached = {key for key in calls[0].inputs}
        for other in calls:
            if other is not call and reached & set(other.inputs):
                reached |= set(other.outputs)
        if not reached & outputs:
            found.append(call.operation.name)
    return found


def halves(cut, inputs, training=False):
    below = cut.run_below(inputs, training=training)
    return ops.convert_to_numpy(cut.run_above(below, training=training))


def test_cuts_of_a_residual_network_lie_between_its_blocks(tiny):
    assert [cut.name for cut in single_tensor_cuts(tiny)] == [
        *("stem_conv", "stem_bn", "stem_relu"),
        *("block1_add", "block1_relu", "block2_add", "block2_relu"),
        *("features", "head_dropout"),
    ]
    assert single_tensor_cuts(tiny, with_output=True)[-1].name == "logits"


@pytest.mark.parametrize(
    "name",
    [
        "DenseNet121",
        "EfficientNetB0",
        pytest.param("NASNetMobile", marks=pytest.mark.slow),
    ],
)
def test_cuts_are_the_tensors_all_paths_pass(name):
    model = getattr(keras.applications, name)(weights=None, classes=7)
    cuts = [cut.name for cut in single_tensor_cuts(model)]
    expected = brute_force_cuts(model)
    assert expected[-1] == "predictions"  # its own output is left out
    assert cuts == expected[:-1]


def test_the_parts_below_and_above_every_cut_make_the_whole(tiny, batch):
    images, _ = batch
    whole = ops.convert_to_numpy(tiny(images, training=False))
    for cut in single_tensor_cuts(tiny, with_output=True):
        np.testing.assert_allclose(halves(cut, images), whole, rtol=1e-6)


def test_cuts_reach_into_nested_models(nested, batch):
    images, _ = batch
    cuts = {cut.name: cut for cut in single_tensor_cuts(nested)}
    assert {"scale", "block1_relu", "block2_add", "hidden"} <= set(cuts)
    whole = ops.convert_to_numpy(nested(images, training=False))
    np.testing.assert_allclose(halves(cuts["block1_relu"], images), whole, rtol=1e-6)


def test_the_argument_training_overrules_what_the_call_was_made_with(batch):
    """As a functional model does in Keras 3.15."""
    images, _ = batch
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(inputs, training=False)
    model = keras.Model(inputs, layers.Conv2D(2, 1)(x))
    (cut,) = single_tensor_cuts(model)
    whole = ops.convert_to_numpy(model(images, training=True))
    np.testing.assert_allclose(halves(cut, images, training=True), whole, rtol=1e-5)
    assert np.abs(halves(cut, images) - whole).max() > 1.0


def test_nothing_is_added_to_the_graph_of_the_model(tiny, batch):
    before = [len(layer._inbound_nodes) for layer in tiny.layers]
    halves(single_tensor_cuts(tiny)[2], batch[0])
    assert [len(layer._inbound_nodes) for layer in tiny.layers] == before


def test_a_skip_from_the_input_leaves_no_cut_below_its_end():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="inside")(inputs)
    x = layers.Add(name="end")([inputs, x])
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert [cut.name for cut in single_tensor_cuts(model)] == ["end"]


def test_inputs_and_outputs_may_be_structures():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate(name="joined")([a, b])
    outputs = {"one": layers.Dense(1)(joined), "two": layers.Dense(2)(joined)}
    model = keras.Model({"a": a, "b": b}, outputs)
    (cut,) = single_tensor_cuts(model)
    inputs = {"a": np.ones((2, 3), "float32"), "b": np.zeros((2, 3), "float32")}
    whole = model(inputs)
    parts = cut.run_above(cut.run_below(inputs))
    assert cut.name == "joined" and set(parts) == {"one", "two"}
    np.testing.assert_allclose(parts["two"], whole["two"], rtol=1e-6)


def test_a_tensor_with_a_mask_is_no_cut():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True, name="words")(inputs)
    x = layers.LSTM(3, name="encoder")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert [cut.name for cut in single_tensor_cuts(model)] == ["encoder"]


def test_a_model_with_a_call_of_its_own_has_no_cuts(tiny):
    class Doubled(keras.Model):
        def call(self, inputs, training=None):
            return 2 * super().call(inputs, training=training)

    model = Doubled(tiny.input, tiny.output)
    assert single_tensor_cuts(model) == []
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, layers.Dense(2, name="end")(model(inputs)))
    assert [cut.name for cut in single_tensor_cuts(outer)] == [model.name]


def test_the_cut_at_the_output_has_all_of_the_model_below(tiny, batch):
    images, _ = batch
    cut = output_cut(tiny)
    assert cut.name == "logits" and cut.calls_above == []
    whole = ops.convert_to_numpy(tiny(images, training=False))
    below = ops.convert_to_numpy(cut.run_below(images, training=False))
    np.testing.assert_allclose(below, whole, rtol=1e-6)


def test_an_output_that_is_no_cut_has_none(tiny):
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="shared")(inputs)
    two = keras.Model(inputs, [layers.Dense(2)(x), layers.Dense(1)(x)])
    assert output_cut(two) is None
    words = keras.Input((5,), dtype="int32")
    masked = layers.Embedding(9, 4, mask_zero=True)(words)
    assert output_cut(keras.Model(words, masked)) is None
