import importlib.util

import pytest

from tftransfer.engines.interface import EngineError
from tftransfer.formats import catalog
from tftransfer.formats.catalog import check_formats, list_modules, write_format


@pytest.fixture
def installed(monkeypatch):
    """Function: only these modules are there."""

    def only(*modules):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: name if name in modules else None
        )

    return only


def test_the_saved_model_comes_first_and_nothing_twice(installed):
    installed("onnx", "onnxruntime", "tf2onnx")
    names = check_formats(["onnx", "tf_saved_model", "onnx"], "float16")
    assert names == ("tf_saved_model", "onnx")


@pytest.mark.parametrize("formats", ["onnx", 3, None])
def test_anything_but_a_list_is_refused(formats):
    with pytest.raises(TypeError, match=f"Received: formats={formats!r}"):
        check_formats(formats)


def test_unknown_format_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Received: formats='tflite'. Did you mean"):
        check_formats(["tf_saved_model", "tflite"])


def test_the_saved_model_cannot_be_left_out():
    with pytest.raises(ValueError, match=r"Received: formats=\['onnx'\]. Add it."):
        check_formats(["onnx"])


def test_unknown_quantization_is_refused():
    with pytest.raises(ValueError, match="Received: quantization='int4'"):
        check_formats(["tf_saved_model", "onnx"], "int4")


def test_a_saved_model_alone_is_not_quantized():
    with pytest.raises(ValueError, match="Received: quantization='float16', formats="):
        check_formats(["tf_saved_model"], "float16")


def test_missing_packages_are_named_with_the_pip_line(installed):
    installed("onnx")
    with pytest.raises(
        ImportError, match=r"needs onnxruntime and tf2onnx.*\[formats\]"
    ):
        check_formats(["tf_saved_model", "onnx"])


def test_only_int8_needs_the_quantizer(installed):
    installed("openvino")
    assert check_formats(["tf_saved_model", "openvino"], "float16")
    with pytest.raises(ImportError, match="'openvino' needs nncf"):
        check_formats(["tf_saved_model", "openvino"], "int8")
    assert list_modules("tf_saved_model", "int8") == ()


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (KeyError("no such op"), EngineError, "no such op"),
        (RuntimeError(), EngineError, "RuntimeError"),
        (OSError("full"), OSError, "full"),
    ],
)
def test_whatever_a_converter_raises_is_a_reason(monkeypatch, error, raised, words):
    def fail(*_):
        raise error

    monkeypatch.setitem(catalog.WRITERS, "onnx", fail)
    with pytest.raises(raised, match=words):
        write_format("onnx", None, None)
