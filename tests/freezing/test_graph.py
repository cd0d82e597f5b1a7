import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.freezing.graph import graph_of, list_calls, single_tensor_cuts


def brute_force_cuts(model):
    """A tensor is a cut if the output no longer hangs on the input without it."""
    calls, outputs = list_calls(model, enter_nested=False)
    found = []
    for call in calls:
        reached = {key for key in calls[0].inputs}
        for other in calls:
            if other is not call and reached & set(other.inputs):
                reached |= set(other.outputs)
        if not reached & outputs:
            found.append(call.operation.name)
    return found


def test_cuts_of_a_residual_network_lie_between_its_blocks(tiny):
    assert [cut.name for cut in single_tensor_cuts(tiny)] == [
        *("stem_conv", "stem_bn", "stem_relu"),
        *("block1_add", "block1_relu", "block2_add", "block2_relu"),
        *("features", "head_dropout"),
    ]


@pytest.mark.parametrize("name", ["DenseNet121", "EfficientNetB0", "NASNetMobile"])
def test_cuts_are_the_tensors_all_paths_pass(name):
    model = getattr(keras.applications, name)(weights=None, classes=7)
    cuts = [cut.name for cut in single_tensor_cuts(model)]
    expected = brute_force_cuts(model)
    assert expected[-1] == "predictions"  # its own output is left out
    assert cuts == expected[:-1]


def test_a_model_splits_at_every_cut_into_equal_halves(tiny, batch):
    images, _ = batch
    whole = tiny.predict(images, verbose=0)
    for cut in single_tensor_cuts(tiny):
        below = keras.Model(tiny.input, cut.tensor)
        above = keras.Model(cut.tensor, tiny.output)
        halves = above.predict(below.predict(images, verbose=0), verbose=0)
        np.testing.assert_allclose(halves, whole, rtol=1e-5, atol=1e-6)


def test_a_skip_from_the_input_leaves_no_cut_below_its_end():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="inside")(inputs)
    x = layers.Add(name="end")([inputs, x])
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert [cut.name for cut in single_tensor_cuts(model)] == ["end"]


def test_a_nested_model_is_one_place_to_cut(nested):
    names = [cut.name for cut in single_tensor_cuts(nested)]
    assert names[:2] == ["scale", "tiny"]


def test_calls_enter_nested_models_in_order(nested):
    calls, _ = list_calls(nested)
    names = [call.operation.name for call in calls]
    assert names[1] == "stem_conv"
    assert names.index("block2_relu") < names.index("hidden")
    made = set()
    for call in calls[1:]:
        made |= set(calls[0].outputs)
        assert set(call.inputs) <= made
        made |= set(call.outputs)


def test_a_model_called_twice_gives_both_calls():
    shared = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="twice")])
    left, right = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([left, right], layers.Add()([shared(left), shared(right)]))
    calls, _ = list_calls(model)
    assert [call.operation.name for call in calls][:2] == ["twice", "twice"]


def test_a_sequential_model_has_a_graph():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="a")])
    assert [call.operation.name for call in list_calls(model)[0]] == ["a"]


def test_a_wrapper_is_read_through_its_attribute_model(tiny):
    class Wrapper(keras.Model):
        def __init__(self, model):
            super().__init__()
            self.model = model

    assert graph_of(Wrapper(tiny)) is tiny


def test_a_model_without_graph_is_refused():
    class Subclassed(keras.Model):
        pass

    with pytest.raises(ValueError, match="Received: model=Subclassed"):
        graph_of(Subclassed())
    with pytest.raises(ValueError, match="functional or Sequential"):
        graph_of(keras.Sequential([layers.Dense(2)]))
