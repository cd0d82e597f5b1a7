import keras
import pytest
from keras import layers

from tftransfer.freezing.graph import graph_of, list_calls


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
