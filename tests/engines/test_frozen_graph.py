import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.engines.conftest import relative_error
from tftransfer.engines.frozen_graph import Graphs, split_at_resizing
from tftransfer.engines.interface import EngineError


def operations(frozen):
    return {node.op for node in frozen.graph_def.node}


def test_a_frozen_graph_has_no_variables_and_the_same_values(function, images):
    frozen = Graphs(function, images).freeze([images])
    assert not operations(frozen) & {"ReadVariableOp", "VarHandleOp"}
    output = frozen.run([tf.constant(images)]).numpy()
    assert relative_error(output, function, images) < 1e-6


def test_resizing_to_the_same_size_is_left_out(resizing_function, images):
    frozen = Graphs(resizing_function, images).freeze([images])
    assert "ScaleAndTranslate" not in operations(frozen)
    assert split_at_resizing(frozen) is frozen
    output = frozen.run([tf.constant(images)]).numpy()
    assert relative_error(output, resizing_function, images) < 1e-6


def test_real_resizing_is_left_to_tensorflow(resizing_function, rng):
    images = rng.integers(0, 256, (4, 11, 6, 3)).astype("uint8")
    frozen = Graphs(resizing_function, images).freeze([images])
    assert "ScaleAndTranslate" in operations(frozen)
    rest = split_at_resizing(frozen)
    assert "ScaleAndTranslate" not in operations(rest)
    (prepared,) = rest.prepare([images])
    assert prepared.shape == (4, 8, 8, 3)
    output = rest.run([tf.constant(prepared)]).numpy()
    assert relative_error(output, resizing_function, images) < 1e-6


def test_a_graph_is_not_split_where_the_rest_needs_the_input_too(rng):
    images = rng.random((2, 6, 6, 1)).astype("float32")
    resizing = keras.layers.Resizing(3, 3, antialias=True)

    def function(batch):
        resized = resizing(batch, training=False)
        return keras.ops.mean(resized, axis=(1, 2)) + keras.ops.mean(batch, axis=(1, 2))

    frozen = Graphs(function, images).freeze([images])
    assert split_at_resizing(frozen) is frozen


def test_a_blurring_resize_is_kept(rng):
    images = rng.random((2, 6, 6, 1)).astype("float32")

    def function(batch):
        return tf.image.resize(batch, (6, 6), "gaussian", antialias=True)

    frozen = Graphs(function, images).freeze([images])
    assert "ScaleAndTranslate" in operations(frozen)


def test_several_inputs_keep_their_order():
    batch = {"b": np.full((2, 1), 5.0, "float32"), "a": np.ones((2, 1), "float32")}
    frozen = Graphs(lambda batch: batch["b"] - batch["a"], batch).freeze(
        [batch["a"], batch["b"]]
    )
    output = frozen.run([tf.constant(batch["a"]), tf.constant(batch["b"])])
    assert output.numpy().tolist() == [[4.0], [4.0]]


def test_the_same_shapes_are_traced_once(function, images):
    graphs = Graphs(function, images)
    assert graphs.freeze([images]) is graphs.freeze([images[:3]])


def test_several_outputs_are_refused(images):
    with pytest.raises(TypeError, match="one tensor. Received: {'a'"):
        Graphs(lambda batch: {"a": batch, "b": batch}, images).freeze([images])


def test_what_cannot_become_a_constant_is_told(monkeypatch, function, images):
    def refuse(concrete):
        raise NotImplementedError("a table\nsecond line")

    monkeypatch.setattr(
        "tftransfer.engines.frozen_graph.convert_variables_to_constants_v2", refuse
    )
    with pytest.raises(EngineError, match="cannot be frozen: a table$"):
        Graphs(function, images).freeze([images])
