import keras
import numpy as np
import pytest

from tests.engines.conftest import relative_error, run_all
from tftransfer.engines import tensorflow_graph
from tftransfer.engines.frozen_graph import Graphs
from tftransfer.engines.tensorflow_graph import TensorFlowEngine


@pytest.fixture
def engine(function, images):
    return TensorFlowEngine(Graphs(function, images), "float32")


def test_values_are_those_of_keras(engine, function, images):
    output = run_all(engine, [images[:7], images[7:]])
    assert relative_error(output, function, images) < 1e-6


def test_many_rows_are_computed_in_pieces(engine, function, images):
    engine._size = 3
    output = run_all(engine, [images])
    assert relative_error(output, function, images) < 1e-6


def test_no_rows_give_no_rows(engine, images):
    assert run_all(engine, [images[:0]]).shape == (0, 4)


def test_images_of_another_size_are_computed_too(resizing_function, images, rng):
    engine = TensorFlowEngine(Graphs(resizing_function, images), "float32")
    for size in ((9, 5), (6, 7), (8, 8)):
        others = rng.random((3, *size, 3)).astype("float32")
        output = run_all(engine, [others])
        assert relative_error(output, resizing_function, others) < 1e-6


def test_text_with_a_table_is_computed():
    lookup = keras.layers.StringLookup(vocabulary=["one", "two"])
    engine = TensorFlowEngine(Graphs(lookup, np.array(["one", "two"])), "float32")
    output = run_all(engine, [np.array(["two", "nothing like it"]), np.array([b"one"])])
    assert output.tolist() == [2, 0, 1]


def test_dictionaries_are_computed():
    batch = {"b": np.full((2, 1), 5.0, "float32"), "a": np.ones((2, 1), "float32")}
    engine = TensorFlowEngine(
        Graphs(lambda batch: batch["b"] - batch["a"], batch), "float16"
    )
    assert run_all(engine, [batch]).tolist() == [[4.0], [4.0]]


def test_a_gpu_gets_whole_batches_of_the_traced_function(monkeypatch, function, images):
    monkeypatch.setattr(tensorflow_graph, "has_gpu", lambda: True)
    engine = TensorFlowEngine(Graphs(function, images), "float32")
    assert engine._size is None
    output = run_all(engine, [images[:7], images[7:]])
    assert relative_error(output, function, images) < 1e-6


def test_closing_twice_does_no_harm(engine):
    engine.close()
    engine.close()
