import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export.loading import load_exported
from tftransfer.export.runtimes import choose_format
from tftransfer.export.saved_model import export_model

HELD = {"formats": {"accepted": {"tf_saved_model": "float32", "onnx": "int8"}}}


@pytest.fixture(scope="module")
def exported(small_model, tmp_path_factory):
    """Path of an export for ONNX Runtime; how it serves is told elsewhere."""
    for module in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    path = tmp_path_factory.mktemp("runtimes") / "x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tftransfer.export.saved_model.measure_parity", lambda *_: {})
        patch.setattr(
            "tftransfer.export.proven_formats.prove_model",
            lambda name, *_, **__: {"accepted": True, "precision": "float32"},
        )
        export_model(
            small_model(),
            path,
            class_names=["a", "b", "c"],
            formats=["tf_saved_model", "onnx"],
            examples=np.zeros((2, 32, 24, 3), "uint8"),
            verbose=False,
        )
    return path


def test_images_of_any_size_and_files_are_served(exported, tmp_path, photo):
    images = [photo(32, 24, seed=1), photo(64, 48, seed=2), photo(20, 31, seed=3)]
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(tf.io.encode_png(image).numpy())
    expected = load_exported(exported).predict(images).to_array()
    served = load_exported(exported, engine="onnx")
    assert served.labels == ["a", "b", "c"] and served.signatures == {}
    for rows in (images, files):
        found = served.predict(rows).to_array()
        # At the model's own size nothing is rounded.
        np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(found, expected, atol=0.02)
    assert served.predict(files[0])[0].source == str(files[0])


def test_a_file_that_is_no_image_is_named(exported, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match="Received: .*a.png.* cannot be decoded"):
        load_exported(exported, engine="onnx").predict(tmp_path / "a.png")


def test_a_format_that_is_not_there_is_refused(exported):
    with pytest.raises(ValueError, match=r"one of \['auto', 'tensorflow', 'onnx'\].*"):
        load_exported(exported, engine="litert")
    with pytest.raises(ValueError, match="Received: engine='onnx', path='x'. Export"):
        choose_format("onnx", "x", None)  # the version folder alone


def test_an_unknown_engine_is_refused(exported):
    with pytest.raises(ValueError, match="Received: engine='jax'"):
        load_exported(exported, engine="jax")


def test_a_missing_runtime_is_named_with_the_pip_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"needs onnxruntime.*tftransfer\[formats\]"):
        choose_format("onnx", "x", HELD)


@pytest.mark.parametrize("engine", ["auto", "tensorflow"])
def test_the_saved_model_is_always_there(engine):
    assert choose_format(engine, "x", None) == "tf_saved_model"
