"""Memory of dead models is given back, and nothing that lives is harmed."""

import gc

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework import func_graph, ops

from tftransfer.selection.memory import memory_given_back


def train_a_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.train_on_batch(tf.ones((4, 3)), tf.ones((4, 2)))


def living_graphs():
    gc.collect()
    return sum(type(thing) is func_graph.FuncGraph for thing in gc.get_objects())


def test_no_graph_of_a_trained_model_is_left_even_after_an_error():
    before = living_graphs()
    with pytest.raises(KeyError), memory_given_back():
        train_a_model()
        raise KeyError
    assert living_graphs() == before


@pytest.mark.slow
def test_keras_alone_still_leaves_them():
    # When this fails, TensorFlow gives back its graphs, and `memory_given_back` can go.
    before, known = living_graphs(), set(ops.gradient_registry._registry)
    train_a_model()
    gc.collect()
    assert living_graphs() > before
    for name in set(ops.gradient_registry._registry) - known:
        del ops.gradient_registry._registry[name]


def test_a_function_that_lives_can_still_be_differentiated():
    @tf.custom_gradient
    def tripled(x):
        return x, lambda upstream: 3.0 * upstream

    function = tf.function(lambda x: tripled(x) + 0.0)
    with memory_given_back():
        train_a_model()
        function(tf.constant(2.0))
    with tf.GradientTape() as tape:
        x = tf.constant(2.0)
        tape.watch(x)
        value = function(x)
    assert float(tape.gradient(value, x)) == 3.0


def test_settings_of_the_user_stay():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with memory_given_back():
            pass
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
