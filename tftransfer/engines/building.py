"""Engines by name, and the proof that one gives the function's values."""

import importlib.util

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checks import check_choice
from tftransfer.engines.frozen_graph import Graphs
from tftransfer.engines.interface import DTYPES, EngineError, describe_batch
from tftransfer.engines.jax_graph import JAXEngine
from tftransfer.engines.onnx_engine import ONNXEngine
from tftransfer.engines.openvino_engine import OpenVINOEngine
from tftransfer.engines.tensorflow_graph import TensorFlowEngine

ENGINES = ("jax", "onnx", "openvino", "tensorflow")
# Largest accepted ||output - reference|| / ||reference||, Frobenius norms over real
# rows, the reference being Keras in float32.
# bfloat16 keeps 8 bits: EfficientNet-Lite0 differs by 0.08, and a linear head on such
# features of solar cells is as good as one on float32.
BOUNDS = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 1e-1}
MODULES = {"openvino": ("openvino",), "onnx": ("onnxruntime", "tf2onnx")}


def build_engine(name, function, example, dtype="float32", precision=None):
    """Build the engine of this name for a function.

    Args:
        name: `"tensorflow"`, `"openvino"`, `"onnx"`, or, under Keras' JAX backend,
            `"jax"`.
        function: Callable on one batch of the backend's tensors that returns one
            tensor with a row for every row. It must compute as at inference:
            `lambda batch: model(batch, training=False)`. Its `Graphs` will do too.
        example: Batch of real rows: a NumPy array, or a dictionary, list or tuple of
            them. It gives shape and dtype.
        dtype: `"float32"`, `"float16"` or `"bfloat16"`: of the output.
        precision: The same, of the arithmetic; None leaves it to the engine.

    Returns:
        An `Engine`.

    Raises:
        ValueError: If `name` or `dtype` is not one of these, or if `name` does not
            work under Keras' backend.
        ImportError: If the engine's package is not installed.
        EngineError: If the engine cannot run the function.

    Example:

    >>> rows = np.array([[1.0], [2.0]], "float32")
    >>> engine = build_engine("tensorflow", lambda batch: 3 * batch, rows)
    >>> [output.tolist() for output in engine.run([rows, rows[:1]])]
    [[[3.0], [6.0]], [[3.0]]]
    """
    check_choice("name", name, ENGINES)
    check_choice("dtype", dtype, DTYPES)
    check_backend(name)
    if name == "jax":
        return JAXEngine(function, example, dtype)
    graphs = function if isinstance(function, Graphs) else Graphs(function, example)
    if name == "tensorflow":
        return TensorFlowEngine(graphs, dtype)
    converted = OpenVINOEngine if name == "openvino" else ONNXEngine
    try:
        return converted(graphs, dtype, precision)
    except EngineError as error:
        raise EngineError(
            f"`engine` must be able to run the function. Received: engine={name!r}, "
            f"which says: {error}. Use engine='tensorflow', which runs anything."
        ) from error


def check_backend(name):
    """Raise `ValueError` unless an engine works under Keras' backend; return that."""
    backend = keras.backend.backend()
    wanted = ("jax",) if name == "jax" else ("tensorflow",)
    if backend not in wanted:
        raise ValueError(
            f"`engine` must work under Keras' backend, {backend}. "
            f"Received: engine={name!r}, which needs {wanted[0]}. "
            f"Set KERAS_BACKEND={wanted[0]} before Keras is imported."
        )
    return backend


def is_installed(name):
    """Tell whether the packages of an engine are there, without importing them."""
    return all(importlib.util.find_spec(module) for module in MODULES.get(name, ()))


def compute_reference(function, example):
    """Run the function as Keras would, in float32, without any engine.

    Raises:
        TypeError: If it does not give one tensor with a row for every row.
    """
    output = function(keras.tree.map_structure(_to_tensor, example))
    num_rows = len(keras.tree.flatten(example)[0])
    shape = getattr(output, "shape", None)
    if shape is None or len(shape) == 0 or shape[0] != num_rows:
        raise TypeError(
            "`function` must return one tensor with a row for every row of the batch. "
            f"Received: {type(output).__name__} of shape {shape} for "
            f"{describe_batch(example)}. Cut the model at a single tensor."
        )
    return keras.ops.convert_to_numpy(output)


def measure_error(output, reference):
    """Return the relative error, `||output - reference|| / ||reference||`.

    Frobenius norms; infinite where a value is not finite in one of the two.

    Example:

    >>> measure_error(np.array([3.0, 4.4]), np.array([3.0, 4.0]))  # 0.4 / 5
    0.08
    """
    output, reference = output.astype("float64"), reference.astype("float64")
    if output.shape != reference.shape:
        return float("inf")
    difference = float(np.linalg.norm(output - reference))
    if difference == 0:
        return 0.0
    norm = float(np.linalg.norm(reference))
    error = round(difference / norm, 15) if norm else float("inf")
    return error if np.isfinite(error) else float("inf")


def check_error(engine, example, reference):
    """Raise `EngineError` unless an engine gives the values of the function.

    Args:
        engine: An `Engine`.
        example: Batch of real rows.
        reference: What `compute_reference` returned for it.

    Returns:
        The relative error.
    """
    (output,) = engine.run([example])
    error, bound = measure_error(output, reference), BOUNDS[engine.dtype]
    if error > bound:
        raise EngineError(
            f"its relative error is {error:.2g}, more than the {bound:g} allowed for "
            f"{engine.dtype}"
        )
    return error


def _to_tensor(leaf):
    if np.asarray(leaf).dtype.kind in "OSU":
        return tf.constant(leaf)
    return keras.ops.convert_to_tensor(leaf)
