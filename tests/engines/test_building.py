import keras
import numpy as np
import pytest

from tests.engines.conftest import relative_error, run_all
from tftransfer.engines import building
from tftransfer.engines.building import (
    BOUNDS,
    ENGINES,
    build_engine,
    check_error,
    compute_reference,
    is_installed,
    measure_error,
)
from tftransfer.engines.interface import DTYPES, EngineError


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "jax"])
def test_engines_are_built_by_name(name, function, images):
    if not is_installed(name):
        pytest.skip("needs the extra `fast`")
    engine = build_engine(name, function, images)
    assert (engine.name, engine.dtype) == (name, "float32")
    assert relative_error(run_all(engine, [images]), function, images) < 1e-5


def test_unknown_names_are_refused(images):
    with pytest.raises(ValueError, match="Received: name='onx'. Did you mean 'onnx'"):
        build_engine("onx", abs, images)


def test_unknown_dtypes_are_refused(images):
    with pytest.raises(ValueError, match="Received: dtype='float64'"):
        build_engine("tensorflow", abs, images, "float64")


def test_an_engine_of_another_backend_is_refused(images):
    with pytest.raises(ValueError, match="Received: engine='jax', which needs jax"):
        build_engine("jax", abs, images)


def test_an_engine_that_cannot_says_why(monkeypatch, images):
    def refuse(*arguments):
        raise EngineError("it knows no such thing")

    monkeypatch.setattr(building, "ONNXEngine", refuse)
    with pytest.raises(
        EngineError, match="Received: engine='onnx', which says: it knows no such thing"
    ):
        build_engine("onnx", abs, images)


def test_what_is_missing_is_not_installed(monkeypatch):
    assert is_installed("tensorflow")
    monkeypatch.setitem(building.MODULES, "onnx", ("no_such_package",))
    assert not is_installed("onnx")


def test_each_dtype_has_a_bound():
    assert set(BOUNDS) == set(DTYPES)


def test_the_reference_is_the_function_itself(function, images):
    assert relative_error(compute_reference(function, images), function, images) == 0


def test_a_function_of_text_has_a_reference():
    lookup = keras.layers.StringLookup(vocabulary=["one"])
    assert compute_reference(lookup, np.array(["one", "two"])).tolist() == [1, 0]


@pytest.mark.parametrize(
    "function",
    [
        lambda batch: {"a": batch, "b": batch},
        lambda batch: batch[0, 0],
        lambda batch: batch[:1],
    ],
)
def test_a_function_without_a_row_for_a_row_is_refused(function):
    with pytest.raises(TypeError, match=r"Received: .* for float32\[3, 2\]"):
        compute_reference(function, np.zeros((3, 2), "float32"))


def test_the_error_is_a_ratio_of_norms():
    reference = np.array([[3.0], [4.0]])
    assert measure_error(reference + [[0.3], [0.4]], reference) == pytest.approx(0.1)
    assert measure_error(reference, reference) == 0
    assert measure_error(np.zeros((2, 1)), np.zeros((2, 1))) == 0


@pytest.mark.parametrize(
    "output, reference",
    [
        ([1.0], [0.0]),
        ([np.nan], [1.0]),
        ([np.inf], [1.0]),
        ([1.0, 2.0], [1.0]),
    ],
)
def test_the_error_of_what_cannot_be_compared_is_infinite(output, reference):
    assert measure_error(np.array(output), np.array(reference)) == float("inf")


def test_values_beyond_the_bound_are_refused(images):
    engine = build_engine("tensorflow", lambda batch: batch * 1.001, images)
    assert check_error(engine, images, images * 1.00105) == pytest.approx(5e-5, rel=0.1)
    with pytest.raises(
        EngineError, match="error is 0.001, more than the 0.0001 allowed for float32"
    ):
        check_error(engine, images, images)
