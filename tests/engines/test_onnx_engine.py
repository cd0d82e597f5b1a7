import logging
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.engines.conftest import (
    check_resizing,
    check_values,
    relative_error,
    run_all,
)
from tftransfer.engines.frozen_graph import Graphs
from tftransfer.engines.interface import EngineError
from tftransfer.engines.onnx_engine import ONNXEngine, import_onnx

pytest.importorskip("onnxruntime", reason="needs the extra `fast`")
pytest.importorskip("tf2onnx", reason="needs the extra `fast`")


def build(function, example, dtype="float32"):
    return ONNXEngine(Graphs(function, example), dtype)


def test_values_are_those_of_keras(function, images):
    check_values(build, function, images)


def test_resized_images_have_the_values_of_keras(resizing_function, rng):
    check_resizing(build, resizing_function, rng)


def test_dictionaries_are_computed():
    batch = {"b": np.full((2, 1), 5.0, "float32"), "a": np.ones((2, 1), "int32")}
    engine = build(lambda batch: batch["b"] - tf.cast(batch["a"], "float32"), batch)
    assert run_all(engine, [batch]).tolist() == [[4.0], [4.0]]


def test_features_can_be_halved(function, images):
    (output,) = build(function, images, "float16").run([images])
    assert output.dtype == np.float16
    assert relative_error(output, function, images) < 5e-3


def test_nothing_is_printed_and_logging_stays_as_it_was(function, images, capfd):
    handlers, level = list(logging.root.handlers), logging.root.manager.disable
    build(function, images)
    assert capfd.readouterr() == ("", "")
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == level


def test_what_onnx_does_not_know_is_told(images, capfd):
    with pytest.raises(EngineError, match="^\\[ONNXRuntimeError"):
        build(
            lambda batch: tf.strings.length(
                tf.map_fn(
                    tf.io.encode_png,
                    tf.cast(batch, "uint8"),
                    fn_output_signature=tf.string,
                )
            ),
            images,
        )
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r'pip install "tftransfer\[fast\]"'):
        import_onnx()


def test_closing_twice_does_no_harm(function, images):
    engine = build(function, images)
    run_all(engine, [images])
    engine.close()
    engine.close()
